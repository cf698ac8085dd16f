//! Where a wheel's files go (packaging specifications, "Binary distribution format"; Python's `sysconfig` schemes).

use super::{PackageName, PythonVersion};
use crate::content::Content;
use crate::shown::Shown;
use crate::tree::{Entry, Origin, Owner, PathError, TreePath};

/// The directories of an installation and the interpreter of its scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    purelib: TreePath,
    platlib: TreePath,
    scripts: TreePath,
    data: TreePath,
    headers: TreePath,
    interpreter: String,
    version: PythonVersion,
}

/// Why there can be no such installation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// The interpreter's path cannot stand in a script.
    #[error(
        "{0} cannot be the interpreter of scripts: it must be an absolute path of printable ASCII without quotes, `$`, backquotes and backslashes"
    )]
    Interpreter(Shown),
    /// A path does not work.
    #[error("making the paths of a Python installation")]
    Path(#[from] PathError),
}

impl Scheme {
    /// Below a prefix, with packages in `lib/pythonX.Y/{site}`: `site` is `site-packages`, or Debian's `dist-packages`.
    ///
    /// # Errors
    /// Where the paths get too long, or the interpreter cannot stand in a script.
    pub fn prefix(
        prefix: &TreePath,
        site: &str,
        version: PythonVersion,
        interpreter: &str,
    ) -> Result<Self, SchemeError> {
        let below = |path: String| -> Result<TreePath, SchemeError> { Ok(prefix.join(&TreePath::parse(path)?)?) };
        let short = version.short();
        let library = below(format!("lib/python{short}/{site}"))?;
        Ok(Scheme {
            purelib: library.clone(),
            platlib: library,
            scripts: below("bin".to_owned())?,
            data: prefix.clone(),
            headers: below(format!("include/python{short}"))?,
            interpreter: checked_interpreter(interpreter)?,
            version,
        })
    }

    /// Where pip puts packages for Debian's own interpreter: `/usr/local/lib/python3.X/dist-packages`, `/usr/local/bin`.
    ///
    /// # Errors
    /// As [`Scheme::prefix`]; never in fact.
    pub fn debian(version: PythonVersion) -> Result<Self, SchemeError> {
        Self::prefix(&TreePath::parse("usr/local")?, "dist-packages", version, "/usr/bin/python3")
    }

    /// A single directory, as `pip install --target`: packages in it, commands in its `bin`.
    ///
    /// # Errors
    /// As [`Scheme::prefix`].
    pub fn target(directory: &TreePath, version: PythonVersion, interpreter: &str) -> Result<Self, SchemeError> {
        Ok(Scheme {
            purelib: directory.clone(),
            platlib: directory.clone(),
            scripts: directory.child(b"bin")?,
            data: directory.clone(),
            headers: directory.join(&TreePath::parse("include/python")?)?,
            interpreter: checked_interpreter(interpreter)?,
            version,
        })
    }

    /// A virtual environment at that path; [`Venv::entries`] makes the environment itself.
    ///
    /// # Errors
    /// As [`Scheme::prefix`].
    pub fn venv(path: &TreePath, version: PythonVersion) -> Result<Self, SchemeError> {
        let python = path.join(&TreePath::parse("bin/python")?)?;
        let interpreter = String::from_utf8_lossy(&[b"/", python.as_bytes()].concat()).into_owned();
        let scheme = Self::prefix(path, "site-packages", version, &interpreter)?;
        let headers = path.join(&TreePath::parse(format!("include/site/python{}", version.short()))?)?;
        Ok(Scheme { headers, ..scheme })
    }

    /// The directory of packages: where `.dist-info` goes, and what rows of `RECORD` are relative to.
    pub fn library(&self, root_is_purelib: bool) -> &TreePath {
        if root_is_purelib { &self.purelib } else { &self.platlib }
    }

    /// The directories that its packages' own files go to: libraries, commands, headers.
    pub fn directories(&self) -> [&TreePath; 4] {
        [&self.purelib, &self.platlib, &self.scripts, &self.headers]
    }

    /// The directory of commands.
    pub fn scripts(&self) -> &TreePath {
        &self.scripts
    }

    /// The interpreter that commands name, absolute.
    pub fn interpreter(&self) -> &str {
        &self.interpreter
    }

    /// The interpreter's version.
    pub fn version(&self) -> PythonVersion {
        self.version
    }

    /// The directory for a key of `NAME-VERSION.data`; `None` for keys that there are not.
    ///
    /// # Errors
    /// Where the path gets too long.
    pub fn directory(&self, key: &str, package: &PackageName) -> Result<Option<TreePath>, PathError> {
        Ok(Some(match key {
            "purelib" => self.purelib.clone(),
            "platlib" => self.platlib.clone(),
            "scripts" => self.scripts.clone(),
            "data" => self.data.clone(),
            "headers" => self.headers.child(package.as_str().as_bytes())?,
            _ => return Ok(None),
        }))
    }
}

fn checked_interpreter(path: &str) -> Result<String, SchemeError> {
    let plain = |b: u8| (b.is_ascii_graphic() || b == b' ') && !b"\"'$`\\".contains(&b);
    // A long path is given to a shell unquoted, as distlib does: what a shell would take apart is refused.
    let shell = |b: u8| b"#&*()[]{}|;<>?!~".contains(&b);
    match path.starts_with('/') && path.len() <= 1000 && path.bytes().all(plain) && !path.bytes().any(shell) {
        true => Ok(path.to_owned()),
        false => Err(SchemeError::Interpreter(Shown::new(path.as_bytes()))),
    }
}

