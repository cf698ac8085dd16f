//! A wheel becomes entries of a tree (packaging specifications, "Binary distribution format", "Installing a wheel").
//!
//! What comes out is what `pip install --no-compile --no-deps` leaves, byte for byte, but for this:
//! - files of `.data/scripts` are always executable, and a row of `RECORD` for a file that was left out (a script that
//!   setuptools had made for an entry point) is left out too;
//! - rows of `RECORD` in a `--target` directory are where the files are (pip's point outside of it).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::entry_points::{self, EntryPointsError, MAX_ENTRY_POINTS, REWRITTEN, shebang};
use super::metadata::MAX_METADATA;
use super::record::{MAX_RECORD, Row};
use super::scheme::relative;
use super::zip::{Archive, Limits, Member, ZipError};
use super::{Directories, EntryPoints, Metadata, MetadataError, Record, RecordError, Scheme, Spool, WheelName};
use crate::content::{Content, ContentError};
use crate::oci::Digest;
use crate::parallel;
use crate::shown::Shown;
use crate::tree::{Entry, Origin, Owner, PathError, TreePath};

/// The most bytes of a script of `.data/scripts` whose first line is to be rewritten.
const MAX_SCRIPT: u64 = 16 << 20;

/// A wheel to install.
#[derive(Clone, Debug)]
pub struct Wheel {
    /// Its file name.
    pub name: WheelName,
    /// Its bytes.
    pub content: Content,
    /// Whether somebody asked for the package by name: then it gets a file `REQUESTED`.
    pub requested: bool,
    /// The text of `direct_url.json` (PEP 610), for a package that came from a URL or a local file and not an index.
    pub direct_url: Option<String>,
}

/// How wheels are installed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where things go.
    pub scheme: Scheme,
    /// Whose the files are.
    pub owner: Owner,
    /// What `INSTALLER` says, without the line's end.
    pub installer: String,
    /// How much a wheel may hold.
    pub limits: Limits,
}

/// Files of one wheel, or of several.
pub type Entries = Vec<(TreePath, Entry)>;

/// Why a wheel is refused.
#[derive(Debug, thiserror::Error)]
#[error("the wheel {wheel} cannot be installed")]
pub struct InstallError {
    /// Its file name.
    pub wheel: String,
    /// Why.
    #[source]
    pub reason: Reason,
}

