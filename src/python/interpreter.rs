//! The Python of an image: where it is, which version, where its packages go, and the C library below it. Found by looking
//! at files, never by running them.

use std::io;

use super::{Libc, PythonVersion, Scheme, SchemeError, Target};
use crate::oci::Platform;
use crate::shown::Shown;
use crate::tree::{Located, Missed, NodeKind, PathError, ResolveError, Rootfs, TreePath};

/// The most bytes of a file that is looked into (a C library has two million).
const MAX_FILE: u64 = 16 << 20;

/// The Python of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Its path as it is called: `usr/bin/python3`.
    pub path: TreePath,
    /// Its version.
    pub version: PythonVersion,
    /// Whether it is the build without the global lock.
    pub free_threaded: bool,
    /// Where its packages go.
    pub layout: Layout,
    /// The marker file that says that another package manager looks after its packages (PEP 668), where there is one.
    pub externally_managed: Option<TreePath>,
    /// The image's C library.
    pub libc: Libc,
}

/// Where packages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Debian's own: `/usr/local/lib/python3.X/dist-packages`.
    Debian,
    /// `lib/python3.X/site-packages` below that prefix.
    Prefix(TreePath),
}

/// Why no Python is found.
#[derive(Debug, thiserror::Error)]
pub enum InterpreterError {
    /// There is none.
    #[error(
        "the image has no Python: neither `/usr/local/bin/python3` nor `/usr/bin/python3` leads to one (name a version and a target directory, or add `python3`)"
    )]
    None,
    /// Its version cannot be told.
    #[error(
        "the version of {0} cannot be told: it is neither in dpkg's database nor in `patchlevel.h`; give it as `version`"
    )]
    Version(Shown),
    /// The C library cannot be told.
    #[error(
        "the image's C library cannot be told: neither dpkg's nor apk's database names it, and there is no `libc.so.6`"
    )]
    Libc,
    /// The image's base was not read, and not enough of it is known.
    #[error("the image's Python cannot be told: {0}")]
    Missed(Missed),
    /// A link leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A path gets too long.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A file of the image could not be read.
    #[error("reading {path} of the image")]
    Read {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
}

/// What is looked at.
pub struct Image<'a> {
    /// The merged view of the image's layers.
    pub rootfs: &'a Rootfs,
    /// Reads a small file of it.
    pub read: &'a mut dyn FnMut(&Located) -> io::Result<Vec<u8>>,
    /// dpkg's database (`status`, or the files of `status.d` one after the other with empty lines between); empty where there is none.
    pub dpkg_status: &'a str,
    /// The variable `PYTHON_VERSION` of the image's config, which the official Python images have.
    pub version_hint: Option<&'a str>,
}

impl Interpreter {
    /// Finds the image's Python.
    ///
    /// # Errors
    /// [`InterpreterError`]; always [`InterpreterError::Missed`] where something was asked that the view does not know.
    pub fn find(image: &mut Image<'_>) -> Result<Self, InterpreterError> {
        let found = Self::look(image);
        match image.rootfs.missed() {
            Some(missed) => Err(InterpreterError::Missed(missed.clone())),
            None => found,
        }
    }

    fn look(image: &mut Image<'_>) -> Result<Self, InterpreterError> {
        for called in ["usr/local/bin/python3", "usr/bin/python3", "bin/python3"] {
            let called = TreePath::parse(called)?;
            let Some((real, ..)) = image.rootfs.file(&called)? else { continue };
            let Some((major, minor, free_threaded)) = version_of_name(real.file_name().unwrap_or_default()) else {
                continue;
            };
            return Self::describe(image, called, &real, (major, minor), free_threaded);
        }
        Err(InterpreterError::None)
    }

