//! A project in a temporary directory, the binary run in it, and images read back with other code than wrote them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_lapstrake");

/// A directory with a recipe (`lapstrake.toml`), a context (`ctx`), and a home for the cache.
pub(crate) struct Project {
    directory: TempDir,
}

impl Project {
    /// With nothing in it.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::Builder::new().prefix("lapstrake-cli-").tempdir().unwrap();
        // Other users of the machine may look at it: some tests run as one.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["home", "tmp", "ctx"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        fs::set_permissions(directory.path().join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        Project { directory }
    }

    /// With a recipe: its text after `recipe = 1` and a `[project]` of which the context is `ctx`.
    pub(crate) fn new(images: &str) -> Self {
        let project = Project::empty();
        project.recipe(images);
        project
    }

    /// Writes the recipe anew.
    pub(crate) fn recipe(&self, images: &str) {
        self.write("lapstrake.toml", format!("{HEAD}{images}"));
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// Writes a file, with its parents.
    pub(crate) fn write(&self, below: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    pub(crate) fn chmod(&self, below: &str, mode: u32) -> &Self {
        fs::set_permissions(self.path(below), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// The binary, in this directory, with a clean environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.wrapped(BINARY, &[], arguments)
    }

    /// Another program that is handed the binary and its arguments, in the same environment.
    pub(crate) fn wrapped(&self, program: &str, before: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(before)
            .args(arguments)
            .current_dir(self.root())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.end(self.command(arguments))
    }

    /// Runs a command to its end.
    pub(crate) fn end(&self, mut command: Command) -> Run {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Run {
            shown: format!("{command:?}"),
            root: self.root().to_str().unwrap().to_owned(),
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("standard error is text"),
        }
    }

    /// Builds everything into `oci:out`, checks all of it, and reads it.
    pub(crate) fn build(&self) -> Layout {
        self.build_with(&[])
    }

    pub(crate) fn build_with(&self, more: &[&str]) -> Layout {
        let mut arguments = vec!["build", "-o", "oci:out"];
        arguments.extend(more);
        self.run(&arguments).ok();
        self.layout("out")
    }

    /// Reads a layout, and holds it to everything that lapstrake's validator knows.
    pub(crate) fn layout(&self, below: &str) -> Layout {
        self.sound(&format!("oci:{}", self.path(below).display()));
        Layout::read(&self.path(below))
    }

    /// Recomputes everything about a place on this machine.
    pub(crate) fn sound(&self, place: &str) {
        let place = lapstrake::place::Place::parse(place).unwrap();
        let source = lapstrake::place::open(&place, &self.path("tmp")).unwrap();
        let findings = lapstrake::validate::source(&source);
        let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
        // For `tests/reliability/run --only images`: how many images, and what the validator says.
        if let Some(log) = std::env::var_os("LAPSTRAKE_TEST_IMAGES") {
            let mut log = fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
            let words = text.join("; ").replace('\n', " ");
            log.write_all(format!("{}\t{words}\n", source.roots().unwrap().len()).as_bytes()).unwrap();
        }
        assert!(lapstrake::validate::is_sound(&findings), "{}", text.join("\n"));
    }
}

/// What recipes of tests begin with.
pub(crate) const HEAD: &str = r#"recipe = 1
[project]
name = "test"
context = "ctx"
repository = "registry.example.com/{image}"
platforms = ["linux/amd64"]
"#;

/// How a command ended.
pub(crate) struct Run {
    pub(crate) shown: String,
    root: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    /// With exit code 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    /// With that exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}\n{}", self.shown, self.stdout(), self.stderr);
        self
    }

    /// With that exit code, nothing on standard output, and a text on standard error, which is given.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        let run = self.code(code);
        assert_eq!(run.stdout(), "", "a failure has no results");
        assert!(!run.stderr.trim().is_empty(), "a failure says why");
        run.told()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error without what tells how it went on and what came out: it has times.
    pub(crate) fn said(&self) -> String {
        let progress =
            regex_of(r"(?m)^(\[ *[0-9.]+s\] .*|IMAGE  [\s\S]*?^[0-9]+ images? in .*|[0-9]+ images? in .*)\n");
        progress.replace_all(&self.stderr, "").into_owned()
    }

    /// Standard error, without what changes from run to run.
    pub(crate) fn told(&self) -> String {
        let text = self.stderr.replace(&format!("{}/", self.root), "[DIR]/").replace(&self.root, "[DIR]");
        let digest = regex_of("sha256:[0-9a-f]{64}");
        let times = regex_of("[0-9.]+ s\\b");
        let text = digest.replace_all(&text, "[DIGEST]");
        times.replace_all(&text, "[TIME]").into_owned()
    }

    /// The result lines, as columns.
    pub(crate) fn lines(&self) -> Vec<Vec<String>> {
        self.stdout().lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// The digests of the result lines.
    pub(crate) fn digests(&self) -> Vec<String> {
        self.lines().into_iter().map(|mut columns| columns.remove(2)).collect()
    }
}

fn regex_of(pattern: &str) -> regex::Regex {
    regex::Regex::new(pattern).unwrap()
}

/// A layout as it lies on the disk, read with nothing of lapstrake.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    directory: PathBuf,
    pub(crate) index: Value,
}

/// An image of a layout.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) digest: String,
    pub(crate) manifest: Value,
    pub(crate) config: Value,
    /// Uncompressed.
    pub(crate) layers: Vec<Vec<u8>>,
}