/// What is wrong with a wheel.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The archive.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The list of files.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The entry points.
    #[error(transparent)]
    EntryPoints(#[from] EntryPointsError),
    /// The wheel's bytes.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The wheel or the spool could not be read or written.
    #[error("{action}")]
    Io {
        /// What was done.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A file of `.data` in no known place.
    #[error("its file {0} is in none of `purelib`, `platlib`, `scripts`, `data` and `headers`")]
    DataKey(Shown),
    /// A file that the installation writes itself.
    #[error("it brings the file {0}, which the installation writes")]
    Ours(Shown),
    /// Two of its files, or those of another wheel, have the same place.
    #[error("its file {path} has the same place as one of {other}, with other contents")]
    Conflict {
        /// Where.
        path: Shown,
        /// The other wheel.
        other: String,
    },
}

/// What wheels come to.
#[derive(Debug, Default)]
pub struct Installed {
    /// Their files, sorted by path.
    pub entries: Entries,
    /// The newest time of a file in them, seconds since 1970; dates that stand for none do not count.
    pub newest: Option<i64>,
}

/// Installs several wheels, `jobs` at a time; their files lie in temporary files in `tmp`. A file that two of them bring
/// alike is there once.
///
/// # Errors
/// [`InstallError`]; also where two wheels bring a file with other contents: then both are named.
pub fn install_all(wheels: &[Wheel], options: &Options, tmp: &Path, jobs: usize) -> Result<Installed, InstallError> {
    let start = || Spool::new(tmp);
    let done = parallel::map_with(wheels, jobs, start, |spool, wheel| {
        let failed = |reason| InstallError { wheel: wheel.name.to_string(), reason };
        let spool = spool.as_mut().map_err(|error| {
            let source = io::Error::new(error.kind(), error.to_string());
            failed(Reason::Io { action: "making a temporary file", source })
        })?;
        Installation::run(wheel, options, spool).map_err(failed)
    });
    let mut all: BTreeMap<TreePath, (usize, Entry)> = BTreeMap::new();
    let mut newest = None;
    for (number, (wheel, installed)) in wheels.iter().zip(done).enumerate() {
        let installed = installed?;
        newest = newest.max(installed.newest);
        for (path, entry) in installed.entries {
            match all.get(&path) {
                Some((other, there)) if !there.same_as(&entry) => {
                    let reason = Reason::Conflict { path: path.shown(), other: wheels[*other].name.to_string() };
                    return Err(InstallError { wheel: wheel.name.to_string(), reason });
                }
                Some(_) => {}
                None => {
                    all.insert(path, (number, entry));
                }
            }
        }
    }
    Ok(Installed { entries: all.into_iter().map(|(path, (_, entry))| (path, entry)).collect(), newest })
}

/// Checks a wheel and lays its files out, sorted by path; their bytes go to the spool. Directories above the files are
/// left to the tree.
///
/// # Errors
/// [`InstallError`].
pub fn install(wheel: &Wheel, options: &Options, spool: &mut Spool) -> Result<Entries, InstallError> {
    let installed = Installation::run(wheel, options, spool);
    let installed = installed.map_err(|reason| InstallError { wheel: wheel.name.to_string(), reason })?;
    Ok(installed.entries)
}

/// What a wheel says of itself, without laying out its files: its dependencies, and the Python that it needs.
///
/// # Errors
/// As [`install`], as far as the metadata goes.
pub fn read_metadata(name: &WheelName, content: &Content, limits: Limits) -> Result<Metadata, InstallError> {
    let read = || -> Result<Metadata, Reason> {
        let archive = Archive::open(content, limits)?;
        let metadata = open_metadata(&archive, name)?;
        archive.finish()?;
        Ok(metadata)
    };
    read().map_err(|reason| InstallError { wheel: name.to_string(), reason })
}

fn open_metadata(archive: &Archive, name: &WheelName) -> Result<Metadata, Reason> {
    let directories = Directories::find(archive, name)?;
    let metadata = required(archive, &directories.dist_info, "METADATA", MAX_METADATA)?;
    let wheel = required(archive, &directories.dist_info, "WHEEL", 1 << 20)?;
    Ok(Metadata::parse(directories, name, &metadata, &wheel)?)
}

/// The bytes of a file of the directory of metadata, where it is there.
fn optional(archive: &Archive, dist_info: &str, name: &str, limit: u64) -> Result<Option<Vec<u8>>, ZipError> {
    archive.find(&format!("{dist_info}/{name}")).map(|member| archive.read_all(member, limit)).transpose()
}

fn required(archive: &Archive, dist_info: &str, name: &str, limit: u64) -> Result<Vec<u8>, Reason> {
    let bytes = optional(archive, dist_info, name, limit)?;
    Ok(bytes.ok_or_else(|| MetadataError::Missing(format!("{dist_info}/{name}")))?)
}

/// The text of `direct_url.json` (PEP 610) for a wheel that came from that URL: user names and passwords fall away.
pub fn direct_url(url: &url::Url, sha256: &Digest) -> String {
    let mut url = url.clone();
    // Where a URL can hold none of them there is nothing to take away.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    let hex = sha256.hex();
    let value = serde_json::json!({
        "archive_info": { "hash": format!("sha256={hex}"), "hashes": { "sha256": hex } },
        "url": url.as_str(),
    });
    value.to_string()
}

/// What is known of a wheel before its files are read.
struct Installation<'a> {
    options: &'a Options,
    metadata: Metadata,
    record: Record,
    scripts: EntryPoints,
    library: TreePath,
    origin: Origin,
    /// Files by place, with the rows that they get.
    files: BTreeMap<TreePath, (Entry, Row)>,
}

impl<'a> Installation<'a> {
    fn run(wheel: &Wheel, options: &'a Options, spool: &mut Spool) -> Result<Installed, Reason> {
        if wheel.content.known_digest().is_some() {
            // Reading it through checks the digest: nothing is unpacked of a wheel that is another one.
            let mut whole = wheel.content.open()?;
            io::copy(&mut whole, &mut io::sink()).map_err(io_error("reading the wheel"))?;
        }
        let archive = Archive::open(&wheel.content, options.limits)?;
        let mut installation = Self::open(wheel, &archive, options)?;
        for member in archive.members().iter().filter(|member| !member.is_directory()) {
            installation.place(&archive, member, spool)?;
        }
        installation.refuse_missing(&archive)?;
        let newest = archive.members().iter().filter_map(Member::modified).max();
        archive.finish()?;
        installation.generate_scripts()?;
        Ok(Installed { entries: installation.finish(wheel)?, newest })
    }

