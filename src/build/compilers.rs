//! What compiles Python modules while an image is built.

use super::layer_tree::Making;
use super::pins::{Search, Stale};
use super::{BuildError, Builder};
use crate::debian::staging::Below;
use crate::lock::DebianPins;
use crate::oci::Platform;
use crate::pin;
use crate::pin::debian::Fault;
use crate::python::PythonVersion;
use crate::recipe::packages::{DebianPackage, DebianSource};
use crate::recipe::{self, At, Span};
use crate::source::bytecode::{Compilers, CompilersError, find_compilers};
use crate::source::{compiler, debian};

/// The machines that lapstrake runs on: an interpreter that compiles is pinned for each, so that a lock does not depend on
/// where it was made.
const BUILDERS: [&str; 2] = ["amd64", "arm64"];

impl Making<'_> {
    /// What compiles for that version: this machine's own CPython where it is that one, else the pinned one.
    pub(super) fn compilers(&self, version: PythonVersion, span: Span) -> Result<Compilers, BuildError> {
        let failed = |error| self.packages(span, "compiling Python modules", error);
        let bucket = |name: &str| {
            self.builder
                .supply
                .directory(name)
                .map_err(|error| self.caused(span, "opening the cache".to_owned(), error))
        };
        // Whoever makes everything anew believes nothing that lies in the cache under a name that is no digest of it.
        let believes = self.run.believes;
        let pins = self.compiler_pins(version, span)?;
        let machine = Platform::linux(BUILDERS[usize::from(cfg!(target_arch = "aarch64"))]).to_string();
        let pins = pins.into_iter().find(|pins| pins.platform == machine);
        let directory = match believes {
            true => bucket("compilers")?,
            false => self
                .run
                .programs(&self.builder.store.tmp())
                .map_err(|error| self.caused(span, "making a directory in the cache".to_owned(), error))?,
        };
        let unpacked = pins.as_ref().map(|pins| {
            let directory = &directory;
            move || {
                compiler::unpack(directory, &self.builder.store.tmp(), &pins.seal(), || {
                    let Builder { recipe, supply, .. } = self.builder;
                    let files = debian::fetch(&pins.packages, &pins.archives, &recipe.debian, &recipe.context, *supply)
                        .map_err(|error| CompilersError::Packages { version, source: error.into() })?;
                    let name = |pin: &crate::lock::DebPin| format!("{} {}", pin.name, pin.version);
                    Ok::<_, CompilersError>(pins.packages.iter().map(name).zip(files).collect())
                })
            }
        });
        let path = self.builder.environment.get(std::ffi::OsStr::new("PATH")).map(|path| path.as_os_str());
        let cache = believes.then(|| bucket("bytecode")).transpose()?;
        let unpacked: Option<crate::source::bytecode::Unpacked<'_>> = match &unpacked {
            Some(unpacked) => Some(unpacked),
            None => None,
        };
        let found = find_compilers(version, path, cache.clone(), self.builder.jobs, unpacked);
        match (found, &pins) {
            // What lies in the cache may have lost a part: it is unpacked once more.
            (Err(_), Some(pins)) if compiler::forget(&directory, &self.builder.store.tmp(), &pins.seal()) => {
                find_compilers(version, path, cache, self.builder.jobs, unpacked).map_err(failed)
            }
            (found, _) => found.map_err(failed),
        }
    }

    /// The pins of interpreters that compile, for every machine that may build: where the image's Python is Debian's.
    pub(super) fn compiler_pins(&self, version: PythonVersion, span: Span) -> Result<Vec<DebianPins>, BuildError> {
        let Some(like) = self.debian_below() else { return Ok(Vec::new()) };
        let packages = pin::python::compiler_packages(version)
            .into_iter()
            .map(|name| At::new(DebianPackage::Named { name, version: None, suite: None }, span))
            .collect();
        let source = DebianSource {
            packages,
            suites: like.suites.clone(),
            components: like.components.clone(),
            ..DebianSource::default()
        };
        let nothing = crate::tree::Rootfs::new();
        let read = |_, _, _| Err(std::io::ErrorKind::NotFound.into());
        let below = Below { rootfs: &nothing, read: &read };
        let tmp = self.builder.store.tmp();
        let mut all = Vec::new();
        for machine in BUILDERS {
            let platform = Platform::linux(machine);
            let ask = pin::debian::Ask {
                source: &source,
                settings: &self.builder.recipe.debian,
                platform: &platform,
                context: &self.builder.recipe.context,
            };
            let asked = pin::debian::asked(&ask, &below).map_err(|error| self.unpinned(&ask, span, error))?;
            let layer = self.name_in_lock();
            let found = self.run.pins.compiler(&layer, &platform.to_string(), &asked);
            match found {
                Ok(Search::Pinned(pins)) => all.push(pins),
                Ok(Search::Missing(previous, update)) => {
                    let pinned = pin::debian::pin(&ask, &below, &self.pinning(&tmp), previous.as_ref(), &update);
                    match pinned {
                        Ok(mut pins) => {
                            pins.layers = vec![layer];
                            self.run.pins.add_compiler(pins.clone());
                            all.push(pins);
                        }
                        // Archives without it: then only a machine that has this very version itself can compile.
                        Err(error) if matches!(error.fault(), Fault::Recipe | Fault::Unresolvable) => {}
                        Err(error) => return Err(self.unpinned(&ask, span, error)),
                    }
                }
                // As above: what could not be pinned is not in the lock.
                Err(Stale(_)) => {}
            }
        }
        Ok(all)
    }

    /// The first layer of Debian packages at or below this image: its suites are those of the image's Python.
    pub(super) fn debian_below(&self) -> Option<&DebianSource> {
        let mut image = Some(self.image);
        while let Some(here) = image {
            let sources = here.layers.iter().flat_map(|layer| &layer.sources);
            let mut found = sources.filter_map(|source| match &source.value {
                recipe::Source::Debian(source) if !source.suites.is_empty() => Some(source),
                _ => None,
            });
            if let Some(source) = found.next_back() {
                return Some(source);
            }
            image = match &here.from.value {
                recipe::Base::Image(name) => self.builder.recipe.images.iter().find(|image| image.name == *name),
                recipe::Base::Scratch | recipe::Base::Place(_) => None,
            };
        }
        None
    }

    /// The version of the Python that is among packages.
    pub(super) fn python_of(&self, pins: &DebianPins) -> Option<PythonVersion> {
        let minimal = |pin: &&crate::lock::DebPin| {
            pin.name.strip_prefix("python3.").and_then(|name| name.strip_suffix("-minimal")).is_some()
        };
        let version = &pins.packages.iter().find(minimal)?.version;
        let upstream = version.rsplit_once(':').map_or(version.as_str(), |(_, version)| version);
        upstream.split(['-', '~', '+']).next()?.parse().ok()
    }
}
