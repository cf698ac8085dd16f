//! What all tests share: one directory, one registry, every recipe built once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The checkout.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What cleans up when the process of the tests is gone, however it ended: daemons by their process IDs, containers by
/// podman, then the directory. It waits for the end of its input, of which this process holds the other end.
const KEEPER: &str = r#"
cat >/dev/null
clean() {
    for pid in "$1"/pids/*; do
        [ ! -e "$pid" ] || kill -9 "${pid##*/}" 2>/dev/null
    done
    for root in "$1"/podman/*; do
        [ -d "$root/store" ] || continue
        podman --root "$root/store" --runroot "$root/run" --cgroup-manager cgroupfs --events-backend file \
            rm --all --force --time 0 >/dev/null 2>&1
        umount "$root/store/overlay" 2>/dev/null
    done
    rm -rf "$1"
}
clean "$1"
# A program that was running when the tests were killed may still have been writing.
for again in 1 2 3 4 5 6; do
    sleep 5
    [ ! -e "$1" ] || clean "$1"
done
"#;

/// The directory of this run. It goes away with the process.
pub(crate) fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (directory, _) = SCRATCH.get_or_init(|| {
        let directory = tempfile::Builder::new().prefix("lapstrake-").tempdir().expect("a temporary directory");
        let directory = directory.keep().canonicalize().expect("the temporary directory");
        for name in ["pids", "home", "podman"] {
            fs::create_dir(directory.join(name)).expect("a directory");
        }
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        (directory, keeper)
    });
    directory
}

/// A new directory below [`scratch`].
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = scratch().join(name);
    fs::create_dir_all(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
    path
}

/// Where a program is; a failure that says what to do where it is nowhere.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("`{name}` is not installed, and this test needs it: run `tests/setup test`"))
}

/// A program with a plain environment and a time limit of five minutes.
pub(crate) fn tool(name: &str) -> Command {
    let mut command = Command::new(program("timeout"));
    command.args(["--kill-after=5", "300"]).arg(program(name));
    plain(&mut command);
    command
}

/// A program that goes on until it is killed.
pub(crate) fn daemon(name: &str) -> Command {
    let mut command = Command::new(program(name));
    plain(&mut command);
    command
}

/// No proxies, no credentials, no settings of whoever runs the tests.
fn plain(command: &mut Command) {
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("HOME", scratch().join("home"))
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
}

/// What of this machine's environment says where mirrors and indexes are and how they are reached; its files are looked
/// for by lapstrake itself.
const SUPPLY: [&str; 14] = [
    "LAPSTRAKE_DEBIAN_MIRROR",
    "LAPSTRAKE_DEBIAN_SNAPSHOT",
    "LAPSTRAKE_PYTHON_INDEX",
    "PIP_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The cache of all tests and of all runs: what mirrors and indexes once gave is not asked for again.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("system-cache")
}

/// The binary under test, with [`cache`].
pub(crate) fn lapstrake() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapstrake"));
    plain(&mut command);
    let uv =
        std::env::var_os("LAPSTRAKE_UV").map_or_else(|| checkout().join("testdata/build/uv/bin/uv"), PathBuf::from);
    command.env("LAPSTRAKE_CACHE_DIR", cache()).env("LAPSTRAKE_UV", uv);
    for name in SUPPLY {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs it to its end, whatever that is.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

/// Runs it, expects success, and returns what it wrote on standard output.
pub(crate) fn ok(command: &mut Command) -> String {
    let output = run(command);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n--- stdout\n{stdout}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

/// Runs it, expects success, and reads what it wrote as JSON.
pub(crate) fn json(command: &mut Command) -> Value {
    let text = ok(command);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command:?} wrote no JSON: {error}\n{text}"))
}

/// Asks again and again until there is an answer.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A process that ends with its owner, or with the tests.
pub(crate) struct Daemon {
    child: Child,
    noted: PathBuf,
}

impl Daemon {
    pub(crate) fn start(command: &mut Command, log: &Path) -> Daemon {
        let output = File::create(log).expect("a log");
        let child = command
            .stdout(output.try_clone().expect("a log"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let noted = scratch().join("pids").join(child.id().to_string());
        fs::write(&noted, "").expect("a note of the process");
        Daemon { child, noted }
    }

    fn assert_running(&mut self, what: &str, log: &Path) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("{what} ended: {status}\n{}", fs::read_to_string(log).unwrap_or_default());
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.noted);
    }
}

/// Debian's registry on a loopback port of its own.
pub(crate) struct Registry {
    /// HOST:PORT
    pub(crate) host: String,
    log: PathBuf,
    _daemon: Daemon,
}

/// The registry of this run.
pub(crate) fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(Registry::start)
}

impl Registry {
    fn start() -> Registry {
        let directory = directory("registry");
        let log = directory.join("log");
        // Between looking for a free port and taking it, another process may be faster.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a port");
            let host = port.to_string();
            let config = directory.join("config.yml");
            let text = format!(
                "version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: false }} }}\n\
                 storage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: \"{host}\" }}\n",
                directory.join("storage").display()
            );
            fs::write(&config, text).expect("a configuration");
            let mut daemon = Daemon::start(self::daemon("docker-registry").arg("serve").arg(&config), &log);
            let up = wait_for("the registry", Duration::from_secs(30), || {
                if daemon.child.try_wait().expect("the state of the registry").is_some() {
                    return Some(false);
                }
                run(tool("curl").args(["-sf", "-o", "/dev/null", &format!("http://{host}/v2/")]))
                    .status
                    .success()
                    .then_some(true)
            });
            if up {
                daemon.assert_running("the registry", &log);
                return Registry { host, log, _daemon: daemon };
            }
        }
        panic!("the registry does not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
    }

    /// The digest of what is under a tag.
    pub(crate) fn digest(&self, repository: &str, tag: &str) -> String {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.host);
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json";
        let headers = ok(tool("curl").args(["-sSf", "--head", "-H", accept, &url]));
        headers
            .lines()
            .find_map(|line| {
                line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("docker-content-digest"))
            })
            .map(|(_, digest)| digest.trim().to_owned())
            .unwrap_or_else(|| panic!("no digest for {url}:\n{headers}"))
    }

    /// The tags of a repository, sorted.
    pub(crate) fn tags(&self, repository: &str) -> Vec<String> {
        let found = json(tool("curl").args(["-sSf", &format!("http://{}/v2/{repository}/tags/list", self.host)]));
        let mut tags = strings(&found["tags"]);
        tags.sort();
        tags
    }

    /// `METHOD PATH STATUS` of every request that it answered for repositories whose names begin so.
    pub(crate) fn requests(&self, prefix: &str) -> Vec<String> {
        let wanted = format!("/v2/{prefix}");
        let mut log = Vec::new();
        File::open(&self.log).and_then(|mut file| file.read_to_end(&mut log)).expect("the registry's log");
        let line = |line: &str| {
            let (_, rest) = line.split_once("] \"")?;
            let (request, rest) = rest.split_once("\" ")?;
            let mut request = request.split(' ');
            let (method, path) = (request.next()?, request.next()?);
            let status = rest.split(' ').next()?;
            path.starts_with(&wanted).then(|| format!("{method} {path} {status}"))
        };
        String::from_utf8_lossy(&log).lines().filter_map(line).collect()
    }
}

/// Those requests that bring something: blobs, manifests.
pub(crate) fn that_send(requests: &[String]) -> Vec<&String> {
    requests.iter().filter(|line| !line.starts_with("GET ") && !line.starts_with("HEAD ")).collect()
}

/// A recipe that was built to all places and pushed.
pub(crate) struct Built {
    /// NAME or NAME:VARIANT → digest
    pub(crate) digests: BTreeMap<String, String>,
    directory: PathBuf,
}

/// A recipe of recipes/ with a lock that mirrors and indexes still have everything of, built anew for all its platforms.
pub(crate) struct Recipe {
    /// Where it is; its lock is beside it.
    pub(crate) file: PathBuf,
    /// NAME or NAME:VARIANT → digest of the image, or of the index where there are several platforms
    pub(crate) digests: BTreeMap<String, String>,
    directory: PathBuf,
}

/// What lapstrake says of a file that has left its mirror.
const GONE: &str = "is gone from its mirror";

/// The recipe of that name, built once. Where a package of its lock has left its mirror, a copy of the recipe beside a new
/// lock takes its place, and that is said on standard error: the tests are about what is built, not about mirrors.
pub(crate) fn recipe(name: &str) -> &'static Recipe {
    static RECIPES: Mutex<BTreeMap<String, &'static OnceLock<Recipe>>> = Mutex::new(BTreeMap::new());
    let recipe = {
        let mut recipes = RECIPES.lock().unwrap_or_else(PoisonError::into_inner);
        *recipes.entry(name.to_owned()).or_insert_with(|| Box::leak(Box::default()))
    };
    recipe.get_or_init(|| Recipe::new(name))
}

impl Recipe {
    fn new(name: &str) -> Recipe {
        let directory = directory(&format!("all/{name}"));
        let build = |file: &Path| {
            let mut command = build_from(name, file);
            // What earlier runs made is no proof of anything; what they downloaded is.
            command.arg("--no-cache").arg("-o").arg(format!("oci:{}", directory.join("layout").display()));
            command
        };
        let file = checkout().join(format!("recipes/{name}.toml"));
        let output = run(&mut build(&file));
        if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains(GONE) {
            eprintln!("{name}: something of the lock has left its mirror; going on with a new lock");
            let file = relocked(name, &directory);
            let digests = digests(&ok(&mut build(&file)));
            return Recipe { file, digests, directory };
        }
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "building {name} failed: {}\n{talk}", output.status);
        Recipe { file, digests: digests(&String::from_utf8_lossy(&output.stdout)), directory }
    }

    /// The layout with all platforms.
    pub(crate) fn layout(&self) -> Layout {
        Layout { directory: self.directory.join("layout") }
    }

    /// The image of one platform.
    pub(crate) fn image(&self, image: &str, architecture: &str) -> Image {
        self.layout().image(&self.of_platform(image, architecture))
    }

    /// The digest of the image of one platform.
    pub(crate) fn of_platform(&self, image: &str, architecture: &str) -> String {
        self.layout().of_platform(&self.digests[image], architecture)
    }

    /// The lock.
    pub(crate) fn lock(&self) -> Value {
        read_lock(&self.file.with_extension("lock"))
    }
}

/// A lock.
pub(crate) fn read_lock(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a lock has for a layer, `IMAGE/LAYER`: packages where `kind` is `debian`, wheels where it is `python`.
pub(crate) fn pins(lock: &Value, kind: &str, platform: &str, layer: &str) -> Vec<Value> {
    let is_it =
        |entry: &&Value| entry["platform"] == platform && strings(&entry["layers"]).iter().any(|name| name == layer);
    let entries = lock[kind].as_array().unwrap_or_else(|| panic!("no {kind} in the lock"));
    let entry = entries.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} for {layer} on {platform}"));
    let pins = if kind == "debian" { &entry["packages"] } else { &entry["wheels"] };
    pins.as_array().expect("pins").clone()
}

/// The files of an image, unpacked by GNU tar, once.
pub(crate) fn unpacked(layout: &Layout, digest: &str) -> PathBuf {
    static UNPACKED: Mutex<BTreeMap<String, &'static OnceLock<()>>> = Mutex::new(BTreeMap::new());
    let path = scratch().join("unpacked").join(digest.replace(':', "-"));
    let once = {
        let mut unpacked = UNPACKED.lock().unwrap_or_else(PoisonError::into_inner);
        *unpacked.entry(digest.to_owned()).or_insert_with(|| Box::leak(Box::default()))
    };
    once.get_or_init(|| {
        fs::create_dir_all(&path).expect("a directory");
        for layer in layout.image(digest).layers() {
            let mut tar = tool("tar");
            tar.args(["--extract", "--gzip", "--numeric-owner", "--same-owner", "--preserve-permissions"]);
            ok(tar
                .args(["--keep-directory-symlink", "--directory"])
                .arg(&path)
                .arg("--file")
                .arg(layout.blob(&layer.digest)));
            let removed = layout.entries(&layer.digest).into_iter().find(|entry| entry.contains("/.wh."));
            assert_eq!(removed, None, "tar knows no whiteouts");
        }
    });
    path
}

/// A copy of a recipe, in no checkout, and locked anew.
fn relocked(name: &str, directory: &Path) -> PathBuf {
    let file = copy_of_recipe(name, directory);
    ok(lapstrake().arg("lock").arg("-f").arg(&file));
    file
}

/// A copy of a recipe without its lock, in a directory that is no checkout.
pub(crate) fn copy_of_recipe(name: &str, directory: &Path) -> PathBuf {
    let text = fs::read_to_string(checkout().join(format!("recipes/{name}.toml"))).expect("the recipe");
    let context = "context    = \"../";
    assert!(text.contains(context), "{name}: the context is not beside the recipes");
    let text = text.replace(context, &format!("context    = \"{}/", checkout().display()));
    let file = directory.join(format!("{name}.toml"));
    fs::write(&file, text.replace("{git.short}", &commit())).expect("the copy of the recipe");
    file
}

/// The start of a build of a recipe of recipes/ under names of the registry of this run; options may follow.
pub(crate) fn build(name: &str) -> Command {
    build_from(name, &recipe(name).file)
}

fn build_from(name: &str, file: &Path) -> Command {
    let mut command = lapstrake();
    command.arg("build").arg("-f").arg(file);
    // A recipe without packages has no lock.
    if file.with_extension("lock").exists() {
        command.arg("--locked");
    }
    command.args(["--set", &format!("repository={}/{name}/{{image}}", registry().host)]);
    command
}

/// The kinds of places that a file or directory can be, with the name that [`Built`] gives it.
pub(crate) const PLACES: [(&str, &str); 4] =
    [("oci", "layout"), ("oci-archive", "oci.tar"), ("docker-archive", "docker.tar"), ("archive", "hybrid.tar")];

impl Built {
    fn new(name: &str) -> Built {
        let directory = directory(name);
        let recipe = recipe(name);
        let mut command = build(name);
        command.args(["--platform", "linux/amd64", "--push"]);
        for (kind, file) in PLACES {
            command.args(["-o", &format!("{kind}:{}", directory.join(file).display())]);
        }
        let digests = digests(&ok(&mut command));
        // Built by itself, found again or made anew, an image of one platform is what it is in the index of all.
        let all = recipe.layout();
        for (image, digest) in &digests {
            assert_eq!(all.of_platform(&recipe.digests[image], "amd64"), *digest, "{name}: {image}");
        }
        let built = Built { digests, directory };
        for (kind, _) in PLACES {
            assert_sound(&built.place(kind));
        }
        built
    }

    /// The path of a place of that kind.
    pub(crate) fn path(&self, kind: &str) -> PathBuf {
        let (_, file) = PLACES.iter().find(|(known, _)| *known == kind).expect("a kind of place");
        self.directory.join(file)
    }

    /// `KIND:PATH`
    pub(crate) fn place(&self, kind: &str) -> String {
        format!("{kind}:{}", self.path(kind).display())
    }

    /// The layout.
    pub(crate) fn layout(&self) -> Layout {
        Layout { directory: self.path("oci") }
    }
}

/// What `build` prints, as NAME or NAME:VARIANT → digest.
pub(crate) fn digests(stdout: &str) -> BTreeMap<String, String> {
    let line = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
        [name, "-", digest, _] => (name.to_owned(), digest.to_owned()),
        [name, variant, digest, _] => (format!("{name}:{variant}"), digest.to_owned()),
        _ => panic!("not a line for an image: {line:?}"),
    };
    stdout.lines().map(line).collect()
}

macro_rules! built_once {
    ($name:ident, $recipe:literal) => {
        #[doc = concat!("The images of recipes/", $recipe, ".toml, pushed to `", $recipe, "/IMAGE`.")]
        pub(crate) fn $name() -> &'static Built {
            static BUILT: OnceLock<Built> = OnceLock::new();
            BUILT.get_or_init(|| Built::new($recipe))
        }
    };
}
built_once!(eveai, "eveai");
built_once!(archon, "archon");
built_once!(hello, "hello");
built_once!(static_site, "static-site");
built_once!(distroless, "python-distroless");

/// The validator finds nothing at all: no error and no warning.
pub(crate) fn assert_sound(place: &str) {
    // Quiet: nothing but findings is told.
    let output = run(lapstrake().args(["inspect", "--validate", "--progress", "quiet", place]));
    let findings = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && findings.is_empty(), "{place} is not sound: {}\n{findings}", output.status);
}

/// An OCI layout, read without any of lapstrake's code.
pub(crate) struct Layout {
    pub(crate) directory: PathBuf,
}

/// An image of a layout.
pub(crate) struct Image {
    pub(crate) manifest: Value,
    pub(crate) config: Value,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) digest: String,
    /// What the history says of it.
    pub(crate) made_by: String,
}

impl Layout {
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        self.directory.join("blobs").join(digest.replace(':', "/"))
    }

    fn read(&self, digest: &str) -> Value {
        let path = self.blob(digest);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Name → digest of its manifest.
    pub(crate) fn names(&self) -> BTreeMap<String, String> {
        let index = fs::read(self.directory.join("index.json")).expect("the layout's index");
        let index: Value = serde_json::from_slice(&index).expect("the layout's index");
        let entries = index["manifests"].as_array().expect("manifests");
        let entry = |entry: &Value| {
            let name = &entry["annotations"]["org.opencontainers.image.ref.name"];
            (text(name).to_owned(), text(&entry["digest"]).to_owned())
        };
        entries.iter().map(entry).collect()
    }

    /// The image for an architecture that an index names; the image itself where it is no index.
    pub(crate) fn of_platform(&self, digest: &str, architecture: &str) -> String {
        let document = self.read(digest);
        let Some(manifests) = document["manifests"].as_array() else { return digest.to_owned() };
        let found = manifests.iter().find(|manifest| manifest["platform"]["architecture"] == architecture);
        text(&found.unwrap_or_else(|| panic!("nothing for {architecture}: {document}"))["digest"]).to_owned()
    }

    pub(crate) fn image(&self, digest: &str) -> Image {
        let manifest = self.read(digest);
        let config = self.read(text(&manifest["config"]["digest"]));
        Image { manifest, config }
    }

    /// The names in a layer's tar, as GNU tar sees them.
    pub(crate) fn entries(&self, layer: &str) -> Vec<String> {
        ok(tool("tar").args(["--list", "--gzip", "--quoting-style=literal", "--file"]).arg(self.blob(layer)))
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Layer {
    /// Whether Debian's packages or Python's wheels are what is in it.
    pub(crate) fn is_of_packages(&self) -> bool {
        let what = self.made_by.rsplit(": ").next().unwrap_or_default().split(' ').next();
        matches!(what, Some("debian" | "python"))
    }
}

impl Image {
    pub(crate) fn layers(&self) -> Vec<Layer> {
        let digests = self.manifest["layers"].as_array().expect("layers").iter().map(|layer| text(&layer["digest"]));
        let history = self.config["history"].as_array().expect("history").iter();
        let lines = history.filter(|line| line["empty_layer"] != true).map(|line| text(&line["created_by"]));
        digests.zip(lines).map(|(digest, line)| Layer { digest: digest.to_owned(), made_by: line.to_owned() }).collect()
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

pub(crate) fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}")).iter().map(|one| text(one).to_owned()).collect()
}

/// The first seven digits of the commit, as git itself says.
pub(crate) fn commit() -> String {
    let directory = format!("safe.directory={}", checkout().display());
    let commit = ok(tool("git").args(["-c", &directory, "-C"]).arg(checkout()).args(["rev-parse", "HEAD"]));
    commit[..7].to_owned()
}