impl Layout {
    pub(crate) fn read(directory: &Path) -> Self {
        let index = serde_json::from_slice(&fs::read(directory.join("index.json")).unwrap()).unwrap();
        Layout { directory: directory.to_owned(), index }
    }

    pub(crate) fn blob(&self, digest: &str) -> Vec<u8> {
        let hex = digest.strip_prefix("sha256:").unwrap();
        fs::read(self.directory.join("blobs/sha256").join(hex)).unwrap()
    }

    fn document(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.blob(digest)).unwrap()
    }

    /// Full references of what is in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = self.index["manifests"].as_array().unwrap();
        let name = |entry: &Value| entry["annotations"]["io.containerd.image.name"].as_str().unwrap_or("-").to_owned();
        let mut names: Vec<String> = entries.iter().map(name).collect();
        names.sort();
        names
    }

    /// The descriptor of the image whose reference begins so.
    pub(crate) fn entry(&self, name: &str) -> Value {
        let entries = self.index["manifests"].as_array().unwrap();
        let found = entries.iter().find(|entry| {
            let annotations = &entry["annotations"];
            let full = annotations["io.containerd.image.name"].as_str().unwrap_or_default();
            let short = annotations["org.opencontainers.image.ref.name"].as_str().unwrap_or_default();
            full == format!("registry.example.com/{name}:latest")
                || full == format!("registry.example.com/{name}")
                || full == name
                || short == name
        });
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.names())).clone()
    }

    /// The image of that name, which is for one platform.
    pub(crate) fn image(&self, name: &str) -> Image {
        self.at(self.entry(name)["digest"].as_str().unwrap())
    }

    /// The images of an index, by platform.
    pub(crate) fn platforms(&self, name: &str) -> BTreeMap<String, Image> {
        let index = self.document(self.entry(name)["digest"].as_str().unwrap());
        let entries = index["manifests"].as_array().expect("an index");
        let platform = |entry: &Value| {
            let platform = &entry["platform"];
            format!("{}/{}", platform["os"].as_str().unwrap(), platform["architecture"].as_str().unwrap())
        };
        entries.iter().map(|entry| (platform(entry), self.at(entry["digest"].as_str().unwrap()))).collect()
    }

    fn at(&self, digest: &str) -> Image {
        let manifest = self.document(digest);
        let config = self.document(manifest["config"]["digest"].as_str().unwrap());
        let layers = manifest["layers"].as_array().unwrap().iter().map(|layer| {
            let bytes = self.blob(layer["digest"].as_str().unwrap());
            inflate(&bytes)
        });
        let layers = layers.collect();
        Image { digest: digest.to_owned(), manifest, config, layers }
    }
}

