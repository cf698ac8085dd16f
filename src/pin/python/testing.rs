//! A supply and a context that tests make.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use url::Url;

use super::{Ask, Error};
use crate::content::Content;
use crate::lock::{PythonPins, Update};
use crate::net::FetchError;
use crate::oci::{Digest, Platform};
use crate::python::install::tests::Fixture;
use crate::python::interpreter::Layout;
use crate::python::{Interpreter, Libc};
use crate::recipe::Source;
use crate::recipe::packages::PythonSource;
use crate::report::{Event, Report, Reporter};
use crate::store::StoreError;
use crate::supply::{Document, Supply, SupplyError, Wanted};
use crate::tree::TreePath;

/// A wheel with one module.
pub(crate) fn wheel(name: &'static str) -> Vec<u8> {
    wheel_with(name, "")
}

/// A wheel whose metadata has more fields.
pub(crate) fn wheel_with(name: &'static str, fields: &str) -> Vec<u8> {
    let mut parts = name.split('-');
    let (package, version) = (parts.next().unwrap(), parts.next().unwrap());
    let metadata = format!("Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n{fields}");
    let fixture = Fixture::new(name).file(&format!("{package}.py"), format!("name = {name:?}\n"), 0o644).file(
        &format!("{package}-{version}.dist-info/METADATA"),
        metadata,
        0o644,
    );
    fixture.wheel().content.read_all(1 << 20).unwrap()
}

/// Indexes, files and the program `uv`, all in a directory.
pub(crate) struct TestSupply {
    pub(crate) indexes: Vec<(String, Url)>,
    pub(crate) pages: BTreeMap<String, String>,
    pub(crate) files: BTreeMap<Digest, (String, Vec<u8>)>,
    /// Digests of files that are in the cache.
    pub(crate) kept: BTreeSet<Digest>,
    pub(crate) uv: Option<PathBuf>,
    pub(crate) cache: PathBuf,
    pub(crate) offline: bool,
    /// Addresses that were asked for.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl TestSupply {
    pub(crate) fn new(cache: &Path) -> Self {
        TestSupply {
            indexes: vec![("default".to_owned(), "https://index.example.com/simple/".parse().unwrap())],
            pages: BTreeMap::new(),
            files: BTreeMap::new(),
            kept: BTreeSet::new(),
            uv: None,
            cache: cache.to_owned(),
            offline: false,
            asked: Mutex::new(Vec::new()),
        }
    }