    fn describe(
        image: &mut Image<'_>,
        path: TreePath,
        real: &TreePath,
        (major, minor): (u16, u16),
        free_threaded: bool,
    ) -> Result<Self, InterpreterError> {
        let short = format!("{major}.{minor}");
        let prefix = real.parent().and_then(|directory| directory.parent()).unwrap_or_default();
        let in_usr = prefix.as_bytes() == b"usr";
        let packaged = if in_usr {
            [format!("python{short}-minimal"), format!("libpython{short}-minimal"), format!("python{short}")]
                .iter()
                .find_map(|name| dpkg_version(image.dpkg_status, name))
        } else {
            None
        };
        let header = prefix.join(&TreePath::parse(format!("include/python{short}/patchlevel.h"))?)?;
        let fits = |text: &str| {
            let version: PythonVersion = text.parse().ok()?;
            ((version.major, version.minor) == (major, minor)).then_some(version)
        };
        let mut version = packaged.and_then(|text| fits(upstream(text)));
        if version.is_none() {
            version = read_text(image, &header)?.as_deref().and_then(|text| fits(defined(text, "PY_VERSION")?));
        }
        let version =
            version.or_else(|| image.version_hint.filter(|text| text.matches('.').count() == 2).and_then(fits));
        let version = version.ok_or_else(|| InterpreterError::Version(real.shown()))?;
        let marker = prefix.join(&TreePath::parse(format!("lib/python{short}/EXTERNALLY-MANAGED"))?)?;
        let externally_managed = image.rootfs.file(&marker)?.is_some().then_some(marker);
        let layout = if packaged.is_some() { Layout::Debian } else { Layout::Prefix(prefix) };
        let libc = find_libc(image)?;
        Ok(Interpreter { path, version, free_threaded, layout, externally_managed, libc })
    }

    /// All of this in one line, for a lock; `None` where a path of it does not fit into one.
    pub fn line(&self) -> Option<String> {
        let text = |path: &TreePath| {
            let text = std::str::from_utf8(path.as_bytes()).ok()?;
            (!text.contains(|c: char| c.is_whitespace() || c.is_control())).then(|| format!("/{text}"))
        };
        let mut line = format!("{} {} {}", text(&self.path)?, self.version, self.libc);
        match &self.layout {
            Layout::Debian => line.push_str(" debian"),
            Layout::Prefix(prefix) => line.push_str(&format!(" prefix {}", text(prefix)?)),
        }
        if let Some(marker) = &self.externally_managed {
            line.push_str(&format!(" managed {}", text(marker)?));
        }
        if self.free_threaded {
            line.push_str(" free-threaded");
        }
        Some(line)
    }

    /// Reads what [`Interpreter::line`] wrote; `None` where it is no such line.
    pub fn of_line(line: &str) -> Option<Self> {
        let mut words = line.split(' ').peekable();
        let path = TreePath::parse(words.next()?).ok()?;
        let version = words.next()?.parse().ok()?;
        let (kind, number) = (words.next()?, words.next()?);
        let (major, minor) = number.split_once('.')?;
        let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
        let libc = match kind {
            "glibc" => Libc::Glibc { major, minor },
            "musl" => Libc::Musl { major, minor },
            _ => return None,
        };
        let layout = match words.next()? {
            "debian" => Layout::Debian,
            "prefix" => Layout::Prefix(TreePath::parse(words.next()?).ok()?),
            _ => return None,
        };
        let externally_managed = match words.next_if_eq(&"managed") {
            Some(_) => Some(TreePath::parse(words.next()?).ok()?),
            None => None,
        };
        let free_threaded = words.next_if_eq(&"free-threaded").is_some();
        let found = Interpreter { path, version, free_threaded, layout, externally_managed, libc };
        words.next().is_none().then_some(found)
    }

    /// Where its packages go.
    ///
    /// # Errors
    /// As [`Scheme::prefix`].
    pub fn scheme(&self) -> Result<Scheme, SchemeError> {
        let path = String::from_utf8_lossy(&[b"/", self.path.as_bytes()].concat()).into_owned();
        match &self.layout {
            Layout::Debian => Scheme::debian(self.version),
            Layout::Prefix(prefix) => Scheme::prefix(prefix, "site-packages", self.version, &path),
        }
    }

    /// What wheels are chosen for.
    pub fn target(&self, platform: &Platform) -> Target {
        Target { version: self.version, platform: platform.clone(), libc: self.libc, free_threaded: self.free_threaded }
    }
}

/// `python3.13`, `python3.13t`.
fn version_of_name(name: &[u8]) -> Option<(u16, u16, bool)> {
    let rest = std::str::from_utf8(name).ok()?.strip_prefix("python3.")?;
    let (digits, free) = rest.strip_suffix('t').map_or((rest, false), |digits| (digits, true));
    let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| Some((3, digits.parse().ok()?, free))).flatten()
}

