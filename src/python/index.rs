//! Pages of a package index (packaging specifications, "Simple repository API"; PEP 503, 592, 629, 658, 691, 700): which
//! files a package has. Nothing is fetched here.

mod html;
mod json;

use std::collections::BTreeSet;

use pep440_rs::{Version, VersionSpecifiers};
use url::Url;

use super::{PackageName, PythonVersion, Tags, WheelName};
use crate::oci::Digest;
use crate::shown::Shown;

/// The most bytes of a page (the largest have some tens of millions).
pub const MAX_PAGE: usize = 128 << 20;

/// What to ask an index for: JSON where it has it.
pub const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/// The files of one package.
#[derive(Clone, Debug)]
pub struct Page {
    name: PackageName,
    files: Vec<IndexFile>,
}

/// A file of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Its name.
    pub name: String,
    /// Where it is, absolute, without a fragment.
    pub url: Url,
    /// Its digest, where the index has it.
    pub sha256: Option<Digest>,
    /// Its length in bytes, where the index has it (PEP 700).
    pub size: Option<u64>,
    /// Why it was withdrawn, where it was (PEP 592); often empty.
    pub yanked: Option<String>,
    /// Versions of Python that it is for, as written.
    pub requires_python: Option<String>,
    /// Whether its metadata is there by itself, under the name with `.metadata` (PEP 658), and its digest where given.
    pub metadata: Option<Option<Digest>>,
}

/// Why a page cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It is too long.
    #[error("the index page has more than {MAX_PAGE} bytes")]
    TooLong,
    /// Neither JSON nor HTML.
    #[error("the index answers with {0}, which is neither JSON nor HTML")]
    Type(Shown),
    /// The JSON cannot be read.
    #[error("the JSON of the index page cannot be read: {0}")]
    Json(String),
    /// Another major version.
    #[error("the index speaks version {0} of the protocol, and only 1.x is understood")]
    Version(Shown),
    /// The page is of another package.
    #[error("the index page is of {found}, and {wanted} was asked for")]
    Other {
        /// What was asked for.
        wanted: PackageName,
        /// What came.
        found: Shown,
    },
    /// The file is not there.
    #[error("the index has no file {0} any more: it was removed, or this is another index than the lock was made with")]
    Absent(Shown),
    /// The file is another one.
    #[error("the file {name} of the index has the digest {found}, and {wanted} is pinned")]
    Digest {
        /// The file.
        name: Shown,
        /// What is pinned.
        wanted: Digest,
        /// What the index says.
        found: Digest,
    },
}

impl Page {
    /// Reads a page that came from `url` with that content type.
    ///
    /// # Errors
    /// [`IndexError`]. Single entries that cannot be right are left out: old packages have them.
    pub fn parse(wanted: &PackageName, content_type: &str, body: &[u8], url: &Url) -> Result<Self, IndexError> {
        if body.len() > MAX_PAGE {
            return Err(IndexError::TooLong);
        }
        let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let files = match media_type.as_str() {
            "application/vnd.pypi.simple.v1+json" | "application/json" | "application/vnd.pypi.simple.latest+json" => {
                json::parse(wanted, body, url)?
            }
            "text/html" | "application/vnd.pypi.simple.v1+html" | "application/xhtml+xml" | "" => {
                html::parse(&String::from_utf8_lossy(body), url)?
            }
            _ => return Err(IndexError::Type(Shown::new(media_type.as_bytes()))),
        };
        Ok(Page { name: wanted.clone(), files })
    }

    /// All files, in the page's order.
    pub fn files(&self) -> &[IndexFile] {
        &self.files
    }

