//! Keys of layers of packages, before anything of them is fetched.

use super::BuildError;
use super::layer_tree::Making;
use crate::base::LayerReader;
use crate::code::ErrorCode;
use crate::debian::staging::Below;
use crate::layer::{Chain, LayerForm, LayerKey};
use crate::lock::DebianPins;
use crate::recipe::packages::{DebianSource, PythonSource};
use crate::recipe::{self, At, Span};
use crate::source::python;
use crate::tree::{FileTree, Missed, Misses, Owner, Rootfs, TreePath};

/// What a layer of packages will be.
pub(super) struct Planned {
    /// Its key.
    pub key: LayerKey,
    /// What kind of packages it has.
    pub packages: Packages,
}

/// Kinds of packages.
pub(super) enum Packages {
    /// Debian's: its view may be pinned, and it writes the loader's cache itself.
    Debian {
        /// Whether its packages were pinned by this run.
        new: bool,
        /// What the pins are that the key is of.
        seal: String,
    },
    /// Python's: files go to these directories, and few elsewhere.
    Python(Vec<TreePath>),
    /// What is written over the final tree: these paths alone.
    Last(Vec<TreePath>),
}

impl Packages {
    /// The directories that its files are in, where that can be said.
    pub(super) fn directories(&self) -> &[TreePath] {
        match self {
            Packages::Debian { .. } => &[],
            Packages::Python(directories) | Packages::Last(directories) => directories,
        }
    }

    pub(super) fn is_debian(&self) -> bool {
        matches!(self, Packages::Debian { .. })
    }
}

impl Making<'_> {
    /// What the layer comes to, where it is one source of packages alone: then what it holds follows from its pins, its
    /// options and the layers below.
    pub(super) fn plan(&self, form: LayerForm, below: Chain, misses: &Misses) -> Result<Option<Planned>, BuildError> {
        let [At { value: source, span }] = &self.layer.sources[..] else { return Ok(None) };
        let mut parts = vec![self.platform.to_string(), self.layer.replace.to_string(), self.layer.split.to_string()];
        let packages = match source {
            recipe::Source::Debian(source) => self.plan_debian(source, *span, misses, &mut parts)?,
            recipe::Source::Python(source) => self.plan_python(source, *span, &mut parts)?,
            _ => return Ok(None),
        };
        parts.extend(self.layer.rules.exclude.iter().map(|pattern| format!("exclude {}", pattern.value)));
        Ok(Some(Planned { key: LayerKey::of_plan(form, below, parts.iter().map(String::as_str)), packages }))
    }

    fn plan_debian(
        &self,
        source: &DebianSource,
        span: Span,
        misses: &Misses,
        parts: &mut Vec<String>,
    ) -> Result<Packages, BuildError> {
        let pins = match self.open.stack.is_unread() {
            true => self.pinned_over_unread(source, span, misses)?,
            false => {
                let view = self.view(&FileTree::new()).unwatched();
                let reader = LayerReader::new(&view, self.builder.store);
                let read = |layer, offset, length| reader.read(layer, offset, length);
                self.debian_pins(source, span, &Below { rootfs: view.rootfs(), read: &read })?
            }
        };
        parts.extend(["debian".to_owned(), pins.seal(), source.slim.to_string(), source.compile.to_string()]);
        parts.push(self.open.stated_python().unwrap_or_default().to_owned());
        if source.compile {
            // An interpreter for the compiler is pinned whether it is needed this time or not.
            if let Some(version) = self.python_of(&pins) {
                parts.extend(self.compiler_pins(version, span)?.iter().map(DebianPins::seal));
            }
        }
        Ok(Packages::Debian { new: self.run.pins.is_new(&pins), seal: pins.seal() })
    }

    /// The pins over layers that are not looked into; where the lock has none, they must be.
    ///
    /// What is installed below is part of what is asked. Where it is not known, the lock's entry for this layer is taken, and
    /// whoever has to make the layer compares it with what it then sees ([`Making::planned`]).
    fn pinned_over_unread(&self, source: &DebianSource, span: Span, misses: &Misses) -> Result<DebianPins, BuildError> {
        let known = self.open.stack.with_own_misses();
        let reader = LayerReader::new(&known, self.builder.store);
        let read = |layer, offset, length| reader.read(layer, offset, length);
        let asked = self.debian_asked(source, span, &Below { rootfs: known.rootfs(), read: &read });
        if known.missed().is_none() {
            asked?;
            return self.debian_pins(source, span, &Below { rootfs: known.rootfs(), read: &read });
        }
        let nothing = Rootfs::new();
        let read = |_, _, _| Err(std::io::ErrorKind::NotFound.into());
        let asked = self.debian_asked(source, span, &Below { rootfs: &nothing, read: &read })?;
        let pins = self.run.pins.debian_over_unread(&self.name_in_lock(), &self.platform.to_string(), &asked);
        pins.ok_or_else(|| {
            misses.add(Missed::Whole("packages are looked up, which depends on what is installed"));
            self.told(ErrorCode::NotRead, span, "the packages of the base are not known")
        })
    }

    fn plan_python(&self, source: &PythonSource, span: Span, parts: &mut Vec<String>) -> Result<Packages, BuildError> {
        let view = self.view(&FileTree::new());
        let interpreter = self.interpreter(&view, Some(source), span)?;
        let ask = self.python_ask(source, interpreter.as_ref());
        let pins = self.python_pins(&ask, span)?;
        let (scheme, venv) = python::scheme(&ask).map_err(|error| self.unresolvable(span, &error))?;
        let owner = self.owner(self.layer.rules.owner.as_ref())?.unwrap_or(Owner::ROOT);
        parts.extend(["python".to_owned(), pins.seal(), owner.to_string(), source.compile.to_string()]);
        parts.push(format!("{interpreter:?} {scheme:?} {venv:?}"));
        if source.compile {
            let version = ask.target().map_err(|error| self.unresolvable(span, &error))?.version;
            parts.extend(self.compiler_pins(version, span)?.iter().map(DebianPins::seal));
        }
        Ok(Packages::Python(match venv {
            Some(venv) => vec![venv.path],
            None => scheme.directories().map(TreePath::clone).to_vec(),
        }))
    }
}
