//! Wrong recipes and what is said of each, whole: the snapshots beside this file are read by people in reviews.

use super::tests::inputs;
use super::*;

/// Where only one image matters: what stands in front of the cases that start with a space.
const HEAD: &str = "recipe = 1\n[images.app]\nfrom = \"scratch\"\n";

/// Draws all messages about all recipes of a group into one text.
fn draw(cases: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, text) in cases {
        let text = match text.strip_prefix(' ') {
            Some(rest) => format!("{HEAD}{rest}\n"),
            None => format!("{text}\n"),
        };
        let said = match parse("r.toml", &text, &inputs()) {
            Err(error) => error.to_string(),
            Ok(recipe) if recipe.warnings.is_empty() => panic!("{name} is taken:\n{text}"),
            Ok(recipe) => recipe.warnings.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n\n"),
        };
        out.push_str(&format!("## {name}\n{said}\n\n"));
    }
    out
}

macro_rules! wrong {
    ($($group:ident: [$($name:literal => $text:expr;)+])+) => {
        $(
            #[test]
            fn $group() {
                insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                    insta::assert_snapshot!(concat!("wrong_", stringify!($group)), draw(&[$(($name, $text)),+]));
                });
            }
        )+
        #[test]
        fn there_are_enough() {
            assert!([$($($name),+),+].len() >= 60);
        }
    };
}

