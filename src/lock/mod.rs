//! The lock: what a recipe's names came to, pinned (semantics 24, 25). Pure: text to values and back.
//!
//! ```text
//! recipe + what is outside ─(pin)→ Lock ─(text)→ RECIPE.lock ─(text)→ Lock ─(build)→ layers
//! ```
//!
//! An entry is found again by its platform and by what was asked ([`Asked`]): several layers that ask the same share it. No
//! host is in a lock: mirrors, indexes and registries are the machine's affair.

mod asked;
mod change;
mod read;
mod salvage;
mod write;

pub use asked::Asked;
pub use change::{Change, changes};
pub use read::{LockError, MAX_LOCK, salvage};
pub use salvage::Salvage;

use std::collections::BTreeMap;

use crate::oci::Digest;

/// The version of the lock's own form.
pub const VERSION: u32 = 1;

/// Which pins may move, where they still fit what is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// None: what was locked stays as far as it can.
    #[default]
    Nothing,
    /// Those of these names (packages, images, files, archives) alone.
    Only(std::collections::BTreeSet<String>),
    /// All.
    Everything,
}

impl Update {
    /// Whether this very name was said.
    pub fn names(&self, name: &str) -> bool {
        matches!(self, Update::Only(names) if names.contains(name))
    }

    /// Whether what has this name may move.
    pub fn moves(&self, name: &str) -> bool {
        match self {
            Update::Nothing => false,
            Update::Only(names) => names.contains(name),
            Update::Everything => true,
        }
    }
}

/// What a recipe's names came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The format of layers that it was made for ([`crate::layer::key::FORMAT`]).
    pub format: u32,
    /// The version of what is done natively for packages ([`crate::debian::effects::EFFECTS`]).
    pub effects: u32,
    /// Bases, and images that are copied from.
    pub images: Vec<ImagePin>,
    /// Debian packages.
    pub debian: Vec<DebianPins>,
    /// Interpreters that compile Python modules on the machine that builds: Debian packages too.
    pub compilers: Vec<DebianPins>,
    /// Python packages.
    pub python: Vec<PythonPins>,
    /// Downloads.
    pub fetch: Vec<FetchPin>,
    /// What is known of layers of packages, so that they need not be looked into.
    pub views: Vec<ViewPin>,
}

impl Default for Lock {
    fn default() -> Self {
        Lock {
            format: crate::layer::key::FORMAT,
            effects: crate::debian::effects::EFFECTS,
            images: Vec::new(),
            debian: Vec::new(),
            compilers: Vec::new(),
            python: Vec::new(),
            fetch: Vec::new(),
            views: Vec::new(),
        }
    }
}

impl Lock {
    /// Whether something is pinned for a platform.
    pub fn knows(&self, platform: &str) -> bool {
        self.images.iter().any(|pin| pin.platform == platform)
            || self.debian.iter().any(|pins| pins.platform == platform)
            || self.python.iter().any(|pins| pins.platform == platform)
            || self.fetch.iter().any(|pin| pin.platform == platform)
    }

    /// The lock without what is pinned for these platforms. Compilers stay: they are for the machine that builds.
    #[must_use]
    pub fn without(&self, platforms: &[String]) -> Self {
        let mut lock = self.clone();
        let stays = |platform: &String| !platforms.contains(platform);
        lock.images.retain(|pin| stays(&pin.platform));
        lock.debian.retain(|pins| stays(&pins.platform));
        lock.python.retain(|pins| stays(&pins.platform));
        lock.fetch.retain(|pin| stays(&pin.platform));
        lock.views.retain(|pin| stays(&pin.platform));
        lock
    }
}

/// An image that the recipe does not make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePin {
    /// Its place as the recipe says it, without the registry's host.
    pub name: String,
    /// For which platform (`linux/amd64`).
    pub platform: String,
    /// Its manifest.
    pub manifest: Digest,
    /// Its config.
    pub config: Digest,
    /// What the layers on top need to know of its files, a line each; see [`crate::base::Knowledge`].
    pub knowledge: Vec<String>,
    /// Contents of its small files that builds write anew, by path.
    pub texts: BTreeMap<String, String>,
    /// Contents that layers of packages read, compressed, by path; see [`crate::base::Knowledge::files`].
    pub files: BTreeMap<String, String>,
    /// Its Python, in one line ([`crate::python::Interpreter::line`]); empty where nobody asked, or it has none.
    pub python: String,
}

