//! Packages in the real images, as Debian's and Python's own tools see them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::containers::{Container, RESTRICTED, podman, pull};
use crate::support::{
    self, Daemon, Layout, checkout, daemon, digests, directory, json, lapstrake, ok, pins, registry, run, scratch,
    text, tool, unpacked, wait_for,
};

/// What a program prints in an image, in a container of its own.
fn inside(image: &str, options: &[&str], arguments: &[&str]) -> String {
    let mut command = podman();
    command.args(["run", "--rm", "--pull=never"]);
    if !options.contains(&"--network") {
        command.args(["--network", "none"]);
    }
    ok(command.args(options).arg(image).args(arguments))
}

/// An image of a recipe, in podman.
fn pulled(recipe: &str, image: &str) -> String {
    match recipe {
        "eveai" => support::eveai(),
        "archon" => support::archon(),
        "static-site" => support::static_site(),
        _ => support::distroless(),
    };
    pull(&format!("{recipe}/{image}"))
}

/// `NAME VERSION ARCHITECTURE` of the lock's packages, sorted.
fn debian_pins(lock: &Value, platform: &str, layer: &str) -> Vec<String> {
    let line = |pin: &Value| format!("{} {} {}", text(&pin["name"]), text(&pin["version"]), text(&pin["architecture"]));
    let mut lines: Vec<String> = pins(lock, "debian", platform, layer).iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn dpkg_finds_nothing_wrong_and_lists_what_the_lock_has() {
    let format = "${db:Status-Abbrev}${Package} ${Version} ${Architecture}\n";
    for (recipe, image) in [("eveai", "base:latest"), ("archon", "server:k8s-latest")] {
        let name = pulled(recipe, image);
        let root = |arguments: &[&str]| inside(&name, &["--user", "0:0"], arguments);
        assert_eq!(root(&["dpkg", "--verify"]), "", "{recipe}/{image}");
        assert_eq!(root(&["dpkg", "--audit"]), "", "{recipe}/{image}");
        let listed = root(&["dpkg-query", "--show", "--showformat", format]);
        assert_eq!(installed(&listed), debian_pins(&support::recipe(recipe).lock(), "linux/amd64", "python/debian"));
    }
}

/// `NAME VERSION ARCHITECTURE` of what an image without dpkg says that is in it, sorted; what it says of files is true.
fn status_d(root: &Path) -> Vec<String> {
    assert!(!root.join("var/lib/dpkg/status").exists(), "one or the other");
    let check = "cd \"$1\" && md5sum --quiet --ignore-missing --check var/lib/dpkg/status.d/*.md5sums";
    assert_eq!(ok(tool("sh").args(["-c", check, "sh"]).arg(root)), "");
    let mut listed = Vec::new();
    for name in names(&root.join("var/lib/dpkg/status.d")) {
        if name.ends_with(".md5sums") {
            continue;
        }
        let control = fs::read_to_string(root.join("var/lib/dpkg/status.d").join(&name)).expect("a control file");
        let field = |wanted: &str| {
            let value = control.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(": "));
            value.unwrap_or_else(|| panic!("{name} has no {wanted}")).to_owned()
        };
        assert_eq!(field("Package"), name);
        listed.push(format!("{} {} {}", field("Package"), field("Version"), field("Architecture")));
    }
    listed.sort();
    listed
}

#[test]
fn images_without_dpkg_say_what_is_in_them() {
    for (recipe, image, layer) in
        [("archon", "frontend:k8s", "nginx/debian"), ("python-distroless", "python", "python/python")]
    {
        let recipe = support::recipe(recipe);
        for architecture in ["amd64", "arm64"] {
            let root = unpacked(&recipe.layout(), &recipe.of_platform(image, architecture));
            let pinned = debian_pins(&recipe.lock(), &format!("linux/{architecture}"), layer);
            assert_eq!(status_d(&root), pinned, "{image} for {architecture}");
            assert!(pinned.len() > 20, "{pinned:?}");
        }
    }
}

/// What dpkg-query lists, sorted. Everything is installed, and wanted.
fn installed(listed: &str) -> Vec<&str> {
    let line = |line: &'_ str| assert!(line.starts_with("ii "), "not installed: {line}");
    listed.lines().for_each(line);
    let mut lines: Vec<&str> = listed.lines().map(|line| &line[3..]).collect();
    lines.sort_unstable();
    assert!(lines.len() > 30, "{lines:?}");
    lines
}