wrong! {
    keys: [
        "a key with a typo" => " entrypont = [\"/x\"]";
        "a key that Docker has" => " expose = [80]";
        "a key in another case" => " Cmd = [\"x\"]";
        "a key with a dash" => " stop-signal = \"SIGTERM\"";
        "something that would have to be executed" => " run = [\"apt-get update\"]";
        "a key that belongs to the project" => " context = \"..\"";
        "a key of the image at the top" => "recipe = 1\nworkdir = \"/app\"\n[images.app]\nfrom = \"scratch\"";
        "a key of which nobody has heard" => " zzz = 1\n[defaults]\nqqq = 2";
        "a table with a typo" => "recipe = 1\n[image.app]\nfrom = \"scratch\"";
        "an image key inside a layer" => " [[images.app.layers]]\ncopy = [\"x\"]\ncmd = [\"bash\"]";
        "a variant inside a layer" => "recipe = 1\n[variants.k8s]\n[images.app]\nfrom = \"scratch\"\nvariants = [\"k8s\"]\n[[images.app.layers]]\ncopy = \"x\"\nk8s.cmd = [\"x\"]";
        "a layer with one bracket" => " [images.app.layers]\ncopy = [\"x\"]";
        "an image with two brackets" => "recipe = 1\n[[images]]\nfrom = \"scratch\"";
        "a key of a nested table" => " healthcheck = { test = [\"CMD\", \"x\"], intervall = \"3s\" }";
        "a key of an inline item" => " [[images.app.layers]]\ncopy = [{ source = \"x\", dest = \"/y\" }]";
        "a word for it from elsewhere" => " [[images.app.layers]]\napt = [\"curl\"]";
        "no recipe key" => "[images.app]\nfrom = \"scratch\"";
        "a later format" => "recipe = 2\n[images.app]\nfrom = \"scratch\"";
        "no images" => "recipe = 1";
        "an empty table of images" => "recipe = 1\n[images]";
        "a user without a number" => "recipe = 1\n[users.app]\nhome = \"/x\"\n[images.app]\nfrom = \"scratch\"";
        "a user with a misspelt number" => "recipe = 1\n[users.app]\nuuid = 5\n[images.app]\nfrom = \"scratch\"";
        "no from" => "recipe = 1\n[images.app]\nuser = \"1001\"";
        "an empty layer" => " [[images.app.layers]]\nname = \"x\"";
        "many errors at once" => " cnd = []\nuser = 5\nworkdir = \"app\"\nports = [0]\nvolumes = true\nstop_signal = \"TERM\"\nowner = \"a b\"\nmode = \"9\"\nshell = \"x\"\nplatforms = []\nformat = \"dcoker\"\ncompression = \"gz\"";
    ]
    toml: [
        "a string without quotes" => " user = appuser";
        "no value" => " user =";
        "a colon" => " user : \"x\"";
        "a string without an end" => " user = \"x\ncmd = []";
        "a list without a comma" => " cmd = [\"a\" \"b\"]";
        "a key twice" => " user = \"1\"\nuser = \"2\"";
        "a table twice" => " [images.app]\nuser = \"1\"";
        "a table over a value" => " [images.app.from]\nx = 1";
        "an unknown escape" => " user = \"\\q\"";
        "a header without an end" => "recipe = 1\n[images.app\nfrom = \"scratch\"";
        "nested too deep" => concat!(" cmd = ", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
    ]
    types: [
        "a string for a list of arguments" => " cmd = \"bash -lc scripts/start.sh\"";
        "a line of shell for an entrypoint" => " entrypoint = \"exec $APP\"";
        "a number for a string" => " env = { PORT = 8080 }";
        "a boolean for a string" => " env = { DEBUG = true }";
        "a number for a mode" => " mode = 0o644";
        "a decimal number for a mode" => " mode = 755";
        "a string for a number" => "recipe = 1\n[users.app]\nuid = \"1001\"\n[images.app]\nfrom = \"scratch\"";
        "a string for a boolean" => " publish = \"false\"";
        "true where only false has a meaning" => " healthcheck = true";
        "a string for a list" => " exclude = \"**/tests\"";
        "a list for a string" => " workdir = [\"/app\"]";
        "a table for a string" => " user = { name = \"app\" }";
        "a string for python" => " [[images.app.layers]]\npython = \"requirements.txt\"";
        "a list for python" => " [[images.app.layers]]\npython = [\"flask\"]";
        "a float" => " ports = [80.5]";
        "a number that is too great" => "recipe = 1\n[users.app]\nuid = 4294967296\n[images.app]\nfrom = \"scratch\"";
        "a negative number" => "recipe = 1\n[users.app]\nuid = -1\n[images.app]\nfrom = \"scratch\"";
        "a string for a health check's test" => " healthcheck = { test = \"curl localhost\" }";
        "a word that is none of a few" => " format = \"dokcer\"";
        "a word of compression" => " compression = \"zst\"";
        "the images as a list" => "recipe = 1\nimages = [\"app\"]";
    ]
    values: [
        "a mode that is not octal" => " mode = \"0888\"";
        "a mode as in chmod" => " dir_mode = \"u=rwx\"";
        "preserve with a typo" => " mode = \"perserve\"";
        "an owner with a space" => " owner = \"app user\"";
        "an owner with an empty group" => " owner = \"app:\"";
        "a uid out of range" => " user = \"4294967295\"";
        "a relative workdir" => " workdir = \"app\"";
        "a workdir that climbs" => " workdir = \"/app/../..\"";
        "a workdir by architecture" => " workdir = \"/app/{arch}\"";
        "a port of zero" => " ports = [\"0/tcp\"]";
        "a port that is too great" => " ports = [65536]";
        "a mapped port" => " ports = [\"8080:80\"]";
        "a protocol" => " ports = [\"80/TCP\"]";
        "all ports" => " ports = [8080, \"1-65535/tcp\", \"1-65535/udp\"]";
        "more and more ports" => " ports = [\"1-10000/tcp\", \"1-10000/udp\", 80]";
        "a workdir of two lines" => " workdir = \"/app\\nx\"";
        "a volume with ESC" => " volumes = [\"/data\", \"/x\\u001b\"]";
        "a signal" => " stop_signal = \"SIGTREM\"";
        "a duration without a unit" => " healthcheck = { test = [\"CMD\", \"x\"], interval = \"30\" }";
        "a duration of days" => " healthcheck = { test = [\"CMD\", \"x\"], interval = \"1d\" }";
        "a duration that is too short" => " healthcheck = { test = [\"CMD\", \"x\"], timeout = \"1ns\" }";
        "a health check without CMD" => " healthcheck = { test = [\"curl\", \"localhost\"] }";
        "a health check of nothing" => " healthcheck = { test = [] }";
        "a health check NONE" => " healthcheck = { test = [\"NONE\"] }";
        "a platform without linux" => " platforms = [\"amd64\"]";
        "another system" => " platforms = [\"windows/amd64\"]";
        "an architecture by another name" => " platforms = [\"linux/x86_64\"]";
        "an architecture with a typo" => " platforms = [\"linux/amd46\"]";
        "a platform twice" => " platforms = [\"linux/amd64\", \"linux/amd64\"]";
        "a platform in two spellings" => " platforms = [\"linux/amd64\", \"linux/arm\", \"linux/amd64/v1\", \"linux/arm/v7\"]";
        "a level that is too high" => " compression = { kind = \"gzip\", level = 15 }";
        "a level of nothing" => " compression = { kind = \"none\", level = 1 }";
        "members of zstd" => " compression = { kind = \"zstd\", members = \"single\" }";
        "zstd in Docker's format" => " format = \"docker\"\ncompression = \"zstd\"";
        "a date without an offset" => " created = 2026-01-31T12:00:00";
        "a date in words" => " created = \"yesterday\"";
        "a date before 1970" => " created = \"1969-12-31\"";
        "a time of day" => " created = 12:00:00";
        "a variable with a space" => " env = { \"A B\" = \"x\" }";
        "a reserved label" => " labels = { \"org.opencontainers.image.base.name\" = \"x\" }";
        "a control character in a path" => " workdir = \"/a\\u0007b\"";
        "a mark that reorders text" => " owner = \"a\\u202eb\"";
        "a NUL in an argument" => " cmd = [\"a\\u0000\"]";
        "an empty string" => " workdir = \"\"";
        "a volume at the root" => " volumes = [\"/\"]";
        "a bracket in a pattern" => " exclude = [\"a[b\"]";
        "a lone exclamation mark" => " exclude = [\"!\"]";
    ]
    names: [
        "an image in upper case" => "recipe = 1\n[images.MyApp]\nfrom = \"scratch\"";
        "an image with a slash" => "recipe = 1\n[images.\"a/b\"]\nfrom = \"scratch\"";
        "an image called scratch" => "recipe = 1\n[images.scratch]\nfrom = \"scratch\"";
        "a variant with the name of a key" => "recipe = 1\n[variants.user]\n[images.app]\nfrom = \"scratch\"\nvariants = [\"user\"]";
        "a variant that is not declared" => " variants = [\"k8s\"]";
        "a variant with a typo" => "recipe = 1\n[variants.docker]\n[images.app]\nfrom = \"scratch\"\nvariants = [\"dokcer\"]";
        "a variant's table with a typo" => "recipe = 1\n[variants.docker]\n[images.app]\nfrom = \"scratch\"\nvariants = [\"docker\"]\n[images.app.dokcer]\ncmd = []";
        "a variant's table that is no variant" => " [images.app.k8s]\ncmd = []";
        "a variant that the image does not list" => "recipe = 1\n[variants.docker]\n[variants.k8s]\n[images.app]\nfrom = \"scratch\"\nvariants = [\"docker\"]\n[images.app.k8s]\ncmd = []";
        "a variant that is no table" => "recipe = 1\n[variants.k8s]\n[images.app]\nfrom = \"scratch\"\nvariants = [\"k8s\"]\nk8s = true";
        "a variant that nobody uses" => "recipe = 1\n[variants.k8s]\n[images.app]\nfrom = \"scratch\"";
        "a user called root" => "recipe = 1\n[users.root]\nuid = 0\n[images.app]\nfrom = \"scratch\"";
        "a user with a space" => "recipe = 1\n[users.\"app user\"]\nuid = 1\n[images.app]\nfrom = \"scratch\"";
        "two users with one number" => "recipe = 1\n[users.a]\nuid = 1001\n[users.b]\nuid = 1001\n[images.app]\nfrom = \"scratch\"";
        "a home with a colon" => "recipe = 1\n[users.a]\nuid = 1001\nhome = \"/a:b\"\ncomment = \"x:y\"\n[images.app]\nfrom = \"scratch\"";
        "a user that is not declared" => "recipe = 1\n[users.appuser]\nuid = 1001\n[images.app]\nfrom = \"scratch\"\nusers = [\"appusr\"]";
        "a user listed twice" => "recipe = 1\n[users.a]\nuid = 1001\n[images.app]\nfrom = \"scratch\"\nusers = [\"a\", \"a\"]";
    ]
    bases: [
        "a base with a typo" => "recipe = 1\n[images.base]\nfrom = \"scratch\"\n[images.app]\nfrom = \"bas\"";
        "a bare word that is no image" => "recipe = 1\n[images.app]\nfrom = \"debian\"";
        "a place without a path" => "recipe = 1\n[images.app]\nfrom = \"archive\"";
        "a place with an empty path" => "recipe = 1\n[images.app]\nfrom = \"oci:\"";
        "a reference with a scheme" => "recipe = 1\n[images.app]\nfrom = \"docker://debian:13\"";
        "a reference in upper case" => "recipe = 1\n[images.app]\nfrom = \"Debian:13\"";
        "a digest that is too short" => "recipe = 1\n[images.app]\nfrom = \"r.example.com/x@sha256:abc\"";
        "credentials in a reference" => "recipe = 1\n[images.app]\nfrom = \"me:hunter2@r.example.com/x:1\"";
        "credentials in a reference, escaped" => "recipe = 1\n[images.app]\nfrom = \"me:hunter2\\u0040r.example.com/x:1\"";
        "an image on itself" => "recipe = 1\n[images.app]\nfrom = \"app\"";
        "a circle" => "recipe = 1\n[images.a]\nfrom = \"b\"\n[images.b]\nfrom = \"c\"\n[images.c]\nfrom = \"a\"";
        "a circle through a copy" => "recipe = 1\n[images.a]\nfrom = \"b\"\n[images.b]\nfrom = \"scratch\"\n[[images.b.layers]]\nimage = { image = \"a\", copy = \"/x\" }";
        "a circle of one variant" => "recipe = 1\n[variants.k8s]\n[images.a]\nfrom = \"scratch\"\nvariants = [\"k8s\"]\n[images.a.k8s]\nfrom = \"b\"\n[images.b]\nfrom = \"a\"\nvariants = [\"k8s\"]";
        "a base without the variant" => "recipe = 1\n[variants.docker]\n[variants.k8s]\n[images.base]\nfrom = \"scratch\"\nvariants = [\"docker\"]\n[images.app]\nfrom = \"base\"\nvariants = [\"docker\", \"k8s\"]";
        "a base in variants only" => "recipe = 1\n[variants.k8s]\n[images.base]\nfrom = \"scratch\"\nvariants = [\"k8s\"]\n[images.app]\nfrom = \"base\"";
        "a reference that reads like a variant" => "recipe = 1\n[variants.k8s]\n[images.base]\nfrom = \"scratch\"\nvariants = [\"k8s\"]\n[images.app]\nfrom = \"base:k8s\"";
        "a platform that the base lacks" => "recipe = 1\n[images.base]\nfrom = \"scratch\"\nplatforms = [\"linux/amd64\"]\n[images.app]\nfrom = \"base\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]";
        "a copy out of scratch" => " [[images.app.layers]]\nimage = { image = \"scratch\", copy = \"/x\" }";
    ]
    placeholders: [
        "a variable that is not set" => " repository = \"r.example.com/{env.NOWHERE}\"";
        "a git fact with a typo" => " tags = [\"{git.shrot}\"]";
        "a git fact that is not there" => " tags = [\"{git.tag}\"]";
        "a variant where there is none" => " tags = [\"{variant}\"]";
        "a placeholder that is none" => " tags = [\"{commit}\"]";
        "one in a repository" => " repository = \"r.example.com/{team}/x\"";
        "one in a reference" => "recipe = 1\n[images.app]\nfrom = \"r.example.com/base:{commit}\"";
        "an architecture in a tag" => " tags = [\"{arch}\"]";
        "a tag with a slash" => " tags = [\"r.example.com/x:1\"]";
        "a tag from the environment" => " tags = [\"{env.BUILD}/x\"]";
        "a repository with a tag" => " repository = \"r.example.com/x:1\"";
        "a repository with a digest" => " repository = \"r.example.com/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";
        "credentials in a repository" => " repository = \"https://me:hunter2@r.example.com/x\"";
        "two images of one name" => "recipe = 1\n[project]\nrepository = \"r.example.com/x\"\n[images.a]\nfrom = \"scratch\"\n[images.b]\nfrom = \"scratch\"";
        "two variants of one name" => "recipe = 1\n[variants.docker]\n[variants.k8s]\n[images.a]\nfrom = \"scratch\"\nvariants = [\"docker\", \"k8s\"]\ntags = [\"latest\"]";
        "a git fact in a path" => " [[images.app.layers]]\ncopy = [\"dist/{git.short}/x\"]";
        "a dollar without braces" => " env = { PATH = \"/app/bin:$PATH\" }";
        "an expression without an end" => " env = { PATH = \"/app/bin:${PATH\" }";
        "an expression that is not understood" => " env = { PATH = \"${PATH:?is missing}\" }";
        "a placeholder with a dollar" => " env = { COMMIT = \"${git.short}\" }";
        "an expression without a name" => " env = { X = \"${}\" }";
    ]
    sources: [
        "an absolute path to copy" => " [[images.app.layers]]\ncopy = [\"/app\"]";
        "a path that leaves the context" => " [[images.app.layers]]\ncopy = [\"../common\"]";
        "an item without a destination" => " [[images.app.layers]]\ncopy = [{ src = \"x\" }]";
        "a relative destination of a layer" => " [[images.app.layers]]\ncopy = [\"x\"]\nto = \"app\"";
        "a whiteout by name" => " [[images.app.layers]]\nfiles = { \"/a/.wh.b\" = \"\" }";
        "a file at the root" => " [[images.app.layers]]\nfiles = { \"/\" = \"\" }";
        "a directory with a wrong mode" => " [[images.app.layers]]\ndirs = { \"/data\" = { mode = \"rwx\" } }";
        "a directory with a mode alone" => " [[images.app.layers]]\ndirs = { \"/data\" = \"0750\" }";
        "a symlink to nothing" => " [[images.app.layers]]\nsymlinks = { \"/a\" = \"\" }";
        "an archive that is a URL" => " [[images.app.layers]]\narchive = \"https://example.com/x.tar\"";
        "an archive that is a directory" => " [[images.app.layers]]\narchive = \"dist/\"";
        "an image without copy" => " [[images.app.layers]]\nimage = { image = \"debian:13\" }";
        "a relative path of another image" => " [[images.app.layers]]\nimage = { image = \"debian:13\", copy = \"usr/bin/x\" }";
        "a download without a digest" => " [[images.app.layers]]\nfetch = { url = \"https://example.com/x\" }";
        "a download with a short digest" => " [[images.app.layers]]\nfetch = { url = \"https://example.com/x\", sha256 = \"abc\" }";
        "a download over ftp" => " [[images.app.layers]]\nfetch = { url = \"ftp://example.com/x\", sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" }";
        "a download with a password" => " [[images.app.layers]]\nfetch = { url = \"https://me:hunter2@example.com/x\", sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" }";
        "a download without a file name" => " [[images.app.layers]]\nfetch = { url = \"https://example.com/\", sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" }";
        "a download stripped but not unpacked" => " [[images.app.layers]]\nfetch = { url = \"https://example.com/x\", sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\", strip = 1 }";
        "a capability with a typo" => " [[images.app.layers]]\ncaps = { \"/usr/bin/ping\" = \"cap_net_rwa=ep\" }";
        "a capability without flags" => " [[images.app.layers]]\ncaps = { \"/usr/bin/ping\" = \"cap_net_raw\" }";
        "a pattern to remove" => " [[images.app.layers]]\nremove = [\"/var/cache/*\"]";
        "the root to remove" => " [[images.app.layers]]\nremove = [\"/\"]";
        "a package with an architecture" => " [[images.app.layers]]\ndebian = [\"curl:amd64\"]";
        "a package in upper case" => " [[images.app.layers]]\ndebian = [\"Curl\"]";
        "a package twice" => " [[images.app.layers]]\ndebian = [\"curl\", \"curl\"]";
        "no package" => " [[images.app.layers]]\ndebian = []";
        "a mirror with a password" => "recipe = 1\n[debian]\nmirror = \"https://me:hunter2@example.com/debian\"\n[images.app]\nfrom = \"scratch\"";
        "a snapshot without a place" => "recipe = 1\n[debian]\nsnapshot = \"https://example.com/{archive}\"\n[images.app]\nfrom = \"scratch\"";
        "an archive called debian" => "recipe = 1\n[debian.archives.debian]\nsuites = [\"trixie\"]\n[images.app]\nfrom = \"scratch\"";
        "python from nothing" => " [[images.app.layers]]\npython = { venv = \"/venv\" }";
        "python from two files" => " [[images.app.layers]]\npython = { requirements = \"a.txt\", pylock = \"pylock.toml\" }";
        "extras of a requirements file" => " [[images.app.layers]]\npython = { requirements = \"a.txt\", extras = [\"x\"] }";
        "python to two places" => " [[images.app.layers]]\npython = { requirements = \"a.txt\", venv = \"/venv\", target = \"/site\" }";
        "a Python of long ago" => " [[images.app.layers]]\npython = { requirements = \"a.txt\", version = \"2.7\" }";
        "a wheel that is none" => " [[images.app.layers]]\npython = { wheels = [\"x.tar.gz\"] }";
    ]
}