    fn open(wheel: &Wheel, archive: &Archive, options: &'a Options) -> Result<Self, Reason> {
        let metadata = open_metadata(archive, &wheel.name)?;
        let record = Record::parse(&required(archive, &metadata.dist_info, "RECORD", MAX_RECORD)?)?;
        let scripts = match optional(archive, &metadata.dist_info, "entry_points.txt", MAX_ENTRY_POINTS)? {
            Some(text) => EntryPoints::parse(&text)?.for_version(options.scheme.version()),
            None => EntryPoints::default(),
        };
        let library = options.scheme.library(metadata.root_is_purelib).clone();
        let origin = Origin::new(format!("wheel `{}`", wheel.name));
        Ok(Installation { options, metadata, record, scripts, library, origin, files: BTreeMap::new() })
    }

    /// Checks one file of the wheel and puts it where it goes.
    fn place(&mut self, archive: &Archive, member: &Member, spool: &mut Spool) -> Result<(), Reason> {
        let shown = || Shown::new(member.name.as_bytes());
        if let Some(file) = member.name.strip_prefix(&format!("{}/", self.metadata.dist_info)) {
            match file {
                // RECORD is written anew; signatures of it cannot be listed in it, and no longer fit.
                "RECORD" | "RECORD.jws" | "RECORD.p7s" => return Ok(()),
                "INSTALLER" | "REQUESTED" | "direct_url.json" => return Err(Reason::Ours(shown())),
                _ => {}
            }
        }
        let (path, is_script) = self.destination(&member.name)?;
        let check = self.record.check(&member.name)?;
        if is_script && self.scripts.replaces(&file_name(&path)) {
            // Read all the same: what RECORD lists has to be right.
            read_checked(archive, member, check, &mut |_| Ok(()))?;
            return Ok(());
        }
        let row = self.record.get(&member.name).cloned().unwrap_or(Row::EMPTY);
        let mode = if is_script || member.is_executable() { 0o755 } else { 0o644 };
        let mut stretch = spool.begin();
        let mut head: Vec<u8> = Vec::with_capacity(REWRITTEN.len());
        let digest = read_checked(archive, member, check, &mut |piece| {
            head.extend(piece.iter().take(REWRITTEN.len() - head.len()));
            stretch.append(piece)
        })?;
        if is_script && head == REWRITTEN {
            let script = archive.read_all(member, MAX_SCRIPT)?;
            let script = entry_points::rewritten(&script, &shebang(self.options.scheme.interpreter()));
            return self.generated(path, script, mode);
        }
        self.put(path, stretch.finish(&member.name, digest), mode, row)
    }

    /// Where a file of that name goes, and whether it is a script of `.data`.
    fn destination(&self, name: &str) -> Result<(TreePath, bool), Reason> {
        let data = self.metadata.data.as_deref();
        let below = data.and_then(|data| name.strip_prefix(data)).and_then(|rest| rest.strip_prefix('/'));
        let Some(below) = below else {
            return Ok((self.library.join(&TreePath::parse(name)?)?, false));
        };
        let unknown = || Reason::DataKey(Shown::new(name.as_bytes()));
        let (key, file) = below.split_once('/').ok_or_else(unknown)?;
        let directory = self.options.scheme.directory(key, &self.metadata.name)?.ok_or_else(unknown)?;
        Ok((directory.join(&TreePath::parse(file)?)?, key == "scripts"))
    }

    fn put(&mut self, path: TreePath, content: Content, mode: u32, row: Row) -> Result<(), Reason> {
        path.refuse_whiteout()?;
        let entry = Entry::file(content, mode, self.options.owner, self.origin.clone());
        match self.files.get(&path) {
            Some((there, _)) if !there.same_as(&entry) => {
                Err(Reason::Conflict { path: path.shown(), other: "its own".to_owned() })
            }
            _ => {
                self.files.insert(path, (entry, row));
                Ok(())
            }
        }
    }

    /// A file that the wheel does not hold in this form.
    fn generated(&mut self, path: TreePath, bytes: Vec<u8>, mode: u32) -> Result<(), Reason> {
        let row = Row::of(&Digest::of(&bytes), bytes.len() as u64);
        self.put(path, Content::inline(bytes), mode, row)
    }