    /// Puts a file on the page of its package, at an index with that root.
    pub(crate) fn serve(&mut self, root: &str, file: &str, bytes: &[u8]) -> Digest {
        let package: crate::python::PackageName = file.split('-').next().unwrap().parse().unwrap();
        let digest = Digest::of(bytes);
        let address = format!("https://files.example.com/{file}");
        let page = self
            .pages
            .entry(format!("{root}{package}/"))
            .or_insert_with(|| format!("{{\"meta\":{{\"api-version\":\"1.1\"}},\"name\":\"{package}\",\"files\":[]}}"));
        let item = serde_json::json!({
            "filename": file, "url": address, "hashes": { "sha256": digest.hex() }, "size": bytes.len(),
        });
        let comma = if page.contains("\"files\":[]") { "" } else { "," };
        page.truncate(page.len() - 2);
        page.push_str(&format!("{comma}{item}]}}"));
        self.files.insert(digest, (address, bytes.to_vec()));
        digest
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Supply for TestSupply {
    fn files(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Content>, SupplyError> {
        let mut found = Vec::new();
        for wanted in wanted {
            let gone = || SupplyError::Nowhere { what: wanted.name.clone() };
            let (address, bytes) = self.files.get(&wanted.sha256).ok_or_else(gone)?;
            if !self.kept.contains(&wanted.sha256) {
                let places = (wanted.places)()?;
                self.asked.lock().unwrap().extend(places.iter().map(Url::to_string));
                let place = &places[0];
                let bare = format!("{}{}", place.origin().ascii_serialization(), place.path());
                if bare != *address {
                    return Err(gone());
                }
            }
            assert!(wanted.size.is_none_or(|size| size == bytes.len() as u64));
            found.push(Content::inline(bytes.clone()));
        }
        Ok(found)
    }

    fn document(&self, address: &Url, accept: Option<&str>, _: u64) -> Result<Document, SupplyError> {
        assert!(accept.unwrap().contains("json"));
        self.asked.lock().unwrap().push(address.to_string());
        let source = || Box::new(FetchError::Cancelled);
        match self.pages.get(address.as_str()) {
            Some(page) => Ok(Document {
                bytes: page.clone().into_bytes(),
                content_type: "application/vnd.pypi.simple.v1+json".to_owned(),
                address: address.clone(),
            }),
            None => Err(SupplyError::Absent { what: address.to_string(), source: source() }),
        }
    }

    fn debian_mirrors(&self, archive: &str, _: Option<&Url>) -> Result<Vec<Url>, SupplyError> {
        Err(SupplyError::NoMirror { archive: archive.to_owned() })
    }

    fn debian_snapshot(&self) -> Option<String> {
        None
    }

    fn python_index(&self, name: &str, recipe: Option<&Url>) -> Result<Url, SupplyError> {
        let known = || self.indexes.iter().find(|(known, _)| known == name).map(|(_, url)| url.clone());
        recipe.cloned().or_else(known).ok_or_else(|| SupplyError::NoIndex { index: name.to_owned() })
    }

    fn python_indexes(&self) -> Result<Vec<(String, Url)>, SupplyError> {
        Ok(self.indexes.clone())
    }

    fn with_login(&self, address: &Url) -> Url {
        let mut address = address.clone();
        address.set_username("me").unwrap();
        address.set_password(Some("secret")).unwrap();
        address
    }

    fn uv(&self) -> Option<PathBuf> {
        self.uv.clone()
    }

    fn directory(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.cache.join(name);
        std::fs::create_dir_all(&path).unwrap();
        Ok(path)
    }

    fn is_offline(&self) -> bool {
        self.offline
    }
}

/// A context, a supply, and everything else that a layer needs.
pub(crate) struct Bench {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) supply: TestSupply,
    pub(crate) interpreter: Option<Interpreter>,
    pub(crate) environment: BTreeMap<OsString, OsString>,
    pub(crate) platform: Platform,
    pub(crate) previous: Option<PythonPins>,
    pub(crate) update: Update,
    pub(crate) said: Arc<Mutex<Vec<String>>>,
}

struct Listener(Arc<Mutex<Vec<String>>>);

impl Report for Listener {
    fn event(&self, event: Event<'_>) {
        if let Event::Note(text) | Event::Warning(text) = event {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["context", "cache", "tmp"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let interpreter = Interpreter {
            path: TreePath::parse("usr/bin/python3").unwrap(),
            version: "3.13.5".parse().unwrap(),
            free_threaded: false,
            layout: Layout::Debian,
            externally_managed: None,
            libc: Libc::Glibc { major: 2, minor: 41 },
        };
        Bench {
            supply: TestSupply::new(&directory.path().join("cache")),
            directory,
            interpreter: Some(interpreter),
            environment: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
            platform: Platform::linux("amd64"),
            previous: None,
            update: Update::Nothing,
            said: Arc::default(),
        }
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.directory.path().join("context")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.directory.path().join("tmp")
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.context().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    /// A `uv` that writes down what it was started with, and says this.
    pub(crate) fn uv(&mut self, pylock: &str) {
        use std::os::unix::fs::PermissionsExt;
        let [program, fresh, answer] = ["uv", "uv.new", "pylock.toml"].map(|name| self.directory.path().join(name));
        std::fs::write(&answer, pylock).unwrap();
        let log = self.directory.path().join("log").display().to_string();
        let text = format!(
            "#!/bin/sh\n{{ echo \"$*\"; env | grep ^UV_; for x in \"$@\"; do case $x in *.txt|*/tmp/*.toml) cat \"$x\"; esac; done; }} > {log}\ncat {}\n",
            answer.display()
        );
        std::fs::write(&fresh, text).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&fresh, &program).unwrap();
        self.supply.uv = Some(program);
    }

    /// A `uv` that fails with these words.
    pub(crate) fn uv_fails(&mut self, talk: &str) {
        self.uv("");
        let answer = self.directory.path().join("talk");
        std::fs::write(&answer, talk).unwrap();
        let program = self.supply.uv.clone().unwrap();
        let fresh = self.directory.path().join("uv.new");
        std::fs::write(&fresh, format!("#!/bin/sh\ncat {} >&2\nexit 2\n", answer.display())).unwrap();
        std::fs::set_permissions(&fresh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(&fresh, &program).unwrap();
    }

    /// What the last `uv` was started with: arguments, environment, the text of its files.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    pub(crate) fn ask<'a>(&'a self, source: &'a PythonSource, context: &'a Path) -> Ask<'a> {
        Ask {
            source,
            platform: &self.platform,
            context,
            interpreter: self.interpreter.as_ref(),
            libc: None,
            environment: &self.environment,
            limits: Default::default(),
        }
    }

    pub(crate) fn reporter(&self) -> Reporter {
        Reporter::new(Listener(self.said.clone()))
    }

    /// Pins what `python = { … }` with these keys asks for.
    pub(crate) fn pin(&self, keys: &str) -> Result<PythonPins, Error> {
        let (source, context) = (source(keys), self.context());
        let ask = self.ask(&source, &context);
        super::pin(&ask, &self.supply, self.previous.as_ref(), &self.update, &self.tmp(), &self.reporter())
    }

    /// Index, file and whether it was asked for, of each wheel.
    pub(crate) fn pinned(&self, keys: &str) -> Result<Vec<String>, String> {
        let told = |error: Error| {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            text
        };
        let pins = self.pin(keys).map_err(told)?;
        let line = |pin: &crate::lock::WheelPin| {
            format!("{} {} {}{}", pin.name, pin.index, pin.file, if pin.requested { " requested" } else { "" })
        };
        Ok(pins.wheels.iter().map(line).collect())
    }
}

/// `python = { … }` with these keys.
pub(crate) fn source(keys: &str) -> PythonSource {
    let text = format!("recipe = 1\n[images.x]\nfrom = \"scratch\"\n[[images.x.layers]]\npython = {{ {keys} }}\n");
    let recipe = crate::recipe::parse("r.toml", &text, &crate::recipe::Inputs::default());
    let recipe = recipe.unwrap_or_else(|error| panic!("{error}\n{text}"));
    match recipe.images[0].layers[0].sources[0].value.clone() {
        Source::Python(source) => source,
        other => panic!("{}", other.key()),
    }
}