/// Every file of every RECORD is there, with the length and the digest that it has there.
const RECORDS: &str = r#"
import base64, hashlib, importlib.metadata
for distribution in importlib.metadata.distributions():
    checked = 0
    for path in distribution.files:
        content = path.locate().read_bytes()
        if path.hash:
            digest = base64.urlsafe_b64encode(hashlib.new(path.hash.mode, content).digest()).rstrip(b"=").decode()
            assert digest == path.hash.value, (path, digest, path.hash.value)
            assert path.size == len(content), path
            checked += 1
    assert checked, distribution.name
    print(distribution.name.lower().replace("_", "-").replace(".", "-"), distribution.version)
"#;

/// `NAME VERSION` of the lock's wheels, sorted.
fn python_pins(lock: &Value, platform: &str, layer: &str) -> Vec<String> {
    let line = |pin: &Value| format!("{} {}", text(&pin["name"]), text(&pin["version"]));
    let mut lines: Vec<String> = pins(lock, "python", platform, layer).iter().map(line).collect();
    lines.sort();
    lines
}

fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn every_record_of_every_wheel_is_true() {
    for (recipe, image, layer) in
        [("eveai", "base:latest", "base/dependencies"), ("archon", "agents:k8s-latest", "agents:k8s/dependencies")]
    {
        let seen = inside(&pulled(recipe, image), &[], &["python3", "-c", RECORDS]);
        let lock = support::recipe(recipe).lock();
        assert_eq!(sorted_lines(&seen), python_pins(&lock, "linux/amd64", layer), "{recipe}/{image}");
    }
}

/// A recipe of this test's own: a base of a registry with pip and a company's certificates, and all of Debian's Essential set.
pub(crate) struct Inspection {
    pub(crate) lock: Value,
    directory: PathBuf,
    digests: BTreeMap<String, String>,
}

impl Inspection {
    pub(crate) fn layout(&self) -> Layout {
        Layout { directory: self.directory.join("layout") }
    }

    /// The files of an image.
    pub(crate) fn unpacked(&self, image: &str) -> PathBuf {
        unpacked(&self.layout(), &self.digests[image])
    }
}

/// The roots of `complete`, without the Essential set.
pub(crate) const ROOTS: [&str; 11] =
    ["apt", "ca-certificates", "curl", "git", "libstdc++6", "nginx", "openssl", "procps", "python3", "tini", "tzdata"];

pub(crate) fn inspection() -> &'static Inspection {
    static BUILT: OnceLock<Inspection> = OnceLock::new();
    BUILT.get_or_init(|| {
        support::eveai();
        let directory = directory("inspection");
        company(&directory);
        fs::copy(checkout().join("testdata/eveai/requirements.txt"), directory.join("requirements.txt"))
            .expect("a copy");
        fs::write(directory.join("pip.txt"), "pip\n").expect("requirements");
        let host = &registry().host;
        let recipe = format!(
            r#"
recipe = 1
[project]
name       = "inspection"
repository = "{host}/inspection/{{image}}"
platforms  = ["linux/amd64"]
[debian]
suites = ["trixie", "trixie-updates", "trixie-security"]
[images.company]
from = "{host}/eveai/base:latest"
[[images.company.layers]]
ca = ["company.pem"]
[[images.company.layers]]
name   = "pip"
python = {{ requirements = "pip.txt" }}
[images.complete]
from = "scratch"
[[images.complete.layers]]
name   = "debian"
debian = {{ packages = {ROOTS:?}, essential = true }}
[images.wheels]
from = "complete"
[[images.wheels.layers]]
name   = "site"
python = {{ requirements = "requirements.txt", target = "/site" }}
"#
        );
        let file = directory.join("lapstrake.toml");
        fs::write(&file, recipe).expect("the recipe");
        ok(lapstrake().arg("lock").arg("-f").arg(&file));
        let mut build = lapstrake();
        build.args(["build", "--no-cache", "--locked", "--push", "-f"]).arg(&file);
        let layout = directory.join("layout");
        let digests = digests(&ok(build.arg("-o").arg(format!("oci:{}", layout.display()))));
        support::assert_sound(&format!("oci:{}", layout.display()));
        Inspection { lock: support::read_lock(&file.with_extension("lock")), directory, digests }
    })
}