/// Debian packages for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianPins {
    /// For which platform.
    pub platform: String,
    /// Which layers asked: `image:variant/title`.
    pub layers: Vec<String>,
    /// What was asked.
    pub asked: Asked,
    /// The newest Release date of each archive, RFC 3339.
    pub archives: BTreeMap<String, String>,
    /// Numbers of accounts that were given out, by name.
    pub accounts: BTreeMap<String, u32>,
    /// Packages whose scripts are not known and that were taken all the same.
    pub skipped: Vec<String>,
    /// The packages, by name.
    pub packages: Vec<DebPin>,
}

/// One `.deb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebPin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `all`, or the architecture.
    pub architecture: String,
    /// Which archive has it; empty for a file of the context.
    pub archive: String,
    /// Its path below the archive's root; or in the context.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// Python packages for one platform and interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonPins {
    /// For which platform.
    pub platform: String,
    /// Which layers asked: `image:variant/title`.
    pub layers: Vec<String>,
    /// What was asked.
    pub asked: Asked,
    /// The wheels, by name of their package.
    pub wheels: Vec<WheelPin>,
}

/// One wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelPin {
    /// Its project.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Which index has it; empty for a file of the context, or one that is named by its URL.
    pub index: String,
    /// Its file name; its path in the context; its URL.
    pub file: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
    /// Whether it was asked for itself, and not by another package.
    pub requested: bool,
}

/// A download of a `fetch` layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPin {
    /// Its file name.
    pub name: String,
    /// For which platforms: `linux/amd64`.
    pub platform: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// What the layers above need to know of a layer of packages and of all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewPin {
    /// The layer: `image:variant/title`.
    pub layer: String,
    /// For which platform.
    pub platform: String,
    /// What stands where, a line each; see [`crate::base::Knowledge`].
    pub knowledge: Vec<String>,
    /// Contents of small files that builds write anew, by path.
    pub texts: BTreeMap<String, String>,
    /// Contents that layers of packages read, compressed, by path.
    pub files: BTreeMap<String, String>,
    /// Its Python, in one line; empty where nobody asked, or there is none.
    pub python: String,
}

impl Lock {
    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
            && self.debian.is_empty()
            && self.compilers.is_empty()
            && self.python.is_empty()
            && self.fetch.is_empty()
    }

    /// Everything in the order in which it is written.
    pub fn sort(&mut self) {
        self.images.sort_by(|a, b| (&a.name, &a.platform).cmp(&(&b.name, &b.platform)));
        for pins in self.debian.iter_mut().chain(&mut self.compilers) {
            pins.layers.sort();
            pins.layers.dedup();
            pins.skipped.sort();
            pins.packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
        }
        for list in [&mut self.debian, &mut self.compilers] {
            list.sort_by(|a, b| (&a.layers, &a.platform, &a.asked).cmp(&(&b.layers, &b.platform, &b.asked)));
        }
        for pins in &mut self.python {
            pins.layers.sort();
            pins.layers.dedup();
            pins.wheels.sort_by(|a, b| (&a.name, &a.file).cmp(&(&b.name, &b.file)));
        }
        self.python.sort_by(|a, b| (&a.layers, &a.platform, &a.asked).cmp(&(&b.layers, &b.platform, &b.asked)));
        self.fetch.sort_by(|a, b| (&a.name, &a.platform).cmp(&(&b.name, &b.platform)));
        self.views.sort_by(|a, b| (&a.layer, &a.platform, &a.knowledge).cmp(&(&b.layer, &b.platform, &b.knowledge)));
    }
}

impl ImagePin {
    /// What its knowledge comes to, empty where it has none: another value says that somebody edited it.
    pub fn seal(&self) -> String {
        let mut text = String::new();
        write::image_seal(self, &mut text);
        if text.is_empty() { text } else { seal(&text) }
    }
}

impl ViewPin {
    /// What is known, in short: another value says that somebody edited it.
    pub fn seal(&self) -> String {
        let mut text = String::new();
        write::view_seal(self, &mut text);
        seal(&text)
    }
}

impl DebianPins {
    /// What its packages come to: another value says that somebody edited them.
    pub fn seal(&self) -> String {
        let mut text = String::new();
        write::debian_seal(self, &mut text);
        seal(&text)
    }
}

impl PythonPins {
    /// What its wheels come to: another value says that somebody edited them.
    pub fn seal(&self) -> String {
        let mut text = String::new();
        write::python_seal(self, &mut text);
        seal(&text)
    }
}