    /// The file that a lock pins. Where the index gives no digest, the download will tell.
    ///
    /// # Errors
    /// Where it is not there, or is another file.
    pub fn find(&self, name: &str, sha256: &Digest) -> Result<&IndexFile, IndexError> {
        let shown = || Shown::new(name.as_bytes());
        let named: Vec<&IndexFile> = self.files.iter().filter(|file| file.name == name).collect();
        let same = named.iter().find(|file| file.sha256 == Some(*sha256));
        if let Some(file) = same.or_else(|| named.iter().find(|file| file.sha256.is_none())) {
            return Ok(file);
        }
        // By another name, as some tools write them: the digest says which file is meant.
        if let Some(file) = self.files.iter().find(|file| file.sha256 == Some(*sha256) && file.name.ends_with(".whl")) {
            return Ok(file);
        }
        match named.first().and_then(|file| file.sha256) {
            Some(found) => Err(IndexError::Digest { name: shown(), wanted: *sha256, found }),
            None => Err(IndexError::Absent(shown())),
        }
    }

    /// The name of a file as a wheel's, where it is one of this package and version.
    fn wheel(&self, file: &IndexFile, version: &Version) -> Option<WheelName> {
        let wheel: WheelName = file.name.parse().ok()?;
        (*wheel.name() == self.name && is_of(wheel.version(), version)).then_some(wheel)
    }

    /// The best wheel of a version for a target, among those with one of these digests, and for that Python; where there is
    /// none of either, among all with a digest.
    pub fn best(
        &self,
        version: &Version,
        hashes: Option<&[Digest]>,
        tags: &Tags,
        python: Option<PythonVersion>,
    ) -> Option<(WheelName, &IndexFile)> {
        let python = python.map(|python| Version::new([python.major, python.minor, python.patch].map(u64::from)));
        let fits = |file: &IndexFile| {
            let specifiers: Option<VersionSpecifiers> =
                file.requires_python.as_deref().and_then(|text| text.parse().ok());
            specifiers.zip(python.as_ref()).is_none_or(|(specifiers, python)| specifiers.contains(python))
        };
        let named =
            |file: &IndexFile| file.sha256.is_some_and(|sha256| hashes.is_none_or(|hashes| hashes.contains(&sha256)));
        // A page may have tens of thousands of files: the version says of most that they are not meant.
        let mut versions = Versions::default();
        let mut wheels: Vec<(WheelName, &IndexFile)> = Vec::new();
        for file in self.files.iter().filter(|file| named(file)) {
            if versions.of(&file.name).is_some_and(|written| is_of(written, version))
                && fits(file)
                && let Some(wheel) = self.wheel(file, version)
            {
                wheels.push((wheel, file));
            }
        }
        let best = tags.best(wheels.iter().map(|(name, file)| (name, *file)));
        best.map(|(name, file)| (name.clone(), file))
    }

    /// The newest version above `chosen` that has a source archive and no wheel at all: a resolver that takes wheels only
    /// passes it over without a word. Withdrawn files and pre-releases do not count.
    pub fn newer_without_wheel(&self, chosen: &Version) -> Option<Version> {
        let sources = self.files.iter().filter(|file| file.yanked.is_none());
        let mut found: BTreeSet<Version> = sources
            .filter_map(|file| sdist_version(&self.name, &file.name))
            .filter(|version| version > chosen && !version.any_prerelease())
            .collect();
        let mut versions = Versions::default();
        for file in &self.files {
            if found.is_empty() {
                break;
            }
            let Some(written) = versions.of(&file.name) else { continue };
            let of: Vec<Version> = [written.clone(), written.clone().without_local()].into();
            for version in of.into_iter().filter(|version| found.contains(version)).collect::<BTreeSet<_>>() {
                if self.wheel(file, &version).is_some() {
                    found.remove(&version);
                }
            }
        }
        found.pop_last()
    }
}

/// Whether a wheel of that version is one of the version that is asked for: with a local part where none is asked for, too.
fn is_of(written: &Version, version: &Version) -> bool {
    written == version || (version.local().is_empty() && written.clone().without_local() == *version)
}

/// Versions in names of wheels, read once where files of one version stand together.
#[derive(Default)]
struct Versions {
    text: String,
    version: Option<Version>,
}

