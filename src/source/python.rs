//! The `python` source: wheels that are pinned, laid out where the image's interpreter looks for them, and bytecode.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use url::Url;

use super::bytecode::{Compilers, CompilersError};
use crate::content::Content;
use crate::lock::{PythonPins, WheelPin};
use crate::pin::python::{self as pin, Ask, open_local};
use crate::python::bytecode::bytecode_path;
use crate::python::install::{Options, direct_url};
use crate::python::record::{MAX_RECORD, Row};
use crate::python::scheme::relative;
use crate::python::zip::Limits;
use crate::python::{
    IndexError, IndexList, InstallError, Interpreter, PackageName, PythonVersion, Record, RecordError, Scheme,
    SchemeError, Venv, Wheel, WheelName, WheelNameError, bytecode, install_all,
};
use crate::recipe::packages::PythonTarget;
use crate::report::{Phase, Reporter};
use crate::shown::Shown;
use crate::supply::{Supply, SupplyError, Wanted};
use crate::tree::{Entry, Kind, Located, Origin, Owner, PathError, PlaceError, Placer, Rootfs, TreePath};

/// How wheels are laid out.
pub struct Layout<'a> {
    /// What the layer asks for.
    pub ask: &'a Ask<'a>,
    /// Whose the files are.
    pub owner: Owner,
    /// Where temporary files go; the contents of entries lie there, in files without a name.
    pub tmp: &'a Path,
    /// How many wheels are unpacked at a time.
    pub jobs: usize,
}

/// What wheels come to.
#[derive(Debug)]
pub struct PythonLayer {
    /// Files, by path, before symlinks of the layers below are followed.
    pub entries: BTreeMap<TreePath, Entry>,
    /// The newest time of a file in the wheels, seconds since 1970.
    pub newest: Option<i64>,
    /// The virtual environment that they are in, made where there is none.
    venv: Vec<(TreePath, Entry)>,
    library: TreePath,
    version: PythonVersion,
    packages: BTreeSet<PackageName>,
}

/// Reads a small file of the layers below.
pub type ReadBelow<'a> = &'a mut dyn FnMut(&Located) -> io::Result<Vec<u8>>;