/// A virtual environment, made without running anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Venv {
    /// Where it is.
    pub path: TreePath,
    /// The interpreter's version.
    pub version: PythonVersion,
    /// The interpreter that it is made from, absolute: `/usr/bin/python3`.
    pub python: String,
    /// Whether it sees the packages outside of it.
    pub system_packages: bool,
}

impl Venv {
    /// Its `pyvenv.cfg`, the links to the interpreter, and the directory of packages.
    ///
    /// # Errors
    /// As [`Scheme::venv`].
    pub fn entries(&self, owner: Owner, origin: &Origin) -> Result<Vec<(TreePath, Entry)>, SchemeError> {
        let python = checked_interpreter(&self.python)?;
        let below = |path: &str| -> Result<TreePath, SchemeError> { Ok(self.path.join(&TreePath::parse(path)?)?) };
        let home = python.rsplit_once('/').map_or("/", |(home, _)| if home.is_empty() { "/" } else { home });
        let config = format!(
            "home = {home}\ninclude-system-site-packages = {}\nversion = {}\nexecutable = {python}\n",
            self.system_packages, self.version
        );
        let short = self.version.short();
        let link = |target: &str| Entry::symlink(target.as_bytes(), owner, origin.clone());
        Ok(vec![
            (below("bin/python")?, link(&python)),
            (below("bin/python3")?, link("python")),
            (below(&format!("bin/python{short}"))?, link("python")),
            (below(&format!("lib/python{short}/site-packages"))?, Entry::directory(0o755, owner, origin.clone())),
            (below("pyvenv.cfg")?, Entry::file(Content::inline(config.into_bytes()), 0o644, owner, origin.clone())),
        ])
    }
}

/// The path of `to` as seen from the directory `from`: what rows of `RECORD` hold.
pub(crate) fn relative(from: &TreePath, to: &TreePath) -> Vec<u8> {
    let from: Vec<&[u8]> = from.components().collect();
    let to: Vec<&[u8]> = to.components().collect();
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut parts: Vec<&[u8]> = vec![b".."; from.len() - common];
    parts.extend(&to[common..]);
    parts.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Kind;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn version() -> PythonVersion {
        "3.13.5".parse().unwrap()
    }

    #[test]
    fn schemes() {
        let package: PackageName = "greenlet".parse().unwrap();
        let debian = Scheme::debian(version()).unwrap();
        let directory =
            |scheme: &Scheme, key: &str| scheme.directory(key, &package).unwrap().map(|path| path.to_string());
        let target = Scheme::target(&path("site"), version(), "/usr/bin/python3").unwrap();
        let venv = Scheme::venv(&path("app/.venv"), version()).unwrap();
        for (scheme, key, expected) in [
            (&debian, "purelib", "/usr/local/lib/python3.13/dist-packages"),
            (&debian, "platlib", "/usr/local/lib/python3.13/dist-packages"),
            (&debian, "scripts", "/usr/local/bin"),
            (&debian, "data", "/usr/local"),
            (&debian, "headers", "/usr/local/include/python3.13/greenlet"),
            (&target, "purelib", "/site"),
            (&target, "scripts", "/site/bin"),
            (&target, "data", "/site"),
            (&venv, "platlib", "/app/.venv/lib/python3.13/site-packages"),
            (&venv, "headers", "/app/.venv/include/site/python3.13/greenlet"),
        ] {
            assert_eq!(directory(scheme, key).as_deref(), Some(expected));
        }
        assert_eq!(directory(&debian, "stdlib"), None);
        assert_eq!((debian.interpreter(), venv.interpreter()), ("/usr/bin/python3", "/app/.venv/bin/python"));
    }

    #[test]
    fn interpreters_that_a_shell_would_take_apart() {
        for bad in ["python3", "", "/a\n/b", "/a\"b", "/$(x)/python", "/a`b", "/a;b", "/é", "/a\\b"] {
            assert!(Scheme::target(&path("x"), version(), bad).is_err(), "{bad:?}");
        }
        assert!(Scheme::venv(&path("my app/venv"), version()).is_ok());
    }

    #[test]
    fn an_environment() {
        let venv = Venv {
            path: path("app/.venv"),
            version: version(),
            python: "/usr/bin/python3".into(),
            system_packages: false,
        };
        let entries = venv.entries(Owner::ROOT, &Origin::new("python")).unwrap();
        let find = |name: &str| &entries.iter().find(|(at, _)| *at == path(name)).unwrap().1.kind;
        assert_eq!(find("app/.venv/bin/python"), &Kind::Symlink(b"/usr/bin/python3"[..].into()));
        assert_eq!(find("app/.venv/bin/python3.13"), &Kind::Symlink(b"python"[..].into()));
        let text =
            b"home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.13.5\nexecutable = /usr/bin/python3\n";
        assert_eq!(find("app/.venv/pyvenv.cfg"), &Kind::File(Content::inline(&text[..])));
    }

    #[test]
    fn paths_seen_from_a_directory() {
        for (from, to, expected) in [
            ("usr/local/lib/python3.13/dist-packages", "usr/local/bin/flask", "../../../bin/flask"),
            ("site", "site/x/y", "x/y"),
            ("", "bin/x", "bin/x"),
            ("a/b", "c", "../../c"),
            ("a/bc", "a/b/x", "../b/x"),
        ] {
            assert_eq!(relative(&path(from), &path(to)), expected.as_bytes());
        }
    }
}