impl Versions {
    /// The version of `name-version-….whl`.
    fn of(&mut self, file: &str) -> Option<&Version> {
        let text = file.strip_suffix(".whl")?.split('-').nth(1)?;
        if text != self.text || self.text.is_empty() {
            (self.text, self.version) = (text.to_owned(), text.parse().ok());
        }
        self.version.as_ref()
    }
}

/// The version of `name-version.tar.gz`.
fn sdist_version(name: &PackageName, file: &str) -> Option<Version> {
    let stem = [".tar.gz", ".zip", ".tar.bz2"].iter().find_map(|end| file.strip_suffix(end))?;
    let (written, version) = stem.rsplit_once('-')?;
    (written.parse::<PackageName>().ok()? == *name).then(|| version.parse().ok()).flatten()
}

/// A file name that is one: no path, no control bytes.
fn plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && !name.contains(|c: char| c == '/' || c == '\\' || c.is_control())
}

/// An absolute http(s) or file URL; where it stands below, relative to the page.
fn absolute(base: &Url, text: &str) -> Option<Url> {
    let mut url = base.join(text).ok()?;
    url.set_fragment(None);
    // A page of the network does not point into the file system.
    let allowed = matches!(url.scheme(), "https" | "http") || (url.scheme() == "file" && base.scheme() == "file");
    allowed.then_some(url)
}

fn check_version(version: &str) -> Result<(), IndexError> {
    match version.split('.').next() {
        Some("1") => Ok(()),
        _ => Err(IndexError::Version(Shown::new(version.as_bytes()))),
    }
}