    fn refuse_missing(&self, archive: &Archive) -> Result<(), Reason> {
        let names: std::collections::BTreeSet<&str> =
            archive.members().iter().map(|member| member.name.as_str()).collect();
        match self.record.iter().find(|(path, _)| !names.contains(path)) {
            Some((path, _)) => Err(RecordError::Missing(Shown::new(path.as_bytes())).into()),
            None => Ok(()),
        }
    }

    fn generate_scripts(&mut self) -> Result<(), Reason> {
        let first_line = shebang(self.options.scheme.interpreter());
        let scripts: Vec<(String, String)> =
            self.scripts.scripts().map(|(name, function)| (name.to_owned(), function.script(&first_line))).collect();
        for (name, text) in scripts {
            let path = self.options.scheme.scripts().child(name.as_bytes())?;
            self.generated(path, text.into_bytes(), 0o755)?;
        }
        Ok(())
    }

    /// The files of the installation itself, and RECORD over all of them.
    fn finish(mut self, wheel: &Wheel) -> Result<Entries, Reason> {
        let dist_info = self.library.join(&TreePath::parse(&self.metadata.dist_info)?)?;
        self.generated(dist_info.child(b"INSTALLER")?, format!("{}\n", self.options.installer).into_bytes(), 0o644)?;
        if wheel.requested {
            self.generated(dist_info.child(b"REQUESTED")?, Vec::new(), 0o644)?;
        }
        if let Some(text) = &wheel.direct_url {
            self.generated(dist_info.child(b"direct_url.json")?, text.clone().into_bytes(), 0o644)?;
        }
        let record = dist_info.child(b"RECORD")?;
        let mut rows: Vec<(String, Row)> = Vec::with_capacity(self.files.len() + 1);
        for (path, row) in self.files.iter().map(|(path, (_, row))| (path, row)).chain([(&record, &Row::EMPTY)]) {
            // All names come from UTF-8; a prefix of the recipe that is none has no place in RECORD.
            let path = String::from_utf8_lossy(&relative(&self.library, path)).into_owned();
            rows.push((path, row.clone()));
        }
        let text = Record::write(rows.iter().map(|(path, row)| (path.as_str(), row)));
        self.put(record, Content::inline(text), 0o644, Row::EMPTY)?;
        Ok(self.files.into_iter().map(|(path, (entry, _))| (path, entry)).collect())
    }
}

fn read_checked(
    archive: &Archive,
    member: &Member,
    mut check: super::record::Check<'_>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<Digest, Reason> {
    archive.read(member, &mut |piece| {
        check.update(piece);
        sink(piece)
    })?;
    Ok(check.finish()?)
}

fn file_name(path: &TreePath) -> String {
    String::from_utf8_lossy(path.file_name().unwrap_or_default()).into_owned()
}