/// Why wheels cannot become part of a layer.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// What is asked for makes no sense for the image.
    #[error(transparent)]
    Ask(#[from] pin::Error),
    /// A path of the recipe makes no sense for the architecture.
    #[error(transparent)]
    Arch(#[from] crate::recipe::path::ArchError),
    /// The interpreter's packages are somebody else's.
    #[error(
        "the packages of {python} are looked after by another package manager ({marker} is there): give `venv` or `target`, or write `break_system_packages = true`"
    )]
    Managed {
        /// The interpreter.
        python: TreePath,
        /// The marker file.
        marker: TreePath,
    },
    /// The paths of the installation.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// The lock names what is no wheel.
    #[error(transparent)]
    Name(#[from] WheelNameError),
    /// The lock names what is no URL.
    #[error("the lock has {0} for the place of a wheel, which is no URL")]
    Url(Shown),
    /// A wheel of the context is another one.
    #[error("the wheel {0} is not the one that was locked: lock again, or put the old one back")]
    Changed(Shown),
    /// A wheel cannot be had.
    #[error(transparent)]
    Supply(#[from] SupplyError),
    /// A wheel is refused.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A file cannot be placed.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A path gets too long.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A list of files.
    #[error("{path}")]
    Record {
        /// The list.
        path: TreePath,
        /// What is wrong with it.
        source: RecordError,
    },
    /// A list of files cannot be read.
    #[error("reading {path}")]
    Read {
        /// The list.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// The compiler.
    #[error(transparent)]
    Compile(#[from] CompilersError),
}

/// Where the wheels of a layer go, and the virtual environment that this is, where it is one.
///
/// # Errors
/// [`PythonError`].
pub fn scheme(ask: &Ask<'_>) -> Result<(Scheme, Option<Venv>), PythonError> {
    let version = ask.target()?.version;
    let arch = &ask.platform.architecture;
    let python = match ask.interpreter {
        Some(interpreter) => absolute(&interpreter.path),
        None => "/usr/bin/python3".to_owned(),
    };
    match (&ask.source.target, ask.interpreter) {
        (PythonTarget::Directory(path), _) => Ok((Scheme::target(&path.value.resolve(arch)?, version, &python)?, None)),
        (_, None) => Err(pin::Error::NoPython.into()),
        (PythonTarget::Venv(path), _) => {
            let path = path.value.resolve(arch)?;
            let scheme = Scheme::venv(&path, version)?;
            Ok((scheme, Some(Venv { path, version, python, system_packages: false })))
        }
        (PythonTarget::Interpreter, Some(interpreter)) => {
            refuse_managed(ask, interpreter)?;
            Ok((interpreter.scheme()?, None))
        }
    }
}

/// Debian's own interpreter has a directory beside the packages of dpkg; others have only the one.
fn refuse_managed(ask: &Ask<'_>, interpreter: &Interpreter) -> Result<(), PythonError> {
    match (&interpreter.externally_managed, &interpreter.layout) {
        (Some(marker), crate::python::interpreter::Layout::Prefix(_)) if !ask.source.break_system_packages => {
            Err(PythonError::Managed { python: interpreter.path.clone(), marker: marker.clone() })
        }
        _ => Ok(()),
    }
}

fn absolute(path: &TreePath) -> String {
    format!("/{}", String::from_utf8_lossy(path.as_bytes()))
}

/// Gets the wheels and lays them out. The same pins give the same entries, whatever the order and the number of jobs.
///
/// # Errors
/// [`PythonError`].
pub fn wheels(
    pins: &PythonPins,
    layout: &Layout<'_>,
    supply: &dyn Supply,
    reporter: &Reporter,
) -> Result<PythonLayer, PythonError> {
    let (scheme, venv) = scheme(layout.ask)?;
    let mut pinned: Vec<&WheelPin> = pins.wheels.iter().collect();
    pinned.sort_by_key(|pin| (&pin.name, &pin.file));
    let contents = contents(&pinned, layout.ask, supply)?;
    let total = contents.iter().map(Content::len).sum();
    let task = reporter.task(Phase::Unpack, format!("{} wheels", pinned.len()), Some(total));
    let mut wheels = Vec::with_capacity(pinned.len());
    for (pin, content) in pinned.iter().zip(contents) {
        let direct_url = direct(pin)?.map(|url| direct_url(&url, &pin.sha256));
        wheels.push(Wheel { name: name_of(pin)?, content, requested: pin.requested, direct_url });
    }
    let options = Options {
        scheme: scheme.clone(),
        owner: layout.owner,
        installer: "pip".to_owned(),
        limits: Limits::of(layout.ask.limits),
    };
    let installed = install_all(&wheels, &options, layout.tmp, layout.jobs)?;
    task.advance(total);
    let origin = Origin::new("python");
    let venv = venv.map(|venv| venv.entries(layout.owner, &origin)).transpose()?.unwrap_or_default();
    Ok(PythonLayer {
        entries: installed.entries.into_iter().collect(),
        newest: installed.newest,
        venv,
        library: scheme.library(true).clone(),
        version: scheme.version(),
        packages: wheels.iter().map(|wheel| wheel.name.name().clone()).collect(),
    })
}

/// The URL of a wheel that is named by it.
fn direct(pin: &WheelPin) -> Result<Option<Url>, PythonError> {
    match pin.index.is_empty() && pin.file.contains("://") {
        true => pin.file.parse().map(Some).map_err(|_| PythonError::Url(Shown::new(pin.file.as_bytes()))),
        false => Ok(None),
    }
}

fn name_of(pin: &WheelPin) -> Result<WheelName, WheelNameError> {
    let path = pin.file.split(['?', '#']).next().unwrap_or(&pin.file);
    let name = path.rsplit('/').next().unwrap_or(path);
    match pin.file.contains("://") {
        true => name.replace("%2B", "+").replace("%2b", "+").parse(),
        false => name.parse(),
    }
}

/// The bytes of the wheels: from the context, the cache, or the indexes.
fn contents(pinned: &[&WheelPin], ask: &Ask<'_>, supply: &dyn Supply) -> Result<Vec<Content>, PythonError> {
    let list: OnceLock<IndexList> = OnceLock::new();
    let mut found: Vec<Option<Content>> = Vec::with_capacity(pinned.len());
    let mut places: Vec<Box<crate::supply::Places<'_>>> = Vec::new();
    for pin in pinned {
        let url = direct(pin)?;
        if pin.index.is_empty() && url.is_none() {
            let content = open_local(ask.context, &pin.file)?;
            if content.known_digest() != Some(pin.sha256) {
                return Err(PythonError::Changed(Shown::new(pin.file.as_bytes())));
            }
            found.push(Some(content));
            continue;
        }
        found.push(None);
        let list = &list;
        places.push(match url {
            Some(url) => Box::new(move || Ok(vec![pin::with_login(ask, &url)])),
            None => Box::new(move || Ok(vec![place(pin, ask, supply, list)?])),
        });
    }
    let remote = pinned.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(pin, _)| pin);
    let wanted: Vec<Wanted<'_>> = remote
        .zip(&places)
        .map(|(pin, places)| Wanted {
            name: name_of(pin).map_or_else(|_| pin.name.clone(), |name| name.to_string()),
            sha256: pin.sha256,
            size: Some(pin.size),
            places: &**places,
        })
        .collect();
    let mut files = match wanted.is_empty() {
        true => Vec::new(),
        false => supply.files(&wanted)?,
    }
    .into_iter();
    // What is refused as another wheel is found by its digest when it is read.
    let contents = found
        .into_iter()
        .zip(pinned)
        .filter_map(|(found, pin)| found.or_else(|| files.next()).map(|content| content.with_digest(pin.sha256)));
    Ok(contents.collect())
}

/// Where the index has a file now.
fn place(pin: &WheelPin, ask: &Ask<'_>, supply: &dyn Supply, list: &OnceLock<IndexList>) -> Result<Url, SupplyError> {
    let unknown = || SupplyError::NoIndex { index: pin.index.clone() };
    let list = match list.get() {
        Some(list) => list,
        None => {
            let found = match pin::indexes(ask, supply) {
                Ok(found) => found,
                Err(pin::Error::Supply(error)) => return Err(error),
                // What asked for it is no longer as it was: then the recipe and the machine know the place.
                Err(_) => IndexList::new(),
            };
            list.get_or_init(|| found)
        }
    };
    let package: PackageName = pin.name.parse().map_err(|_| unknown())?;
    let mut own = IndexList::new();
    if list.get(&pin.index).is_none() {
        let said = ask.source.indexes.iter().find(|index| index.name == pin.index).map(|index| &index.url.value);
        own.add(&pin.index, supply.python_index(&pin.index, said)?, false);
    }
    let index = list.get(&pin.index).or_else(|| own.get(&pin.index)).ok_or_else(unknown)?;
    let wrong =
        |source: Box<IndexError>| SupplyError::Index { what: pin.file.clone(), package: package.clone(), source };
    let page = pin::page(supply, index, &package).map_err(|error| match error {
        pin::Error::Supply(error) => error,
        pin::Error::Index { source, .. } => wrong(source),
        _ => unknown(),
    })?;
    let page = page.ok_or_else(|| wrong(IndexError::Absent(Shown::new(pin.file.as_bytes())).into()))?;
    let file = page.find(&pin.file, &pin.sha256).map_err(|error| wrong(Box::new(error)))?;
    Ok(file.url.clone())
}

impl PythonLayer {
    /// Adds bytecode for all sources, and lists it as pip does: without digest and size. Gives the sources that are no
    /// Python of this version, with why.
    ///
    /// # Errors
    /// [`PythonError`].
    pub fn compile(&mut self, compilers: &Compilers, tmp: &Path) -> Result<Vec<(TreePath, String)>, PythonError> {
        let owners = self.records()?;
        let sources: Vec<(&TreePath, &Entry)> = self.entries.iter().collect();
        let compiled = compilers.compile(&sources, tmp)?;
        let made: BTreeSet<&TreePath> = compiled.entries.iter().map(|(path, _)| path).collect();
        let mut rows: BTreeMap<&TreePath, Vec<TreePath>> = BTreeMap::new();
        for source in self.entries.keys() {
            if let Some(record) = owners.get(source)
                && let Some(path) = bytecode_path(source, self.version, bytecode::Optimise::None)?
                && made.contains(&path)
            {
                rows.entry(record).or_default().push(path);
            }
        }
        let mut records = Vec::new();
        for (path, added) in rows {
            let Some(entry) = self.entries.get(path) else { continue };
            let old = self.record(path, entry)?;
            let added: Vec<String> = added
                .iter()
                .map(|added| String::from_utf8_lossy(&relative(&self.library, added)).into_owned())
                .collect();
            let added = added.iter().map(|path| (path.as_str(), &Row::EMPTY));
            let text = Record::write(old.iter().filter(|(path, _)| !path.ends_with(".pyc")).chain(added));
            records.push((path.clone(), Entry { kind: Kind::File(Content::inline(text)), ..entry.clone() }));
        }
        self.entries.extend(records);
        self.entries.extend(compiled.entries);
        Ok(compiled.invalid)
    }

    fn record(&self, path: &TreePath, entry: &Entry) -> Result<Record, PythonError> {
        let Kind::File(content) = &entry.kind else { return Ok(Record::default()) };
        let text = content.read_all(MAX_RECORD).map_err(|source| PythonError::Read { path: path.clone(), source })?;
        Record::parse(&text).map_err(|source| PythonError::Record { path: path.clone(), source })
    }

    /// Each file with the list that it is in.
    fn records(&self) -> Result<BTreeMap<TreePath, TreePath>, PythonError> {
        let mut owners = BTreeMap::new();
        for (path, entry) in self.entries.iter().filter(|(path, _)| self.is_record(path)) {
            for (row, _) in self.record(path, entry)?.iter() {
                if let Some(file) = listed(&self.library, row) {
                    owners.insert(file, path.clone());
                }
            }
        }
        Ok(owners)
    }

    fn is_record(&self, path: &TreePath) -> bool {
        let directory = path.parent().filter(|_| path.file_name() == Some(b"RECORD"));
        directory.is_some_and(|directory| {
            directory.file_name().is_some_and(|name| name.ends_with(b".dist-info"))
                && directory.parent().as_ref() == Some(&self.library)
        })
    }

    /// Puts everything into a layer. Other versions of the same packages that the layers below have in the same place
    /// are taken away, as pip does before it installs; `read` reads their lists of files.
    ///
    /// # Errors
    /// [`PythonError`].
    pub fn place(&self, placer: &mut Placer<'_>, read: ReadBelow<'_>) -> Result<(), PythonError> {
        let config = self.venv.iter().find(|(path, _)| path.file_name() == Some(b"pyvenv.cfg"));
        let is_there = match config {
            Some((path, _)) => placer.below().file(path).map_err(PlaceError::from)?.is_some(),
            None => true,
        };
        if !is_there {
            for (path, entry) in &self.venv {
                placer.put(path, entry.clone())?;
            }
        }
        for (path, entry) in &self.entries {
            placer.put(path, entry.clone())?;
        }
        for path in self.outdated(placer.below(), read)? {
            if placer.tree().get(&path).is_none() {
                placer.delete(&path, Origin::new("an older version of a Python package"))?;
            }
        }
        Ok(())
    }

    /// What other versions of these packages have in the layers below.
    fn outdated(&self, below: &Rootfs, read: ReadBelow<'_>) -> Result<BTreeSet<TreePath>, PythonError> {
        let mut gone = BTreeSet::new();
        let library = below.resolve(&self.library).map_err(PlaceError::from)?;
        if !below.is_directory(&library) {
            return Ok(gone);
        }
        for directory in metadata_directories(below, &library) {
            let Some(name) = directory.file_name().and_then(package_of) else { continue };
            let new = self.library.child(directory.file_name().unwrap_or_default())?.child(b"RECORD")?;
            if !self.packages.contains(&name) || self.entries.contains_key(&new) {
                continue;
            }
            let record = directory.child(b"RECORD")?;
            // What has no such list is another package manager's.
            let Some((path, _, located)) = below.file(&record).map_err(PlaceError::from)? else { continue };
            if let Located::Unknown { path, .. } = located {
                below.needs_contents(path);
                return Ok(gone);
            }
            let text = read(located).map_err(|source| PythonError::Read { path: path.clone(), source })?;
            let rows = Record::parse(&text).map_err(|source| PythonError::Record { path, source })?;
            for (row, _) in rows.iter() {
                let Some(file) = listed(&library, row) else { continue };
                let mut files = vec![file.clone()];
                files.extend(bytecode_path(&file, self.version, bytecode::Optimise::None)?);
                for file in files {
                    let Ok(file) = below.resolve_parent(&file) else { continue };
                    if !below.is_directory(&file) && below.get(&file).is_some() && !starts_with(&file, &directory) {
                        gone.insert(file);
                    }
                }
            }
            gone.insert(directory);
        }
        Ok(gone)
    }
}

fn starts_with(path: &TreePath, directory: &TreePath) -> bool {
    path.strip_prefix(directory).is_some()
}

/// The `.dist-info` directories right below a directory.
fn metadata_directories(below: &Rootfs, library: &TreePath) -> Vec<TreePath> {
    let is_metadata = |path: &TreePath| path.file_name().is_some_and(|name| name.ends_with(b".dist-info"));
    let names = below.children(library).filter(|(path, _)| is_metadata(path));
    names.map(|(path, _)| path.clone()).filter(|path| below.is_directory(path)).collect()
}

/// The package of `NAME-VERSION.dist-info`.
fn package_of(directory: &[u8]) -> Option<PackageName> {
    let stem = std::str::from_utf8(directory).ok()?.strip_suffix(".dist-info")?;
    stem.rsplit_once('-')?.0.parse().ok()
}

/// The file that a row of a list means; `None` where it is none of the image.
fn listed(library: &TreePath, row: &str) -> Option<TreePath> {
    if row.starts_with('/') {
        return TreePath::parse(row).ok();
    }
    let mut at = library.clone();
    let mut rest = row;
    while let Some(after) = rest.strip_prefix("../") {
        at = at.parent()?;
        rest = after;
    }
    at.join(&TreePath::parse(rest).ok()?).ok()
}

#[cfg(test)]
mod tests;