fn seal(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn deb(name: &str, version: &str) -> DebPin {
        DebPin {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            archive: "debian".to_owned(),
            path: format!("pool/main/{name}_{version}_amd64.deb"),
            size: 7,
            sha256: Digest::of(format!("{name} {version}").as_bytes()),
        }
    }

    pub(super) fn lock(curl: &str) -> Lock {
        let digest = Digest::of(b"x");
        Lock {
            images: vec![ImagePin {
                name: "library/debian:13".to_owned(),
                platform: "linux/amd64".to_owned(),
                manifest: digest,
                config: digest,
                knowledge: vec!["d 0755 0:0 /usr".to_owned()],
                python: "/usr/bin/python3 3.13.5 glibc 2.41 debian".to_owned(),
                texts: [("etc/passwd".to_owned(), "root:x:0:0:\"\\\n".to_owned())].into(),
                files: [("var/lib/dpkg/status".to_owned(), "zstd:KLUv".to_owned())].into(),
            }],
            debian: vec![DebianPins {
                platform: "linux/amd64".to_owned(),
                layers: vec!["base/packages".to_owned()],
                asked: ["package curl", "suite trixie"].into_iter().collect(),
                archives: [("debian".to_owned(), "2026-01-01T00:00:00Z".to_owned())].into(),
                accounts: [("redis".to_owned(), 101)].into(),
                skipped: vec!["odd".to_owned()],
                packages: vec![deb("zlib1g", "1"), deb("curl", curl)],
            }],
            python: vec![PythonPins {
                platform: "linux/arm64".to_owned(),
                layers: vec!["base/wheels".to_owned()],
                asked: Asked::new(),
                wheels: vec![WheelPin {
                    name: "six".to_owned(),
                    version: "1.0".to_owned(),
                    index: "default".to_owned(),
                    file: "six-1.0-py3-none-any.whl".to_owned(),
                    size: 3,
                    sha256: digest,
                    requested: true,
                }],
            }],
            views: vec![ViewPin {
                layer: "base/packages".to_owned(),
                platform: "linux/amd64".to_owned(),
                knowledge: vec!["d 0755 0:0 /app".to_owned()],
                python: String::new(),
                texts: [("etc/group".to_owned(), "root:x:0:\n".to_owned())].into(),
                files: [("etc/ld.so.conf".to_owned(), "zstd:KLUy".to_owned())].into(),
            }],
            fetch: vec![FetchPin {
                name: "x.tar.gz".to_owned(),
                platform: "linux/amd64".to_owned(),
                size: 1,
                sha256: digest,
            }],
            ..Lock::default()
        }
    }

    #[test]
    fn what_is_written_is_read_and_names_no_host() {
        let mut lock = lock("8.1");
        let text = lock.text();
        lock.sort();
        assert_eq!(text.parse::<Lock>().unwrap(), lock);
        assert_eq!(text.parse::<Lock>().unwrap().text(), text);
        assert!(text.find("\"curl\"") < text.find("\"zlib1g\""), "{text}");
        assert!(Lock::default().text().parse::<Lock>().unwrap().is_empty());
    }

    #[test]
    fn edits_are_found_but_a_base_may_be_moved() {
        let text = lock("8.1").text();
        for (from, to) in [
            ("version = \"8.1\"", "version = \"8.2\""),
            ("size = 3", "size = 4"),
            ("redis\" = 101", "redis\" = 102"),
            ("0:0 /app", "1:0 /app"),
            ("zstd:KLUv", "zstd:KLUw"),
            ("zstd:KLUy", "zstd:KLUz"),
        ] {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text);
            let error = edited.parse::<Lock>().unwrap_err();
            assert!(matches!(error, LockError::Edited { .. }), "{error}");
        }
        let moved = text.replacen(&Digest::of(b"x").to_string(), &Digest::of(b"y").to_string(), 1);
        assert_eq!(moved.parse::<Lock>().unwrap().images[0].manifest, Digest::of(b"y"));
        let error = text.replace("lock    = 1", "lock    = 2").parse::<Lock>().unwrap_err();
        assert!(matches!(error, LockError::Version { found: 2 }));
        let error = text.replace("effects", "effect").parse::<Lock>().unwrap_err();
        assert!(error.to_string().starts_with("line 5: "), "{error}");
        assert!("".parse::<Lock>().is_err());
    }

    #[test]
    fn changes_are_told_by_version() {
        let tell = |changes: Vec<Change>| changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert_eq!(tell(changes(&lock("8.1"), &lock("8.1"))), "");
        assert_eq!(tell(changes(&lock("8.1"), &lock("8.2"))), "~ debian curl 8.1 → 8.2 (linux/amd64)");
        let mut without = lock("8.1");
        without.python.clear();
        assert_eq!(tell(changes(&lock("8.1"), &without)), "- python six 1.0 (linux/arm64)");
        assert_eq!(tell(changes(&without, &lock("8.1"))), "+ python six 1.0 (linux/arm64)");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(\\PC|[a-z\\[\\]=\"\n]){0,200}") {
            let _ = text.parse::<Lock>();
        }
    }
}