impl Image {
    /// The container's settings.
    pub(crate) fn settings(&self) -> &Value {
        &self.config["config"]
    }

    /// What each layer holds, one text a layer.
    pub(crate) fn listings(&self) -> Vec<String> {
        self.layers.iter().map(|layer| listing(layer)).collect()
    }

    /// What the topmost layer holds.
    pub(crate) fn top(&self) -> String {
        listing(self.layers.last().expect("a layer"))
    }

    /// The content of a file of the topmost layer that has it.
    pub(crate) fn file(&self, path: &str) -> String {
        for layer in self.layers.iter().rev() {
            let mut archive = tar::Archive::new(&layer[..]);
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                if entry.path_bytes().as_ref() == path.as_bytes() {
                    let mut text = String::new();
                    entry.read_to_string(&mut text).unwrap();
                    return text;
                }
            }
        }
        panic!("no {path} in any layer");
    }

    /// Digests of the stored layers.
    pub(crate) fn layer_digests(&self) -> Vec<String> {
        let layers = self.manifest["layers"].as_array().unwrap();
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    }

    /// Lines of history: `created_by`, in brackets where no layer came of it.
    pub(crate) fn history(&self) -> Vec<String> {
        let lines = self.config["history"].as_array().cloned().unwrap_or_default();
        let shown = |line: &Value| {
            let text = line["created_by"].as_str().unwrap_or("-");
            if line["empty_layer"] == json!(true) { format!("({text})") } else { text.to_owned() }
        };
        lines.iter().map(shown).collect()
    }
}

/// One line an entry: kind, mode, owner, path and what matters of its kind.
pub(crate) fn listing(layer: &[u8]) -> String {
    let mut text = String::new();
    let mut archive = tar::Archive::new(layer);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let (mode, uid, gid) = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
        let link = link.unwrap_or_default();
        let capabilities: Vec<String> = entry
            .pax_extensions()
            .unwrap()
            .into_iter()
            .flatten()
            .map(|record| record.unwrap())
            .filter(|record| record.key_bytes().starts_with(b"SCHILY.xattr."))
            .map(|record| format!(" [{}]", record.key().unwrap()))
            .collect();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => ("d", String::new()),
            tar::EntryType::Symlink => ("l", format!(" -> {link}")),
            tar::EntryType::Link => ("h", format!(" => {link}")),
            tar::EntryType::Regular => ("f", format!(" {}", header.size().unwrap())),
            other => panic!("{path}: {other:?}"),
        };
        let extra = capabilities.concat();
        text.push_str(&format!("{} {mode:04o} {uid}:{gid} {path}{}{extra}\n", kind.0, kind.1));
    }
    text
}

/// Decompresses by what the bytes begin with.
pub(crate) fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match bytes {
        [0x1f, 0x8b, ..] => drop(flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap()),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => plain = zstd::stream::decode_all(bytes).unwrap(),
        _ => plain.extend_from_slice(bytes),
    }
    plain
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A tar, entry by entry, as other tools write it: with names, times and `./`.
pub(crate) struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Tar(tar::Builder::new(Vec::new()))
    }

    fn entry(
        mut self,
        kind: tar::EntryType,
        path: &str,
        mode: u32,
        owner: (u64, u64),
        link: &str,
        data: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        header.set_path(path).unwrap();
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    pub(crate) fn dir(self, path: &str, mode: u32, uid: u64, gid: u64) -> Self {
        self.entry(tar::EntryType::Directory, path, mode, (uid, gid), "", b"")
    }

    pub(crate) fn file(self, path: &str, mode: u32, contents: &(impl AsRef<[u8]> + ?Sized)) -> Self {
        self.entry(tar::EntryType::Regular, path, mode, (0, 0), "", contents.as_ref())
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, path, 0o777, (0, 0), target, b"")
    }

    pub(crate) fn hard(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, path, 0o644, (0, 0), target, b"")
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// How a layer of a base is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Plain,
    Gzip,
    Zstd,
}