/// The version of an installed package.
fn dpkg_version<'a>(status: &'a str, package: &str) -> Option<&'a str> {
    for stanza in status.split("\n\n") {
        let field = |key: &str| stanza.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim()));
        // The files of distroless images have no status: what is listed is installed.
        let installed = field("Status").is_none_or(|status| status.ends_with(" installed"));
        if field("Package") == Some(package) && installed {
            return field("Version");
        }
    }
    None
}

/// The upstream part of a Debian version: `3.11.2` of `1:3.11.2-6+deb12u6`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    version.rsplit_once('-').map_or(version, |(version, _)| version).split(['~', '+']).next().unwrap_or(version)
}

/// The text that a C header defines for a name.
fn defined<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("#define"), Some(found), Some(value)) if found == name => Some(value.trim_matches('"')),
            _ => None,
        }
    })
}

fn read(image: &mut Image<'_>, path: &TreePath) -> Result<Option<Vec<u8>>, InterpreterError> {
    let Some((real, _, located)) = image.rootfs.file(path)? else { return Ok(None) };
    let length = located.length();
    let failed = |source| InterpreterError::Read { path: real.clone(), source };
    if length > MAX_FILE {
        return Err(failed(io::Error::other(format!("it has more than {MAX_FILE} bytes"))));
    }
    if let Located::Unknown { path, .. } = located {
        image.rootfs.needs_contents(path);
        return Err(failed(io::Error::other("the base was not read")));
    }
    (image.read)(located).map(Some).map_err(failed)
}

