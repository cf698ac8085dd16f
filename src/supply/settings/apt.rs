//! Where Debian's archives are: our variables, and apt's sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use url::Url;

use super::{Reader, SettingsError};
use crate::net::Secret;
use crate::supply::apt_sources::{self, AptSource, SECURITY};

/// What the variable for the Debian mirror is called.
pub(super) const DEBIAN_MIRROR: &str = "LAPSTRAKE_DEBIAN_MIRROR";
pub(super) const DEBIAN_SNAPSHOT: &str = "LAPSTRAKE_DEBIAN_SNAPSHOT";

impl Reader<'_> {
    // --- Debian ---

    pub(super) fn debian(&mut self) -> Result<(), SettingsError> {
        for (archive, root) in self.debian_of_variable()? {
            self.settings.debian.entry(archive).or_default().push(root);
        }
        let named: BTreeSet<String> = self.settings.debian.keys().cloned().collect();
        self.settings.debian_by_name = named.clone();
        for source in self.apt_sources() {
            for text in self.addresses_of(&source) {
                let Some(root) = self.address(text.expose()) else { continue };
                for archive in apt_sources::archives(&root, &source.suites) {
                    let roots = self.settings.debian.entry(archive.clone()).or_default();
                    if !named.contains(&archive) && !roots.contains(&root) {
                        roots.push(root.clone());
                    }
                }
            }
        }
        Ok(())
    }

    fn debian_of_variable(&mut self) -> Result<BTreeMap<String, Url>, SettingsError> {
        let wrong = |reason| SettingsError { variable: DEBIAN_MIRROR, reason };
        let mut roots = BTreeMap::new();
        let mut beside = None;
        for word in self.text(DEBIAN_MIRROR).unwrap_or_default().split_whitespace() {
            let pair = word.split_once('=').filter(|(name, _)| !name.contains([':', '/']));
            let (archive, text) = pair.unwrap_or(("debian", word));
            let root = self.address(text).ok_or_else(|| {
                wrong("holds no address: give the root of a mirror (http, https or file), or pairs `archive=address`")
            })?;
            if pair.is_none() {
                beside = security_beside(&root);
            }
            if archive.is_empty() || roots.insert(archive.to_owned(), root).is_some() {
                return Err(wrong("names an archive twice, or without a name: give pairs `archive=address`"));
            }
        }
        if let Some(beside) = beside {
            roots.entry(SECURITY.to_owned()).or_insert(beside);
        }
        Ok(roots)
    }

    fn apt_sources(&mut self) -> Vec<AptSource> {
        let mut sources = Vec::new();
        let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
        files.extend(self.files_of(Path::new("/etc/apt/sources.list.d"), &[".list", ".sources"]));
        for path in files {
            let Some(text) = self.file(&path) else { continue };
            let stanzas = path.extension().is_some_and(|end| end == "sources");
            sources.extend(if stanzas { apt_sources::of_stanzas(&text) } else { apt_sources::of_lines(&text) });
        }
        sources
    }

    /// The addresses of an entry: its own, or those of the list of mirrors that it names.
    fn addresses_of(&mut self, source: &AptSource) -> Vec<Secret> {
        let list = source
            .address
            .expose()
            .strip_prefix("mirror+file:")
            .map(|path| PathBuf::from(format!("/{}", path.trim_start_matches('/'))));
        match list {
            Some(path) => self.file(&path).map(|text| apt_sources::of_mirrors(&text)).unwrap_or_default(),
            None => vec![source.address.clone()],
        }
    }

    pub(super) fn snapshot(&mut self) -> Result<(), SettingsError> {
        let Some(text) = self.text(DEBIAN_SNAPSHOT) else { return Ok(()) };
        let wrong = |reason| SettingsError { variable: DEBIAN_SNAPSHOT, reason };
        if !["{archive}", "{timestamp}", "{path}"].iter().all(|part| text.contains(part)) {
            return Err(wrong("is no template: it needs `{archive}`, `{timestamp}` and `{path}`"));
        }
        // Its login is for its server; braces stand in its path alone.
        let no_address = wrong("holds no address: give a template that starts with `https://` or `http://`");
        let (scheme, rest) = text.split_once("://").ok_or(no_address)?;
        let (server, path) = rest.find('/').map(|at| rest.split_at(at)).ok_or(no_address)?;
        let bare = server.rsplit_once('@').map_or(server, |(_, server)| server);
        let shown = format!("{scheme}://{bare}{path}");
        self.address(&format!("{scheme}://{server}/")).ok_or(no_address)?;
        self.settings.debian_snapshot = Some(shown);
        Ok(())
    }
}

/// The root of the archive of security updates that belongs to a mirror of `debian`: its neighbour. `None` where the
/// mirror has no path whose last part could be another.
pub fn security_beside(mirror: &Url) -> Option<Url> {
    let mut beside = mirror.clone();
    if mirror.path().trim_matches('/').is_empty() {
        return None;
    }
    beside.path_segments_mut().ok()?.pop_if_empty().pop().push(SECURITY).push("");
    Some(beside)
}