/// A base image that no code of lapstrake had a part in.
#[derive(Clone)]
pub(crate) struct Base {
    /// Layers, uncompressed, and how each is stored.
    pub(crate) layers: Vec<(Vec<u8>, Stored)>,
    /// The config but for `rootfs`.
    pub(crate) config: Value,
    /// Docker's media types.
    pub(crate) docker: bool,
}

impl Base {
    pub(crate) fn of(layer: Vec<u8>) -> Self {
        let config = json!({ "architecture": "amd64", "os": "linux", "config": {} });
        Base { layers: vec![(layer, Stored::Gzip)], config, docker: false }
    }

    /// A small system with merged /usr, as Debian has it.
    pub(crate) fn debian() -> Self {
        Base::of(debian_tar())
    }

    pub(crate) fn settings(mut self, settings: Value) -> Self {
        self.config["config"] = settings;
        self
    }

    fn media(&self, what: &str, stored: Stored) -> String {
        let (oci, docker) = ("application/vnd.oci.image", "application/vnd.docker");
        match (what, self.docker, stored) {
            ("manifest", false, _) => format!("{oci}.manifest.v1+json"),
            ("manifest", true, _) => format!("{docker}.distribution.manifest.v2+json"),
            ("config", false, _) => format!("{oci}.config.v1+json"),
            ("config", true, _) => format!("{docker}.container.image.v1+json"),
            ("index", false, _) => format!("{oci}.index.v1+json"),
            ("index", true, _) => format!("{docker}.distribution.manifest.list.v2+json"),
            (_, false, Stored::Plain) => format!("{oci}.layer.v1.tar"),
            (_, false, Stored::Gzip) => format!("{oci}.layer.v1.tar+gzip"),
            (_, false, Stored::Zstd) => format!("{oci}.layer.v1.tar+zstd"),
            (_, true, Stored::Plain) => format!("{docker}.image.rootfs.diff.tar"),
            (_, true, Stored::Gzip) => format!("{docker}.image.rootfs.diff.tar.gzip"),
            (_, true, Stored::Zstd) => format!("{docker}.image.rootfs.diff.tar.zstd"),
        }
    }