fn io_error(action: &'static str) -> impl FnOnce(io::Error) -> Reason {
    move |source| Reason::Io { action, source }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::zip::tests::zip_of;
    use super::*;
    use crate::tree::Kind;

    /// A wheel that the test makes: its files, and the ones that say what it is. Files given in `files` win.
    pub(crate) struct Fixture {
        name: &'static str,
        files: Vec<(String, Vec<u8>, u32)>,
        record: Option<Vec<u8>>,
    }

    impl Fixture {
        pub(crate) fn new(name: &'static str) -> Self {
            Fixture { name, files: Vec::new(), record: None }
        }

        pub(crate) fn file(mut self, path: &str, bytes: impl AsRef<[u8]>, mode: u32) -> Self {
            self.files.push((path.to_owned(), bytes.as_ref().to_vec(), mode));
            self
        }

        fn record(mut self, text: impl AsRef<[u8]>) -> Self {
            self.record = Some(text.as_ref().to_vec());
            self
        }

        /// The directory of metadata.
        fn dist_info(&self) -> String {
            let mut parts = self.name.split('-');
            format!("{}-{}.dist-info", parts.next().unwrap(), parts.next().unwrap())
        }

        fn all(&self) -> Vec<(String, Vec<u8>, u32)> {
            let wheel: WheelName = self.name.parse().unwrap();
            let mut files = self.files.clone();
            let mut add = |name: &str, text: String| {
                let path = format!("{}/{name}", self.dist_info());
                if !files.iter().any(|(there, ..)| *there == path) {
                    files.push((path, text.into_bytes(), 0o644));
                }
            };
            add(
                "METADATA",
                format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n", wheel.distribution(), wheel.version()),
            );
            add("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned());
            files
        }

        fn rows(&self) -> Vec<u8> {
            let rows: Vec<(String, Row)> = self
                .all()
                .into_iter()
                .map(|(path, bytes, _)| (path, Row::of(&Digest::of(&bytes), bytes.len() as u64)))
                .collect();
            let own = format!("{}/RECORD", self.dist_info());
            Record::write(rows.iter().map(|(path, row)| (path.as_str(), row)).chain([(own.as_str(), &Row::EMPTY)]))
        }

        pub(crate) fn wheel(&self) -> Wheel {
            let mut files = self.all();
            files.push((
                format!("{}/RECORD", self.dist_info()),
                self.record.clone().unwrap_or_else(|| self.rows()),
                0o644,
            ));
            let files: Vec<(&str, &[u8], u32)> =
                files.iter().map(|(path, bytes, mode)| (path.as_str(), &bytes[..], *mode)).collect();
            Wheel {
                name: self.name.parse().unwrap(),
                content: Content::inline(zip_of(&files)),
                requested: false,
                direct_url: None,
            }
        }
    }

    const NAME: &str = "my_pkg-1.0-py3-none-any.whl";

    fn options() -> Options {
        Options {
            scheme: Scheme::debian("3.13.5".parse().unwrap()).unwrap(),
            owner: Owner::new(7, 8),
            installer: "pip".to_owned(),
            limits: Limits::default(),
        }
    }

    fn spool() -> Spool {
        Spool::new(&std::env::temp_dir()).unwrap()
    }

    /// Path, mode and bytes of each entry.
    fn listing(entries: &Entries) -> Vec<(String, u32, Vec<u8>)> {
        let bytes = |entry: &Entry| match &entry.kind {
            Kind::File(content) => content.read_all(1 << 20).unwrap(),
            other => panic!("a {} in a wheel", other.word()),
        };
        entries.iter().map(|(path, entry)| (path.to_string(), entry.mode, bytes(entry))).collect()
    }

    fn installed(fixture: &Fixture) -> Result<Vec<(String, u32, Vec<u8>)>, String> {
        install(&fixture.wheel(), &options(), &mut spool()).map(|entries| listing(&entries)).map_err(|error| {
            assert!(error.to_string().contains(NAME), "{error}");
            error.reason.to_string()
        })
    }

    fn refused(fixture: Fixture, why: &str) {
        let reason = installed(&fixture).expect_err(why);
        assert!(reason.contains(why), "expected `{why}`, got: {reason}");
    }

    #[test]
    fn the_fixture_is_a_good_wheel() {
        let found = installed(&Fixture::new(NAME)).unwrap();
        let names: Vec<&str> = found.iter().map(|(path, ..)| path.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["INSTALLER", "METADATA", "RECORD", "WHEEL"]);
    }

    #[test]
    fn everything_goes_where_it_belongs() {
        let mut wheel = Fixture::new(NAME)
            .file("my_pkg/__init__.py", "x = 1\n", 0o666)
            .file("my_pkg/tool", "binary", 0o700)
            .file("my_pkg-1.0.data/purelib/extra.py", "", 0o644)
            .file("my_pkg-1.0.data/scripts/run", "#!python -E\nprint()\n", 0o644)
            .file("my_pkg-1.0.data/scripts/hello", "made by setuptools", 0o755)
            .file("my_pkg-1.0.data/scripts/native", "\x7fELF", 0o644)
            .file("my_pkg-1.0.data/data/share/my/x.json", "{}", 0o644)
            .file("my_pkg-1.0.data/headers/my.h", "int x;", 0o644)
            .file("my_pkg-1.0.dist-info/entry_points.txt", "[console_scripts]\nhello = my_pkg:main [extra]\n", 0o644)
            .wheel();
        wheel.requested = true;
        wheel.direct_url = Some("{}".to_owned());
        let entries = install(&wheel, &options(), &mut spool()).unwrap();
        assert!(entries.iter().all(|(_, entry)| entry.owner == Owner::new(7, 8)));
        let found = listing(&entries);
        let lines: Vec<String> =
            found.iter().map(|(path, mode, bytes)| format!("{mode:04o} {} {path}", bytes.len())).collect();
        let site = "/usr/local/lib/python3.13/dist-packages";
        let expected = format!(
            "0755 153 /usr/local/bin/hello\n0755 4 /usr/local/bin/native\n0755 27 /usr/local/bin/run\n0644 6 /usr/local/include/python3.13/my-pkg/my.h\n0644 0 {site}/extra.py\n0644 4 {site}/my_pkg-1.0.dist-info/INSTALLER\n0644 48 {site}/my_pkg-1.0.dist-info/METADATA\n0644 1148 {site}/my_pkg-1.0.dist-info/RECORD\n0644 0 {site}/my_pkg-1.0.dist-info/REQUESTED\n0644 59 {site}/my_pkg-1.0.dist-info/WHEEL\n0644 2 {site}/my_pkg-1.0.dist-info/direct_url.json\n0644 46 {site}/my_pkg-1.0.dist-info/entry_points.txt\n0644 6 {site}/my_pkg/__init__.py\n0755 6 {site}/my_pkg/tool\n0644 2 /usr/local/share/my/x.json"
        );
        assert_eq!(lines.join("\n"), expected);
        let text = |name: &str| {
            let (_, _, bytes) = found.iter().find(|(path, ..)| path.ends_with(name)).unwrap();
            String::from_utf8(bytes.clone()).unwrap()
        };
        assert_eq!(text("bin/run"), "#!/usr/bin/python3\nprint()\n");
        assert!(text("bin/hello").starts_with("#!/usr/bin/python3\nimport sys\nfrom my_pkg import main\n"));
        // RECORD lists exactly what is there, with the right hashes, seen from the directory of packages.
        let record = Record::parse(text("/RECORD").as_bytes()).unwrap();
        assert_eq!(record.iter().count(), entries.len());
        for (path, row) in record.iter().filter(|(path, _)| !path.ends_with("/RECORD")) {
            let name = path.trim_start_matches("../");
            let (_, _, bytes) = found.iter().find(|(found, ..)| found.ends_with(name)).unwrap();
            assert_eq!(row, &Row::of(&Digest::of(bytes), bytes.len() as u64), "{path}");
        }
        assert!(record.get("../../../bin/hello").is_some() && record.get("my_pkg/tool").is_some());
        assert_eq!(listing(&install(&wheel, &options(), &mut spool()).unwrap()), found, "twice the same");
    }

    #[test]
    fn lists_that_are_not_true() {
        let one = || Fixture::new(NAME).file("a.py", "a", 0o644);
        let rows = || String::from_utf8(one().rows()).unwrap();
        refused(one().record(rows().replace("a.py,", "b.py,")), "RECORD does not list");
        refused(one().record(format!("{}b.py,sha256={},1\r\n", rows(), "A".repeat(43))), "does not hold");
        refused(one().record(rows().replace("a.py,sha256=y", "a.py,sha256=z")), "another hash");
        refused(one().record(rows().replace(",1\r\n", ",2\r\n")), "another size");
        refused(one().record(rows().replacen("sha256=", "md5=", 1)), "md5 and sha1 prove nothing");
        refused(one().record(format!("{}{}", rows(), rows())), "twice");
        refused(one().record("../../etc/passwd,,\n"), "RECORD does not list");
        refused(one().record("\"open"), "quote is not closed");
    }

    #[test]
    fn wheels_that_are_not_what_they_say() {
        let info = |file: &str| format!("my_pkg-1.0.dist-info/{file}");
        refused(Fixture::new(NAME).file("other-1.0.dist-info/METADATA", "", 0o644), "several `.dist-info`");
        refused(Fixture::new(NAME).file(&info("METADATA"), "Name: evil\nVersion: 1.0\n", 0o644), "METADATA has Name");
        refused(
            Fixture::new(NAME).file(&info("METADATA"), "Name: my-pkg\nVersion: 2\n", 0o644),
            "METADATA has Version",
        );
        refused(Fixture::new(NAME).file(&info("WHEEL"), "Wheel-Version: 2.0\n", 0o644), "only 1.x");
        refused(Fixture::new(NAME).file(&info("INSTALLER"), "x", 0o644), "which the installation writes");
        refused(Fixture::new(NAME).file(&info("REQUESTED"), "", 0o644), "which the installation writes");
        refused(Fixture::new(NAME).file("my_pkg-1.0.data/stdlib/os.py", "", 0o644), "in none of");
        refused(Fixture::new(NAME).file("my_pkg-1.0.data/loose", "", 0o644), "in none of");
        refused(Fixture::new(NAME).file("other-1.0.data/purelib/x.py", "", 0o644), "not named after");
        refused(Fixture::new(NAME).file("my_pkg-1.0.data/purelib/.wh.x", "", 0o644), ".wh.");
        for value in ["../x = a:b", "x = a:b;import os", "x = os", "/bin/sh = a:b"] {
            let text = format!("[console_scripts]\n{value}\n");
            refused(Fixture::new(NAME).file(&info("entry_points.txt"), text, 0o644), "cannot be made");
        }
        // `.data` and the root have one place for the file.
        let twice = Fixture::new(NAME).file("a.py", "1", 0o644).file("my_pkg-1.0.data/purelib/a.py", "2", 0o644);
        refused(twice, "the same place as one of its own");
        let mut other = Fixture::new(NAME).wheel();
        other.content = other.content.clone().with_digest(Digest::of(b"another file"));
        // Contents in memory are their own proof; those of a file are read through.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), other.content.read_all(1 << 20).unwrap()).unwrap();
        let length = other.content.len();
        let slice = Content::slice(std::sync::Arc::new(file.reopen().unwrap()), "x".into(), 0, length);
        other.content = slice.with_digest(Digest::of(b"another file"));
        assert!(matches!(install(&other, &options(), &mut spool()).unwrap_err().reason, Reason::Io { .. }));
    }

    #[test]
    fn names_in_the_archive_that_leave_it() {
        // The writer of the fixtures would clean the name: the bytes are changed after it.
        for (written, name) in [("xx/xx/evil.py", "../../evil.py"), ("xabsolute.py", "/absolute.py")] {
            let mut wheel = Fixture::new(NAME).file(written, "", 0o644).wheel();
            let mut bytes = wheel.content.read_all(1 << 20).unwrap();
            let places: Vec<usize> = bytes
                .windows(written.len())
                .enumerate()
                .filter_map(|(at, window)| (window == written.as_bytes()).then_some(at))
                .collect();
            assert_eq!(places.len(), 2);
            for at in places {
                bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
            }
            wheel.content = Content::inline(bytes);
            assert!(matches!(install(&wheel, &options(), &mut spool()).unwrap_err().reason, Reason::Zip(_)));
        }
    }

    #[test]
    fn several_wheels() {
        let one = Fixture::new(NAME).file("shared/__init__.py", "", 0o644).wheel();
        let two = Fixture::new("other-2-py3-none-any.whl").file("shared/__init__.py", "", 0o644).wheel();
        let three = Fixture::new("third-3-py3-none-any.whl").file("shared/__init__.py", "x", 0o644).wheel();
        let entries = install_all(&[two.clone(), one.clone()], &options(), &std::env::temp_dir(), 2).unwrap().entries;
        assert!(entries.is_sorted_by(|(a, _), (b, _)| a < b));
        assert_eq!(entries.iter().filter(|(path, _)| path.to_string().contains("shared")).count(), 1);
        let error = install_all(&[one, two, three], &options(), &std::env::temp_dir(), 2).unwrap_err();
        assert!(error.wheel.starts_with("third-3") && error.reason.to_string().contains(NAME), "{error}");
    }

    #[test]
    fn metadata_alone() {
        let text = "Name: my-pkg\nVersion: 1.0\nRequires-Python: >=3.9\nRequires-Dist: a ; extra == 'x'\n";
        let wheel = Fixture::new(NAME).file("my_pkg-1.0.dist-info/METADATA", text, 0o644).wheel();
        let metadata = read_metadata(&wheel.name, &wheel.content, Limits::default()).unwrap();
        assert_eq!(metadata.requires_python.as_deref(), Some(">=3.9"));
        let requirement: crate::python::Requirement = metadata.requires[0].parse().unwrap();
        assert_eq!(requirement.to_string(), "a ; extra == 'x'");
    }

    #[test]
    fn where_a_wheel_came_from() {
        let url = "https://user:secret@host/x-1-py3-none-any.whl#sha256=0".parse().unwrap();
        let digest = Digest::of(b"");
        assert_eq!(
            direct_url(&url, &digest),
            format!(
                "{{\"archive_info\":{{\"hash\":\"sha256={0}\",\"hashes\":{{\"sha256\":\"{0}\"}}}},\"url\":\"https://host/x-1-py3-none-any.whl\"}}",
                digest.hex()
            )
        );
    }

    #[test]
    fn a_target_directory_lists_its_own_files() {
        let wheel = Fixture::new(NAME)
            .file("a.py", "", 0o644)
            .file("my_pkg-1.0.dist-info/entry_points.txt", "[gui_scripts]\nrun = a:b\n", 0o644)
            .wheel();
        let target = TreePath::parse("site").unwrap();
        let scheme = Scheme::target(&target, "3.12".parse().unwrap(), "/usr/bin/python3").unwrap();
        let found = listing(&install(&wheel, &Options { scheme, ..options() }, &mut spool()).unwrap());
        assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("/site/a.py", "/site/bin/run"));
        let (_, _, record) = found.iter().find(|(path, ..)| path.ends_with("/RECORD")).unwrap();
        assert!(record.starts_with(b"a.py,sha256=") && Record::parse(record).unwrap().get("bin/run").is_some());
    }

    /// What pip of this machine makes of the fixture, where there is one: the same files, bytes and modes.
    #[test]
    fn pip_lays_out_the_same() {
        use std::os::unix::fs::PermissionsExt;
        use std::process::Command;
        let python = |arguments: &[&str]| {
            let output = Command::new("python3").args(arguments).env("PIP_CONFIG_FILE", "/dev/null").output().ok()?;
            output.status.success().then(|| String::from_utf8(output.stdout).ok())?
        };
        let about = "import sys, pip; print(sys.executable, '%d.%d.%d' % sys.version_info[:3])";
        let Some(about) = python(&["-c", about]) else {
            eprintln!("no pip on this machine: nothing is compared in this test");
            return;
        };
        let (executable, version) = about.trim().rsplit_once(' ').unwrap();
        let wheel = Fixture::new(NAME)
            .file("my_pkg/__init__.py", "x = 1\n", 0o600)
            .file("my_pkg/tool", "binary", 0o711)
            .file("my_pkg/é, \"x\".txt", "odd", 0o644)
            .file("my_pkg-1.0.data/purelib/extra.py", "", 0o644)
            .file("my_pkg-1.0.data/platlib/extra.so", "ELF", 0o755)
            .file("my_pkg-1.0.data/scripts/run", "#!python -E\nprint()\n", 0o755)
            .file("my_pkg-1.0.data/data/share/my/x.json", "{}", 0o644)
            .wheel();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(NAME);
        std::fs::write(&file, wheel.content.read_all(1 << 20).unwrap()).unwrap();
        let target = directory.path().join("target");
        let [file, target] = [file, target].map(|path| path.to_str().unwrap().to_owned());
        let install =
            ["-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-compile", "--no-deps", "--no-index"];
        assert!(python(&[&install[..], &["--target", &target, &file]].concat()).is_some(), "pip refuses the fixture");
        let root = TreePath::parse(&target).unwrap();
        let scheme = Scheme::target(&root, version.parse().unwrap(), executable).unwrap();
        let wheel = Wheel { requested: true, ..wheel };
        let ours = super::install(&wheel, &Options { scheme, ..options() }, &mut spool()).unwrap();
        // RECORD has other places for a target directory (see above), and pip adds where its file was.
        let compared = |path: &str| !path.ends_with("/RECORD") && !path.ends_with("/direct_url.json");
        let ours: Vec<(String, u32, Vec<u8>)> =
            listing(&ours).into_iter().filter(|(path, ..)| compared(path)).collect();
        let mut theirs: Vec<(String, u32, Vec<u8>)> = walkdir::WalkDir::new(&target)
            .into_iter()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                // Which of the other bits are set is a matter of the umask; ours is always 022.
                let executable = entry.metadata().unwrap().permissions().mode() & 0o100 != 0;
                let mode = if executable { 0o755 } else { 0o644 };
                (
                    TreePath::parse(entry.path().to_str().unwrap()).unwrap().to_string(),
                    mode,
                    std::fs::read(entry.path()).unwrap(),
                )
            })
            .filter(|(path, ..)| compared(path))
            .collect();
        theirs.sort();
        assert_eq!(ours.len(), 11);
        assert_eq!(ours, theirs);
    }
}