#[test]
fn pip_finds_no_broken_requirement() {
    inspection();
    let company = pull("inspection/company:latest");
    assert_eq!(inside(&company, &[], &["python3", "-m", "pip", "check"]).trim(), "No broken requirements found.");
    let listed = inside(&company, &[], &["python3", "-m", "pip", "list", "--format", "freeze"]);
    let listed: BTreeSet<String> =
        listed.lines().map(|line| line.replace("==", " ").replace('_', "-").to_lowercase()).collect();
    let mut expected: BTreeSet<String> =
        python_pins(&support::recipe("eveai").lock(), "linux/amd64", "base/dependencies").into_iter().collect();
    expected.extend(python_pins(&inspection().lock, "linux/amd64", "company/pip"));
    let listed: BTreeSet<String> = listed.into_iter().map(|line| line.replace("zope.", "zope-")).collect();
    assert_eq!(listed, expected);
}

#[test]
fn apt_could_go_on_from_here() {
    inspection();
    let complete = pull("inspection/complete:latest");
    inside(&complete, &[], &["apt-get", "check"]);
    assert_eq!(inside(&complete, &[], &["dpkg", "--audit"]), "");
    assert_eq!(inside(&complete, &[], &["dpkg", "--verify"]), "");
    // Nothing is unconfigured, nothing is missing, nothing would be added.
    let plan = inside(&complete, &[], &["apt-get", "install", "--simulate", "--fix-broken"]);
    assert!(plan.contains("0 upgraded, 0 newly installed, 0 to remove"), "{plan}");
    assert_eq!(inside(&complete, &[], &["update-alternatives", "--query", "awk"]).lines().next(), Some("Name: awk"));
    let added = inside(&complete, &[], &["update-ca-certificates"]);
    assert!(added.contains("0 added, 0 removed"), "{added}");
}

/// A company's certificate authority, and a server's certificate that it signed.
fn company(directory: &Path) {
    let openssl = |arguments: &str| ok(tool("openssl").current_dir(directory).args(arguments.split(' ')));
    fs::write(
        directory.join("server.ext"),
        "subjectAltName = DNS:localhost\nbasicConstraints = CA:FALSE\nauthorityKeyIdentifier = keyid\n",
    )
    .expect("extensions");
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /O=Company/CN=Authority -addext \
         keyUsage=critical,keyCertSign,cRLSign -keyout authority.key -out company.pem",
    );
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
    openssl(
        "x509 -req -days 2 -in server.csr -CA company.pem -CAkey authority.key -CAcreateserial -extfile server.ext \
         -out server.pem",
    );
}

/// Says how many certificates Python believes, and what it speaks with a server on loopback.
const HANDSHAKE: &str = r#"
import socket, ssl, sys
context = ssl.create_default_context()
print(len(context.get_ca_certs()))
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as secure:
        print(secure.version())
"#;