    /// Puts its blobs into a list; gives the manifest's descriptor.
    pub(crate) fn blobs(&self, blobs: &mut BTreeMap<String, Vec<u8>>) -> Value {
        let mut put = |bytes: Vec<u8>, media: String| {
            let descriptor = json!({ "mediaType": media, "digest": sha256(&bytes), "size": bytes.len() });
            blobs.insert(sha256(&bytes), bytes);
            descriptor
        };
        let mut config = self.config.clone();
        let diff_ids: Vec<String> = self.layers.iter().map(|(tar, _)| sha256(tar)).collect();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": diff_ids });
        let config = put(serde_json::to_vec(&config).unwrap(), self.media("config", Stored::Plain));
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|(tar, stored)| {
                let bytes = match stored {
                    Stored::Plain => tar.clone(),
                    Stored::Gzip => gzip(tar),
                    Stored::Zstd => zstd::stream::encode_all(&tar[..], 3).unwrap(),
                };
                put(bytes, self.media("layer", *stored))
            })
            .collect();
        let media = self.media("manifest", Stored::Plain);
        let manifest = json!({ "schemaVersion": 2, "mediaType": media, "config": config, "layers": layers });
        put(serde_json::to_vec(&manifest).unwrap(), media)
    }

    /// The files of a layout with this image alone.
    fn files(&self, name: Option<&str>) -> BTreeMap<String, Vec<u8>> {
        let mut blobs = BTreeMap::new();
        let mut descriptor = self.blobs(&mut blobs);
        if let Some(name) = name {
            descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        }
        layout_files(blobs, &[descriptor])
    }

    /// As a layout directory.
    pub(crate) fn layout(&self, directory: &Path) {
        write_files(directory, self.files(None));
    }

    /// As `oci-archive`, in the way of `skopeo copy`.
    pub(crate) fn oci_archive(&self, file: &Path) {
        fs::write(file, tar_of(self.files(Some("latest")))).unwrap();
    }

    /// As `docker save` writes it: a manifest.json, the config by its ID, plain layers.
    pub(crate) fn docker_archive(&self, file: &Path, tag: &str) {
        let mut config = self.config.clone();
        let diff_ids: Vec<String> = self.layers.iter().map(|(tar, _)| sha256(tar)).collect();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": diff_ids });
        let config = serde_json::to_vec(&config).unwrap();
        let id = sha256(&config)[7..].to_owned();
        let mut files = BTreeMap::new();
        let mut names = Vec::new();
        for (number, (tar, _)) in self.layers.iter().enumerate() {
            let name = format!("{number:064x}/layer.tar");
            files.insert(name.clone(), tar.clone());
            names.push(name);
        }
        let manifest = json!([{ "Config": format!("{id}.json"), "RepoTags": [tag], "Layers": names }]);
        files.insert(format!("{id}.json"), config);
        files.insert("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap());
        fs::write(file, tar_of(files)).unwrap();
    }

    /// An index of several images for several platforms, as a layout.
    pub(crate) fn index(images: &[Base], directory: &Path) {
        let mut blobs = BTreeMap::new();
        let mut entries = Vec::new();
        for image in images {
            let mut descriptor = image.blobs(&mut blobs);
            let architecture = &image.config["architecture"];
            descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
            entries.push(descriptor);
        }
        // What buildkit adds, and nobody may take for an image of a platform.
        let unknown = json!({ "os": "unknown", "architecture": "unknown" });
        let mut attestation = entries[0].clone();
        attestation["platform"] = unknown;
        attestation["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
        entries.push(attestation);
        let media = images[0].media("index", Stored::Plain);
        let index = json!({ "schemaVersion": 2, "mediaType": media, "manifests": entries });
        let bytes = serde_json::to_vec(&index).unwrap();
        let descriptor = json!({ "mediaType": media, "digest": sha256(&bytes), "size": bytes.len() });
        blobs.insert(sha256(&bytes), bytes);
        write_files(directory, layout_files(blobs, &[descriptor]));
    }
}

fn layout_files(blobs: BTreeMap<String, Vec<u8>>, entries: &[Value]) -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<String, Vec<u8>> =
        blobs.into_iter().map(|(digest, bytes)| (format!("blobs/sha256/{}", &digest[7..]), bytes)).collect();
    let index = json!({ "schemaVersion": 2, "manifests": entries });
    files.insert("index.json".to_owned(), serde_json::to_vec(&index).unwrap());
    files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    files
}

fn write_files(directory: &Path, files: BTreeMap<String, Vec<u8>>) {
    for (path, bytes) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn tar_of(files: BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// What a small Debian system looks like, as far as layers can spoil it.
pub(crate) fn debian_tar() -> Vec<u8> {
    Tar::new()
        .link("bin", "usr/bin")
        .link("lib", "usr/lib")
        .dir("etc/", 0o755, 0, 0)
        .file("etc/group", 0o644, "root:x:0:\nstaff:x:50:\nvideo:x:44:\n")
        .file("etc/gshadow", 0o640, "root:*::\nstaff:*::\nvideo:*::\n")
        .file(
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n",
        )
        .file("etc/shadow", 0o640, "root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\n")
        .dir("opt/", 0o750, 7, 8)
        .dir("root/", 0o700, 0, 0)
        .dir("run/", 0o755, 0, 0)
        .dir("srv/", 0o2775, 0, 50)
        .dir("tmp/", 0o1777, 0, 0)
        .dir("usr/", 0o755, 0, 0)
        .dir("usr/bin/", 0o755, 0, 0)
        .file("usr/bin/tool", 0o755, "tool")
        .dir("usr/lib/", 0o755, 0, 0)
        .file("usr/lib/libold.so", 0o644, "old")
        .dir("var/", 0o755, 0, 0)
        .link("var/run", "/run")
        .end()
}

/// The file of a blob below a cache, however its folders are named.
pub(crate) fn cached(directory: &Path, digest: &str) -> Option<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| {
        let name = path.to_str()?.replace('/', "");
        match path.is_dir() {
            true => cached(&path, digest),
            false => name.ends_with(&digest["sha256:".len()..]).then_some(path),
        }
    })
}