fn digest_of(hex: &str) -> Option<Digest> {
    format!("sha256:{}", hex.to_ascii_lowercase()).parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Libc, Target};
    use super::*;
    use crate::oci::Platform;

    fn name() -> PackageName {
        "my-pkg".parse().unwrap()
    }

    fn parse(content_type: &str, body: &str) -> Result<Page, IndexError> {
        Page::parse(&name(), content_type, body.as_bytes(), &"https://host/simple/my-pkg/".parse().unwrap())
    }

    fn json(files: &str) -> Result<Page, IndexError> {
        parse(
            "application/vnd.pypi.simple.v1+json",
            &format!(
                "{{\"meta\": {{\"api-version\": \"1.3\"}}, \"name\": \"My.Pkg\", \"versions\": [], \"files\": [{files}]}}"
            ),
        )
    }

    fn hex(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    #[test]
    fn both_forms_say_the_same() {
        let json = json(&format!(
            "{{\"filename\": \"my_pkg-1.0-py3-none-any.whl\", \"url\": \"../../f/my_pkg-1.0-py3-none-any.whl\", \"hashes\": {{\"sha256\": \"{0}\", \"md5\": \"x\"}}, \"requires-python\": \">=3.8\", \"yanked\": \"bad & old\", \"core-metadata\": {{\"sha256\": \"{1}\"}}, \"provenance\": null}}, {{\"filename\": \"my_pkg-1.0.tar.gz\", \"url\": \"https://other/my_pkg-1.0.tar.gz\", \"hashes\": {{}}, \"yanked\": false, \"core-metadata\": false}}",
            hex('a'), hex('b')
        ))
        .unwrap();
        let html = parse(
            "text/html; charset=utf-8",
            &format!(
                "<!DOCTYPE html><html><head><meta name=\"pypi:repository-version\" content=\"1.0\"><base href='/x/'></head><body>\n<!-- <a href=\"no\">no-1-py3-none-any.whl</a> -->\n<A data-requires-python=\"&gt;=3.8\" href=\"../f/my_pkg-1.0-py3-none-any.whl#sha256={0}\" data-yanked='bad &amp; old' data-core-metadata=sha256={1} >my_pkg-1.0-py3-none-any.whl</A><br/>\n<a href=\"https://other/my_pkg-1.0.tar.gz#md5=x\">my_pkg-1.0.tar.gz</a></body>",
                hex('a'), hex('b')
            ),
        )
        .unwrap();
        assert_eq!(json.files(), html.files());
        let file = &json.files()[0];
        assert_eq!(file.url.as_str(), "https://host/f/my_pkg-1.0-py3-none-any.whl");
        assert_eq!((file.yanked.as_deref(), file.metadata), (Some("bad & old"), Some(digest_of(&hex('b')))));
    }

    #[test]
    fn files_are_found_by_name_and_digest() {
        let page = json(&format!(
            "{{\"filename\": \"x-1.zip\", \"url\": \"x\", \"size\": 7, \"hashes\": {{\"sha256\": \"{}\"}}}}, {{\"filename\": \"y-1.zip\", \"url\": \"y\"}}",
            hex('a')
        ))
        .unwrap();
        let (a, b) = (digest_of(&hex('a')).unwrap(), digest_of(&hex('b')).unwrap());
        assert_eq!(page.find("x-1.zip", &a).unwrap().size, Some(7));
        assert!(matches!(page.find("x-1.zip", &b), Err(IndexError::Digest { .. })));
        assert!(page.find("y-1.zip", &b).is_ok());
        assert!(matches!(page.find("z-1.zip", &a), Err(IndexError::Absent(_))));
        // Tools write names in forms of their own.
        let page = json(&format!(
            "{{\"filename\": \"My.Pkg-1-py3-none-any.whl\", \"url\": \"x\", \"hashes\": {{\"sha256\": \"{}\"}}}}",
            hex('a')
        ))
        .unwrap();
        assert_eq!(page.find("my_pkg-1-py3-none-any.whl", &a).unwrap().name, "My.Pkg-1-py3-none-any.whl");
        assert!(page.find("my_pkg-1-py3-none-any.whl", &b).is_err());
    }

    #[test]
    fn the_best_wheel_of_a_hashed_requirement() {
        let file = |name: &str, digit: char, more: &str| {
            format!(
                "{{\"filename\": \"{name}\", \"url\": \"{name}\", \"hashes\": {{\"sha256\": \"{}\"}}{more}}}",
                hex(digit)
            )
        };
        let page = json(
            &[
                file("my_pkg-1.0-py3-none-any.whl", 'a', ""),
                file("my_pkg-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", 'b', ""),
                file("my_pkg-1.0-1-cp311-cp311-manylinux_2_17_x86_64.whl", 'c', ", \"requires-python\": \"<3.11\""),
                file("other-1.0-cp311-cp311-linux_x86_64.whl", 'd', ""),
                file("my_pkg-2.0.tar.gz", 'e', ""),
                file("my_pkg-3.0rc1.tar.gz", 'e', ""),
                file("my_pkg-4.0.tar.gz", 'e', ", \"yanked\": true"),
            ]
            .join(","),
        )
        .unwrap();
        let python: PythonVersion = "3.11.2".parse().unwrap();
        let libc = Libc::Glibc { major: 2, minor: 36 };
        let tags =
            Target { version: python, platform: Platform::linux("amd64"), libc, free_threaded: false }.tags().unwrap();
        let version: Version = "1.0".parse().unwrap();
        let best = |digits: &str| {
            let hashes: Vec<Digest> = digits.chars().map(|digit| digest_of(&hex(digit)).unwrap()).collect();
            page.best(&version, Some(&hashes), &tags, Some(python)).map(|(name, _)| name.to_string())
        };
        assert_eq!(best("abcd").as_deref(), Some("my_pkg-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"));
        assert_eq!(best("a").as_deref(), Some("my_pkg-1.0-py3-none-any.whl"));
        assert_eq!((best("d"), best("")), (None, None));
        assert_eq!(page.newer_without_wheel(&version), Some("2.0".parse().unwrap()));
        assert_eq!(page.newer_without_wheel(&"2.0".parse().unwrap()), None);
    }

    /// Takes minutes where each file is compared with all others.
    #[test]
    fn pages_with_tens_of_thousands_of_files() {
        let version = |number: u32| format!("{}.{}", number / 100, number % 100);
        let files: Vec<String> = (0..5000)
            .flat_map(|number| {
                let version = version(number);
                let wheel = |tags: &str| (number % 2 == 0).then(|| format!("my_pkg-{version}-{tags}.whl"));
                [
                    wheel("cp311-cp311-manylinux_2_17_x86_64"),
                    wheel("cp311-cp311-manylinux_2_17_aarch64"),
                    wheel("py3-none-any"),
                    Some(format!("my_pkg-{version}.tar.gz")),
                ]
            })
            .flatten()
            .chain((0..7500).map(|number| format!("my_pkg-0.{number}.1-py3-none-any.whl")))
            .collect();
        assert_eq!(files.len(), 20_000);
        let entries: Vec<String> = files
            .iter()
            .map(|name| {
                format!(
                    "{{\"filename\": \"{name}\", \"url\": \"../../f/{name}\", \"hashes\": {{\"sha256\": \"{}\"}}, \"requires-python\": \">=3.8\", \"yanked\": false, \"core-metadata\": {{\"sha256\": \"{}\"}}, \"size\": 1}}",
                    hex('a'),
                    hex('b')
                )
            })
            .collect();
        let links: Vec<String> = files
            .iter()
            .map(|name| {
                format!(
                    "<a href=\"../../f/{name}#sha256={}\" data-requires-python=\"&gt;=3.8\">{name}</a><br>",
                    hex('a')
                )
            })
            .collect();
        let python: PythonVersion = "3.11.2".parse().unwrap();
        let libc = Libc::Glibc { major: 2, minor: 36 };
        let tags =
            Target { version: python, platform: Platform::linux("amd64"), libc, free_threaded: false }.tags().unwrap();
        for page in [json(&entries.join(",")).unwrap(), parse("text/html", &links.join("\n")).unwrap()] {
            assert_eq!(page.files().len(), 20_000);
            let (wheel, _) = page.best(&"49.98".parse().unwrap(), None, &tags, Some(python)).unwrap();
            assert_eq!(wheel.to_string(), "my_pkg-49.98-cp311-cp311-manylinux_2_17_x86_64.whl");
            assert_eq!(page.newer_without_wheel(&"0.1".parse().unwrap()), Some("49.99".parse().unwrap()));
        }
    }

    #[test]
    fn pages_that_are_refused() {
        assert!(matches!(parse("text/plain", ""), Err(IndexError::Type(_))));
        assert!(matches!(parse("application/json", "{"), Err(IndexError::Json(_))));
        let page = "{\"meta\": {\"api-version\": \"2.0\"}, \"name\": \"my-pkg\", \"files\": []}";
        assert!(matches!(parse("application/json", page), Err(IndexError::Version(_))));
        let page = page.replace("2.0", "1.0").replace("my-pkg", "evil");
        assert!(matches!(parse("application/json", &page), Err(IndexError::Other { .. })));
        let html = "<meta name='pypi:repository-version' content='2.0'>";
        assert!(matches!(parse("text/html", html), Err(IndexError::Version(_))));
        // Entries that lead elsewhere or are no names are not there.
        for bad in ["file:///etc/passwd", "javascript:x", "http://"] {
            assert!(parse("text/html", &format!("<a href='{bad}'>a-1.zip</a>")).unwrap().files().is_empty(), "{bad}");
        }
        for bad in ["../a", "a\\b", "", ".a", "a&#10;b", "&#47;a"] {
            assert!(parse("text/html", &format!("<a href='x'>{bad}</a>")).unwrap().files().is_empty(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn html_never_panics(text in "(<|>|a|href|=|'|\"|&amp;|&#x|;|/|!--|-->| |é|#sha256=|base|meta){0,30}") {
            let _ = parse("text/html", &text);
        }
    }
}