#[test]
fn tls_works_and_believes_the_company_where_it_was_added() {
    let inspection = inspection();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a port").port();
    let mut server = daemon("openssl");
    server.current_dir(&inspection.directory).args([
        "s_server",
        "-cert",
        "server.pem",
        "-key",
        "server.key",
        "-quiet",
        "-www",
    ]);
    let _server =
        Daemon::start(server.arg("-accept").arg(format!("127.0.0.1:{port}")), &inspection.directory.join("log"));
    wait_for("the server", Duration::from_secs(30), || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());

    let (port, options) = (port.to_string(), ["--network", "host"]);
    let company = pull("inspection/company:latest");
    let said = inside(&company, &options, &["python3", "-c", HANDSHAKE, &port]);
    let (certificates, version) = said.trim().split_once('\n').expect("two lines");
    assert!(certificates.parse::<usize>().expect("a number") > 100, "{certificates} certificates");
    assert_eq!(version, "TLSv1.3");
    // OpenSSL itself goes by the links that are named after hashes.
    let connect = format!("localhost:{port}");
    let client = [
        "openssl",
        "s_client",
        "-verify_return_error",
        "-no-CAfile",
        "-verify_hostname",
        "localhost",
        "-connect",
        &connect,
    ];
    let said = inside(&company, &options, &client);
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");

    // Without the layer, neither does.
    let plain = pulled("eveai", "base:latest");
    let options = ["run", "--rm", "--pull=never", "--network", "host", &plain];
    let refused = run(podman().args(options).args(["python3", "-c", HANDSHAKE, &port]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("CERTIFICATE_VERIFY_FAILED"), "{refused:?}");
    assert!(!run(podman().args(options).args(client)).status.success());
}

#[test]
fn accounts_have_names() {
    let who = "import getpass, os, pwd; print(pwd.getpwuid(os.getuid()), getpass.getuser())";
    let base = pulled("eveai", "base:latest");
    assert_eq!(inside(&base, &[], &["whoami"]).trim(), "appuser");
    let said = inside(&base, &[], &["python3", "-c", who]);
    assert!(said.contains("pw_name='appuser'") && said.contains("pw_uid=10001, pw_gid=10001"), "{said}");
    assert!(said.trim_end().ends_with(" appuser"), "{said}");
    let owner = inside(&base, &[], &["stat", "--format", "%U %G", "/app/common", "/etc/passwd"]);
    assert_eq!(owner, "appuser appuser\nroot root\n");
}

/// Whether it is a program or library that the loader has work with: ELF of 64 bits with a PT_DYNAMIC. Static programs
/// have none, nor has what only a linker reads.
fn is_dynamic(mut file: fs::File) -> bool {
    let mut head = [0; 64];
    if file.read_exact(&mut head).is_err() || !head.starts_with(b"\x7fELF\x02\x01") {
        return false;
    }
    let short = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let offset = u64::from_le_bytes(head[32..40].try_into().expect("eight bytes"));
    (0..u64::from(short(56))).any(|header| {
        let mut kind = [0; 4];
        file.seek(SeekFrom::Start(offset + header * u64::from(short(54)))).expect("a place in the file");
        file.read_exact(&mut kind).is_ok() && u32::from_le_bytes(kind) == 2
    })
}

/// Programs and libraries below a directory, as paths in the image.
fn programs(root: &Path, below: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(below).expect("a directory") {
        let path = entry.expect("an entry").path();
        let kind = fs::symlink_metadata(&path).expect("metadata");
        if kind.is_dir() {
            programs(root, &path, found);
        } else if kind.is_file() && fs::File::open(&path).is_ok_and(is_dynamic) {
            found.push(format!("/{}", path.strip_prefix(root).expect("a path below").display()));
        }
    }
}

/// Asks the image's own loader for the libraries of each file; says what is wrong.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const LIBRARIES: &str = r#"
while read -r path; do
    found=$(LOADER --list "$path" 2>&1) || case $found in *"statically linked"*) ;; *) echo "$path: $found" ;; esac
    case $found in *"not found"*) echo "$path: $found" ;; esac
done </list
"#;
const LIBRARIES_WITHOUT_A_SHELL: &str = r#"
import subprocess
for path in open("/list").read().splitlines():
    done = subprocess.run(["LOADER", "--list", path], capture_output=True, text=True)
    said = done.stdout + done.stderr
    if "not found" in said or done.returncode and "statically linked" not in said:
        print(path, said)
"#;

#[test]
fn every_program_and_every_library_finds_its_libraries() {
    for (recipe, image, name, at_least) in [
        ("eveai", "base", "base:latest", 200),
        ("archon", "agents:k8s", "agents:k8s-latest", 150),
        ("archon", "frontend:docker", "frontend:latest", 100),
        ("python-distroless", "python", "python:latest", 60),
    ] {
        let files = unpacked(&support::recipe(recipe).layout(), &support::recipe(recipe).of_platform(image, "amd64"));
        let mut found = Vec::new();
        programs(&files, &files, &mut found);
        assert!(found.len() >= at_least, "{recipe}/{image}: only {}", found.len());
        let list = directory("programs").join(format!("{recipe}-{}", image.replace(':', "-")));
        fs::write(&list, found.join("\n") + "\n").expect("a list");
        let volume = format!("{}:/list:ro", list.display());
        let command = match recipe {
            "python-distroless" => ["/usr/bin/python3", "-c", LIBRARIES_WITHOUT_A_SHELL],
            _ => ["bash", "-c", LIBRARIES],
        };
        let command = command.map(|word| word.replace("LOADER", LOADER));
        let wrong = inside(&pulled(recipe, name), &["--volume", &volume], &command.each_ref().map(String::as_str));
        assert_eq!(wrong, "", "{recipe}/{image}");
    }
}