#[test]
fn no_secret_is_ever_drawn() {
    let places = [
        " from_ = 1\nrepository = \"https://me:hunter2@r.example.com/x\"",
        "recipe = 1\n[images.app]\nfrom = \"me:hunter2@r.example.com/x:1\"\nzzz = 1",
        " [[images.app.layers]]\nimage = { image = \"me:hunter2\\u0040r.example.com/x\", copy = \"/x\" }",
        "recipe = 1\n[debian]\nmirror = \"https://me:hunter2\\u0040example.com/debian\"\n[images.app]\nfrom = \"scratch\"",
        "recipe = 1\n[python]\nindex = { a = \"https://hunter2@example.com/simple\" }\n[images.app]\nfrom = \"scratch\"",
        " [[images.app.layers]]\narchive = \"https://me:hunter2@example.com/x.tar\"",
        " [[images.app.layers]]\ndebian = [\"https://me:hunter2@example.com/x\"]",
        " tags = [\"me:hunter2@r.example.com/x\"]",
    ];
    for text in places {
        let said = draw(&[("secret", text)]);
        assert!(said.contains("r.toml:"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let set = Inputs { set: vec![("repository".to_owned(), "https://me:hunter2@h/x".to_owned())], ..inputs() };
    let said = parse("r.toml", HEAD, &set).unwrap_err().to_string();
    assert!(said.contains("--set:1:") && !said.contains("hunter2"), "{said}");
}