fn read_text(image: &mut Image<'_>, path: &TreePath) -> Result<Option<String>, InterpreterError> {
    Ok(read(image, path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The C library: by the package databases, else by what the library says of itself.
fn find_libc(image: &mut Image<'_>) -> Result<Libc, InterpreterError> {
    for package in ["libc6", "libc6.1", "libc6-amd64"] {
        if let Some((major, minor)) =
            dpkg_version(image.dpkg_status, package).and_then(|text| two_numbers(upstream(text)))
        {
            return Ok(Libc::Glibc { major, minor });
        }
    }
    if let Some(text) = read_text(image, &TreePath::parse("lib/apk/db/installed")?)? {
        let version = text.split("\n\n").find(|stanza| stanza.lines().any(|line| line == "P:musl"));
        let version = version.and_then(|stanza| stanza.lines().find_map(|line| line.strip_prefix("V:")));
        if let Some((major, minor)) = version.and_then(two_numbers) {
            return Ok(Libc::Musl { major, minor });
        }
    }
    let paths: Vec<TreePath> = ["lib64", "lib", "usr/lib64", "usr/lib"]
        .into_iter()
        .map(TreePath::parse)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flat_map(|directory| {
            let directory = image.rootfs.resolve(&directory).unwrap_or(directory);
            let nested = image.rootfs.below(&directory).filter_map(|(path, node)| {
                let is_file = matches!(node.kind, NodeKind::File(_) | NodeKind::Symlink(_));
                let depth = path.components().count() - directory.components().count();
                (is_file && depth <= 2 && path.file_name() == Some(b"libc.so.6")).then(|| path.clone())
            });
            nested.collect::<Vec<_>>()
        })
        .collect();
    for path in paths {
        let Some(bytes) = read(image, &path)? else { continue };
        let mark = b"release version ";
        let Some(at) = bytes.windows(mark.len()).position(|window| window == mark) else { continue };
        let text: String = bytes[at + mark.len()..].iter().take(20).map(|byte| char::from(*byte)).collect();
        if let Some((major, minor)) = two_numbers(&text) {
            return Ok(Libc::Glibc { major, minor });
        }
    }
    Err(InterpreterError::Libc)
}

/// The first two numbers of a version.
fn two_numbers(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Knowledge;
    use crate::content::Content;
    use crate::oci::Digest;
    use crate::tree::{Known, Misses, Node, Owner};

    fn rootfs(files: &[(&str, &str)], links: &[(&str, &str)]) -> Rootfs {
        let mut rootfs = Rootfs::new();
        let mut put = |path: &str, kind| {
            rootfs.put(TreePath::parse(path).unwrap(), Node { kind, mode: 0o755, owner: Owner::ROOT });
        };
        for (path, text) in files {
            put(path, NodeKind::File(Located::Content(Content::inline(text.as_bytes()))));
        }
        for (path, target) in links {
            put(path, NodeKind::Symlink(target.as_bytes().into()));
        }
        rootfs
    }

    fn find(rootfs: &Rootfs, dpkg_status: &str, version_hint: Option<&str>) -> Result<Interpreter, InterpreterError> {
        let mut read = |located: &Located| match located {
            Located::Content(content) => content.read_all(MAX_FILE),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        Interpreter::find(&mut Image { rootfs, read: &mut read, dpkg_status, version_hint })
    }

    #[test]
    fn debian() {
        let rootfs = rootfs(
            &[("usr/bin/python3.11", "ELF"), ("usr/lib/python3.11/EXTERNALLY-MANAGED", "")],
            &[("usr/bin/python3", "python3.11"), ("bin", "usr/bin")],
        );
        let status = "Package: python3.11-minimal\nStatus: deinstall ok config-files\nVersion: 3.11.1-1\n\nPackage: python3.11-minimal\nStatus: install ok installed\nVersion: 3.11.2-6+deb12u6\nDescription: x\n Package: y\n\nPackage: libc6\nStatus: install ok installed\nVersion: 2.36-9+deb12u9\n";
        let found = find(&rootfs, status, None).unwrap();
        assert_eq!(found.version.to_string(), "3.11.2");
        assert_eq!((found.layout.clone(), found.libc), (Layout::Debian, Libc::Glibc { major: 2, minor: 36 }));
        assert!(found.externally_managed.is_some() && !found.free_threaded);
        assert_eq!(found.scheme().unwrap(), Scheme::debian(found.version).unwrap());
        // A distroless image lists the same without a status.
        let bare = "Package: libpython3.11-minimal\nVersion: 3.11.2-6\n\nPackage: libc6\nVersion: 2.41-12";
        assert_eq!(find(&rootfs, bare, None).unwrap().libc, Libc::Glibc { major: 2, minor: 41 });
    }

    #[test]
    fn the_official_python_image() {
        let rootfs = rootfs(
            &[
                ("usr/local/bin/python3.13", "ELF"),
                ("usr/bin/python3.11", "ELF"),
                ("usr/local/include/python3.13/patchlevel.h", "/* x */\n#define PY_VERSION      \t\"3.13.5\"\n"),
            ],
            &[("usr/local/bin/python3", "python3.13"), ("usr/bin/python3", "python3.11")],
        );
        let status = "Package: libc6\nStatus: install ok installed\nVersion: 2.41-12\n";
        let found = find(&rootfs, status, None).unwrap();
        assert_eq!(found.version.to_string(), "3.13.5");
        let scheme = found.scheme().unwrap();
        assert_eq!(scheme.library(true).to_string(), "/usr/local/lib/python3.13/site-packages");
        assert_eq!(scheme.interpreter(), "/usr/local/bin/python3");
        assert_eq!(found.externally_managed, None);
    }

    #[test]
    fn alpine_and_others() {
        let files =
            [("usr/bin/python3.12", "ELF"), ("lib/apk/db/installed", "P:busybox\nV:1.36\n\nC:x\nP:musl\nV:1.2.4-r2\n")];
        let links = [("usr/bin/python3", "python3.12")];
        let rootfs_alpine = rootfs(&files, &links);
        assert!(matches!(find(&rootfs_alpine, "", None), Err(InterpreterError::Version(_))));
        assert!(matches!(find(&rootfs_alpine, "", Some("3.11.2")), Err(InterpreterError::Version(_))));
        let found = find(&rootfs_alpine, "", Some("3.12.3")).unwrap();
        assert_eq!(
            (found.libc, found.layout),
            (Libc::Musl { major: 1, minor: 2 }, Layout::Prefix(TreePath::parse("usr").unwrap()))
        );
        let files = [
            ("usr/bin/python3.12", ""),
            ("usr/lib64/libc.so.6", "\0GNU C Library (GNU libc) stable release version 2.34.\n"),
        ];
        let red_hat = rootfs(&files, &[("usr/bin/python3", "/usr/bin/python3.12"), ("lib64", "usr/lib64")]);
        assert_eq!(find(&red_hat, "", Some("3.12.3")).unwrap().libc, Libc::Glibc { major: 2, minor: 34 });
        let files = [("usr/bin/python3.12", ""), ("lib/libc.so.6", "release version x")];
        assert!(matches!(find(&rootfs(&files, &links), "", Some("3.12.3")), Err(InterpreterError::Libc)));
    }

    #[test]
    fn images_without() {
        for (files, links) in [
            (vec![], vec![]),
            (vec![], vec![("usr/bin/python3", "python3.11")]),
            (vec![("usr/bin/python3", "a script")], vec![]),
        ] {
            assert!(matches!(find(&rootfs(&files, &links), "", None), Err(InterpreterError::None)));
        }
        let round = rootfs(&[], &[("usr/bin/python3", "python3")]);
        assert!(matches!(find(&round, "", None), Err(InterpreterError::Resolve(_))));
    }

    #[test]
    fn a_base_that_was_not_read_is_no_base_without_python() {
        let files = [
            ("usr/local/bin/python3.13", "ELF"),
            ("usr/local/include/python3.13/patchlevel.h", "#define PY_VERSION \"3.13.5\"\n"),
        ];
        let mut rootfs = rootfs(&files, &[("usr/local/bin/python3", "python3.13")]);
        let status = "Package: libc6\nVersion: 2.41-12\n";
        let error = find(&Rootfs::partial(Known::default(), Misses::default()), status, Some("3.13.5")).unwrap_err();
        assert!(matches!(error, InterpreterError::Missed(Missed::Path(_))), "{error}");
        // What was learned tells what is there, and not what the files hold.
        rootfs.watch();
        let full = find(&rootfs, status, None).unwrap();
        let known = Knowledge::new(Digest::of(b""), rootfs.learned().unwrap()).known().clone();
        let error = find(&Rootfs::partial(known, Misses::default()), status, None).unwrap_err();
        assert!(matches!(error, InterpreterError::Missed(Missed::Contents(_))), "{error}");
        // What layers on top have is known as ever, and a base that is known to have none has none.
        let nothing = Known::new(Default::default(), Default::default(), [TreePath::root()].into()).unwrap();
        let mut above = Rootfs::partial(nothing, Misses::default());
        assert!(matches!(find(&above, status, None), Err(InterpreterError::None)));
        for (path, node) in rootfs.unwatched().iter() {
            above.put(path.clone(), node.clone());
        }
        assert_eq!(find(&above, status, None).unwrap(), full);
    }

    #[test]
    fn versions_of_debian() {
        for (text, upstream_version) in [
            ("3.11.2-6+deb12u6", "3.11.2"),
            ("2:3.13.5~rc1-1", "3.13.5"),
            ("2.36", "2.36"),
            ("3.13.5+dfsg-2", "3.13.5"),
        ] {
            assert_eq!(upstream(text), upstream_version);
        }
        assert_eq!(version_of_name(b"python3.13t"), Some((3, 13, true)));
        for bad in ["python3", "python3.", "python3.x", "python3.111", "python3.1\u{661}", "perl"] {
            assert_eq!(version_of_name(bad.as_bytes()), None);
        }
    }

    #[test]
    fn a_line_tells_all_of_it() {
        let path = |text: &str| TreePath::parse(text).unwrap();
        for (layout, managed, free_threaded) in [
            (Layout::Debian, Some(path("usr/lib/python3.13/EXTERNALLY-MANAGED")), false),
            (Layout::Prefix(path("usr/local")), None, true),
        ] {
            let found = Interpreter {
                path: path("usr/bin/python3"),
                version: "3.13.5".parse().unwrap(),
                free_threaded,
                layout,
                externally_managed: managed,
                libc: Libc::Glibc { major: 2, minor: 41 },
            };
            assert_eq!(Interpreter::of_line(&found.line().unwrap()), Some(found));
        }
        for wrong in
            ["", "/usr/bin/python3 3.13.5 glibc 2.41", "/x 3.13.5 libc 2.41 debian", "/x 3.13.5 musl 1.2 debian x"]
        {
            assert_eq!(Interpreter::of_line(wrong), None, "{wrong}");
        }
    }
}