#[test]
fn distroless_has_no_shell_and_no_dpkg_and_serves_on_a_read_only_root() {
    let recipe = support::recipe("python-distroless");
    let root = unpacked(&recipe.layout(), &recipe.of_platform("python", "amd64"));
    let bin: Vec<String> = names(&root.join("usr/bin"));
    for program in ["sh", "bash", "dash", "dpkg", "apt", "apt-get", "perl", "busybox"] {
        assert!(!bin.iter().any(|name| name == program), "{program} in {bin:?}");
    }

    let service = Container::start(&pulled("python-distroless", "python:latest"), &RESTRICTED, &[]);
    let facts: Value =
        serde_json::from_str(&service.ready("http://127.0.0.1:8080/").get("http://127.0.0.1:8080/")).expect("JSON");
    assert_eq!(facts["uid"], 65532);
    assert!(facts["certificates"].as_u64().is_some_and(|count| count > 100), "{facts}");
    service.assert_restricted(65532);
    let stopped = service.terminate();
    assert_eq!(stopped.code, 0, "{}", stopped.log);
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8")).collect();
    names.sort();
    names
}

/// Another directory, another home, another zone, an empty cache, one thread: the same lock, and from it the same images.
#[test]
fn locks_and_images_do_not_depend_on_where_they_are_made() {
    let original = support::recipe("eveai");
    let cold = directory("cold-cache");
    let copies = ["here", "there"].map(|name| directory(&format!("locks/{name}")));
    for (copy, cold) in [(&copies[0], None), (&copies[1], Some(&cold))] {
        let file = support::copy_of_recipe("eveai", copy);
        let mut lock = lapstrake();
        if let Some(cold) = cold {
            lock.env("LAPSTRAKE_CACHE_DIR", cold)
                .env("HOME", copy)
                .env("TZ", "Asia/Kathmandu")
                .env("LC_ALL", "tr_TR.UTF-8");
            lock.current_dir("/").args(["-j", "1"]);
        }
        ok(lock.arg("lock").arg("-f").arg(&file));
    }
    let [here, there] = copies.map(|copy| fs::read(copy.join("eveai.lock")).expect("a lock"));
    assert!(!here.is_empty() && here == there, "two locks of one recipe differ");

    let mut build = support::build("eveai");
    build.env("LAPSTRAKE_CACHE_DIR", &cold).env("HOME", scratch().join("locks")).env("TZ", "Asia/Kathmandu");
    build
        .current_dir("/")
        .args(["-j", "1", "--no-cache", "-o"])
        .arg(format!("oci:{}", scratch().join("cold").display()));
    assert_eq!(digests(&ok(&mut build)), original.digests, "with one thread and an empty cache");
    fs::remove_dir_all(&cold).expect("the cache is removed");
}

/// What skopeo sees of the indexes: both platforms, and the image of each.
#[test]
fn indexes_name_both_platforms() {
    for (name, image) in [("eveai", "app"), ("archon", "server:k8s"), ("python-distroless", "python")] {
        let recipe = support::recipe(name);
        support::assert_sound(&format!("oci:{}", recipe.layout().directory.display()));
        for architecture in ["amd64", "arm64"] {
            assert_eq!(recipe.image(image, architecture).config["architecture"], architecture, "{name}: {image}");
        }
        let reference = recipe.layout().names().into_iter().find(|(_, digest)| *digest == recipe.digests[image]);
        let (reference, _) = reference.expect("a name");
        let seen = json(tool("skopeo").args([
            "--override-arch",
            "arm64",
            "inspect",
            "--config",
            &format!("oci:{}:{reference}", recipe.layout().directory.display()),
        ]));
        assert_eq!(seen, recipe.image(image, "arm64").config, "{name}: {image}");
    }
}
