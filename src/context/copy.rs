//! The `copy` source: what of the context is chosen ([`select`]), and how it lands in a layer ([`Selection::emit`]).
//!
//! | written | lands at |
//! |---|---|
//! | `"common"`, `"a/b"` | `to`/`common`, `to`/`b` |
//! | `"dir/"`, `"."` | what it holds, in `to` |
//! | `"conf/*.toml"` | each match by its own name, in `to` |
//! | `{ src, dest }` | exactly `dest` |
//!
//! A named source that is a symlink is followed, inside of the context; what it is called, and that the ignore file leaves
//! it out, goes by the name as it is written; the other rules by where it leads. Links below a named directory are kept
//! as they are. A glob does not look into a directory that it matches: that is taken whole.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, OFlags};

use super::directory::{ContextDirectory, Forbidden};
use super::glob::{Glob, GlobError, symbols};
use super::named::{Named, components, follow, join, split};
use super::pattern::Patterns;
use super::rules::{Dropped, Inside, Rules};
use super::selection::{Place, Selection, What};
use super::walk::{Look, Names, Start, WalkError, Walked, found_file, refuse_whiteout, special, walk};
use crate::content::HostFile;
use crate::host::HostDirectory;
use crate::nearest::{hint, nearest};
use crate::shown::Shown;
use crate::tree::{Origin, PathError, TreePath};

/// The longest name, and the longest path, of an image, in bytes.
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 4095;

/// One item of `copy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyItem {
    /// A path or glob, relative to the context. A slash at the end means what the directory holds.
    pub source: String,
    /// Where exactly it lands; where not given, by its own name in `to`.
    pub destination: Option<TreePath>,
}

/// What is asked of a context.
#[derive(Debug)]
pub struct CopyRequest<'a> {
    /// The context.
    pub context: &'a ContextDirectory,
    /// What to copy.
    pub items: &'a [CopyItem],
    /// The directory in the image.
    pub to: &'a TreePath,
    /// Where there are any, only what they match.
    pub include: &'a Patterns,
    /// Not what they match.
    pub exclude: &'a Patterns,
    /// How many threads walk.
    pub threads: usize,
}

/// Why a selection fails.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// An item without a word.
    #[error("an item of `copy` is empty: write `.` for the whole context")]
    Empty,
    /// An item that leads out of the context.
    #[error("copy {item} leads out of the context: paths with `..` are not followed")]
    Climbs {
        /// The item.
        item: Shown,
    },
    /// A malformed glob.
    #[error("copy {item} is no pattern")]
    Glob {
        /// The item.
        item: Shown,
        /// What is wrong with it.
        source: GlobError,
    },
    /// Nothing of that name.
    #[error("copy {item} matches nothing in the context {context}{hint}")]
    NoMatch {
        /// The item.
        item: Shown,
        /// The context.
        context: Shown,
        /// The nearest name, as the end of the sentence.
        hint: String,
    },
    /// It is there, but the ignore file leaves it out.
    #[error("copy {item} is left out by {pattern} in line {line} of {file}")]
    Ignored {
        /// The item.
        item: Shown,
        /// The ignore file.
        file: Shown,
        /// The line, from 1.
        line: usize,
        /// The pattern.
        pattern: Shown,
    },
    /// A symlink that leads out of the context.
    #[error("copy {item} leads out of the context, through the symlink {link} to {target}")]
    Outside {
        /// The item.
        item: Shown,
        /// The link.
        link: Shown,
        /// Its target.
        target: Shown,
    },
    /// A symlink that leads nowhere.
    #[error("copy {item} is a symlink that leads {how}")]
    Dangling {
        /// The item, or what it matched.
        item: Shown,
        /// `to nothing`, `round in circles`.
        how: &'static str,
    },
    /// A slash after what is no directory.
    #[error("copy {item} leads through {at}, which is no directory")]
    NotADirectory {
        /// The item.
        item: Shown,
        /// What is no directory.
        at: Shown,
    },
    /// A glob with an exact destination matches several paths.
    #[error("copy {item} has one destination, {destination}, and matches {count} paths")]
    Many {
        /// The item.
        item: Shown,
        /// The destination.
        destination: TreePath,
        /// How many.
        count: usize,
    },
    /// An output or cache lies in what would be copied.
    #[error(
        "copy {item} would copy {what}, {path}: put it elsewhere, or leave it out with `exclude` or the ignore file"
    )]
    Forbidden {
        /// The item.
        item: Shown,
        /// What it is.
        what: String,
        /// Where it is.
        path: Shown,
    },
    /// The destination cannot be a path in an image.
    #[error("copying {source_path}")]
    Path {
        /// The file or directory.
        source_path: Shown,
        /// Why.
        source: PathError,
    },
    /// The context cannot be walked.
    #[error(transparent)]
    Walk(#[from] WalkError),
}

/// A source after its symlinks are followed.
struct Source {
    /// As it was written or matched.
    written: Vec<u8>,
    target: Target,
}

enum Target {
    Directory(Vec<u8>),
    File { directory: Vec<u8>, file: (HostFile, Look) },
}

/// Where a walk starts, and what is to become of it.
struct From {
    item: usize,
    destination: TreePath,
    /// Only what it holds.
    contents: bool,
    path: Vec<u8>,
    dropped: Option<Dropped>,
}

/// Chooses.
///
/// # Errors
/// [`CopyError`]. An item whose matches are all left out by `include` and `exclude` is no error: see
/// [`Selection::emptied`].
pub fn select(request: &CopyRequest<'_>) -> Result<Selection, CopyError> {
    let ContextDirectory { ignore, unnamed, .. } = request.context;
    let rules = Rules {
        ignore: ignore.patterns(),
        include: request.include,
        exclude: request.exclude,
        unnamed: unnamed.iter().map(|path| (split(path).0.to_vec(), split(path).1.to_vec())).collect(),
    };
    let mut choice = Choice {
        request,
        rules: &rules,
        starts: Vec::new(),
        from: Vec::new(),
        selection: Selection {
            to: request.to.clone(),
            in_to: false,
            origins: request.items.iter().map(|item| Origin::new(format!("copy `{}`", item.source))).collect(),
            places: Vec::new(),
            emptied: Vec::new(),
        },
    };
    for (number, item) in request.items.iter().enumerate() {
        choice.item(number, item)?;
    }
    choice.finish()
}

struct Choice<'a> {
    request: &'a CopyRequest<'a>,
    rules: &'a Rules<'a>,
    starts: Vec<Start>,
    from: Vec<From>,
    selection: Selection,
}

/// What is asked for by one item.
struct Asked<'a> {
    number: usize,
    item: &'a CopyItem,
    /// Only what it holds.
    contents: bool,
    glob: Glob,
}

impl Asked<'_> {
    fn shown(&self) -> Shown {
        shown(self.item)
    }
}

fn shown(item: &CopyItem) -> Shown {
    Shown::new(item.source.as_bytes())
}

impl<'a> Choice<'a> {
    fn item(&mut self, number: usize, item: &'a CopyItem) -> Result<(), CopyError> {
        if item.source.is_empty() {
            return Err(CopyError::Empty);
        }
        let path: Vec<&[u8]> = components(item.source.as_bytes()).collect();
        if path.contains(&&b".."[..]) {
            return Err(CopyError::Climbs { item: shown(item) });
        }
        let contents = item.source.ends_with('/') || item.source.ends_with("/.") || path.is_empty();
        let path = path.join(&b'/');
        let glob = Glob::parse(&symbols(&path)).map_err(|source| CopyError::Glob { item: shown(item), source })?;
        let asked = Asked { number, item, contents, glob };
        match asked.glob.literal() {
            Some(path) => {
                let path = path.to_owned();
                self.literal(&asked, path.as_bytes())
            }
            None => self.matches(&asked),
        }
    }

    /// An item without wildcards.
    fn literal(&mut self, asked: &Asked<'_>, path: &[u8]) -> Result<(), CopyError> {
        let target = match follow(&self.request.context.root, path)? {
            Named::Directory(path) => Target::Directory(path),
            Named::File { directory, name, .. } if asked.contents => {
                let at = self.request.context.root.shown(&join(&directory, &name));
                return Err(CopyError::NotADirectory { item: asked.shown(), at });
            }
            Named::File { directory, name, stat } => {
                let host = HostDirectory::new(self.request.context.root.clone(), directory.as_slice());
                Target::File { directory, file: found_file(host, &name, &stat)? }
            }
            Named::Missing { above, name } => return Err(self.no_match(asked, &above, &name)),
            other => return Err(self.astray(asked.shown(), other)),
        };
        self.take(asked, Source { written: path.to_vec(), target })
    }

    /// An item with wildcards.
    fn matches(&mut self, asked: &Asked<'_>) -> Result<(), CopyError> {
        let fixed = asked.glob.fixed().collect::<Vec<_>>().join("/").into_bytes();
        let base = match follow(&self.request.context.root, &fixed)? {
            Named::Directory(path) => path,
            Named::Missing { above, name } => return Err(self.no_match(asked, &above, &name)),
            Named::File { directory, name, .. } => {
                let at = self.request.context.root.shown(&join(&directory, &name));
                return Err(CopyError::NotADirectory { item: asked.shown(), at });
            }
            other => return Err(self.astray(asked.shown(), other)),
        };
        let mut found = Vec::new();
        // Every match that is left out, so that the message can say by what.
        let mut dropped = None;
        self.search(asked, &fixed, base, &mut found, &mut dropped)?;
        found.sort_by(|a, b| a.written.cmp(&b.written));
        if let Some(destination) = &asked.item.destination
            && found.len() > 1
        {
            let (destination, count) = (destination.clone(), found.len());
            return Err(CopyError::Many { item: asked.shown(), destination, count });
        }
        if found.is_empty() {
            return match dropped {
                Some(dropped) => self.left_out(asked.number, asked.item, dropped),
                None => Err(self.no_match(asked, &fixed, b"")),
            };
        }
        found.into_iter().try_for_each(|source| self.take(asked, source))
    }

    /// Looks for what a glob matches, below a directory.
    fn search(
        &self,
        asked: &Asked<'_>,
        fixed: &[u8],
        base: Vec<u8>,
        found: &mut Vec<Source>,
        dropped: &mut Option<Dropped>,
    ) -> Result<(), CopyError> {
        let context = &self.request.context.root;
        let git = components(fixed).any(|name| name == b".git");
        let inside = self.rules.descend(&symbols(&base));
        let mut todo = vec![(fixed.to_vec(), base, inside)];
        let mut names = Names::new();
        while let Some((above, real, inside)) = todo.pop() {
            let shown = context.shown(&real);
            let handle = context
                .open_at(&real, OFlags::RDONLY | OFlags::DIRECTORY)
                .map_err(|error| WalkError::Open { path: shown.clone(), source: error.into() })?;
            names.read(&handle).map_err(|error| WalkError::List { path: shown, source: error.into() })?;
            let host = HostDirectory::new(context.clone(), real.as_slice());
            let unnamed = self.rules.unnamed_in(&real);
            let depth = components(&above).count();
            for (name, kind) in names.iter() {
                let bytes = name.to_bytes();
                if unnamed.contains(&bytes) || (bytes == b".git" && !git) {
                    continue;
                }
                let written = join(&above, bytes);
                let text = symbols(&written);
                let path = host.child(bytes);
                let matched = asked.glob.is_match(&text);
                if !matched && !asked.glob.leads_into(depth, &symbols(bytes)) {
                    continue;
                }
                let look = || -> Result<_, CopyError> {
                    let failed =
                        |error: rustix::io::Errno| WalkError::Stat { path: context.shown(&path), source: error.into() };
                    Ok(rustix::fs::statat(&handle, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?)
                };
                let kind = match kind {
                    FileType::Unknown => FileType::from_raw_mode(look()?.st_mode),
                    kind => kind,
                };
                if kind == FileType::Directory {
                    let inside = self.rules.enter(&inside.standing, &symbols(&path));
                    if !inside.below {
                        *dropped = dropped.or(inside.dropped.filter(|_| matched));
                    } else if matched {
                        found.push(Source { written, target: Target::Directory(path) });
                    } else {
                        todo.push((written, path, inside));
                    }
                    continue;
                }
                if !matched {
                    continue;
                }
                if let Some(by) = self.rules.judge(&inside.standing, &symbols(&path)) {
                    *dropped = dropped.or(Some(by));
                    continue;
                }
                if let Some(kind) = special(kind) {
                    return Err(WalkError::Kind { path: context.shown(&path), kind }.into());
                }
                let target = if kind == FileType::Symlink {
                    match follow(context, &written)? {
                        Named::Directory(path) => Target::Directory(path),
                        Named::File { directory, name, stat } => {
                            let host = HostDirectory::new(context.clone(), directory.as_slice());
                            Target::File { directory, file: found_file(host, &name, &stat)? }
                        }
                        other => return Err(self.astray(Shown::new(&written), other)),
                    }
                } else {
                    let host = HostDirectory::new(context.clone(), real.as_slice());
                    Target::File { directory: real.clone(), file: found_file(host, bytes, &look()?)? }
                };
                if !(asked.contents && matches!(target, Target::File { .. })) {
                    found.push(Source { written, target });
                }
            }
        }
        Ok(())
    }

    /// Takes a source into the selection, or what it holds into the walk.
    fn take(&mut self, asked: &Asked<'_>, source: Source) -> Result<(), CopyError> {
        let context = &self.request.context.root;
        let shown = context.shown(&source.written);
        let name = split(&source.written).1;
        let destination = match &asked.item.destination {
            Some(destination) => Ok(destination.clone()),
            None if asked.contents => Ok(self.request.to.clone()),
            None => self.request.to.child(name),
        };
        let destination = destination.map_err(|error| CopyError::Path { source_path: shown.clone(), source: error })?;
        if asked.item.destination.is_none() && !asked.contents {
            refuse_whiteout(name, || shown.clone())?;
        }
        // A symlink that is left out is not there to be followed.
        let link = self.rules.ignore.judge_whole(&source.written);
        let ignored = link.matched.then_some(Dropped::Ignored(link.by));
        match source.target {
            Target::File { directory, file } => {
                let name = file.0.directory().map(|(_, name)| name.to_vec()).unwrap_or_default();
                let path = join(&directory, &name);
                if let Some((_, forbidden)) =
                    self.request.context.forbidden.iter().find(|(forbidden, _)| *forbidden == path)
                {
                    return Err(forbidden_error(asked.item, forbidden));
                }
                let inside = self.rules.descend(&symbols(&directory));
                let dropped = ignored.or_else(|| self.rules.judge(&inside.standing, &symbols(&path)));
                if let Some(dropped) = dropped {
                    return self.left_out(asked.number, asked.item, dropped);
                }
                self.selection.in_to |= asked.item.destination.is_none();
                self.selection.places.push(Place { item: asked.number, destination, what: What::File(file.0, file.1) });
                Ok(())
            }
            Target::Directory(path) => {
                let Inside { mut dropped, below, standing } = self.rules.descend(&symbols(&path));
                let linked = source.written != path;
                if linked && ignored.is_some() {
                    dropped = ignored;
                }
                if !below || (linked && ignored.is_some()) {
                    return self.left_out(asked.number, asked.item, dropped.unwrap_or(Dropped::Recipe));
                }
                self.refuse_forbidden(asked, &path)?;
                let git = components(&source.written).any(|name| name == b".git");
                self.starts.push(Start { path: path.clone(), standing, kept: dropped.is_none(), git });
                self.from.push(From {
                    item: asked.number,
                    destination,
                    contents: asked.contents && asked.item.destination.is_none(),
                    path,
                    dropped,
                });
                Ok(())
            }
        }
    }

    /// Whether an output or cache lies at or below a directory that is walked, and would be taken.
    fn refuse_forbidden(&self, asked: &Asked<'_>, start: &[u8]) -> Result<(), CopyError> {
        for (path, forbidden) in &self.request.context.forbidden {
            let Some(below) = below(path, start) else { continue };
            let mut above = start.to_vec();
            let left_out = components(below).any(|name| {
                let unnamed = name == b".git" || self.rules.unnamed_in(&above).contains(&name);
                above = join(&above, name);
                unnamed
            });
            if !left_out && self.rules.descend(&symbols(path)).below {
                return Err(forbidden_error(asked.item, forbidden));
            }
        }
        Ok(())
    }

    fn left_out(&mut self, number: usize, item: &CopyItem, dropped: Dropped) -> Result<(), CopyError> {
        match dropped.ignored_by().and_then(|by| self.request.context.ignore.patterns().said(by)) {
            Some((pattern, line)) => {
                let file = self.request.context.ignore.path().unwrap_or(Path::new(""));
                Err(CopyError::Ignored {
                    item: shown(item),
                    file: Shown::new(file.as_os_str().as_encoded_bytes()),
                    line,
                    pattern: Shown::new(pattern.as_bytes()),
                })
            }
            None => {
                if self.selection.emptied.last() != Some(&number) {
                    self.selection.emptied.push(number);
                }
                Ok(())
            }
        }
    }

    fn no_match(&self, asked: &Asked<'_>, above: &[u8], name: &[u8]) -> CopyError {
        let context = &self.request.context.root;
        let source = asked.item.source.trim_end_matches('/').as_bytes();
        let exists = asked.glob.literal().is_none()
            && matches!(follow(context, source), Ok(Named::File { .. } | Named::Directory(_)));
        let hint = if exists {
            "; a file of exactly that name exists: write a backslash before `*`, `?` and `[`".to_owned()
        } else {
            hint(self.nearest(above, name).as_deref())
        };
        CopyError::NoMatch { item: asked.shown(), context: context.shown(b""), hint }
    }

    fn nearest(&self, above: &[u8], name: &[u8]) -> Option<String> {
        let handle = self.request.context.root.open_at(above, OFlags::RDONLY | OFlags::DIRECTORY).ok()?;
        let mut names = Names::new();
        names.read(&handle).ok()?;
        let names: Vec<String> = names.iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        let name = nearest(&String::from_utf8_lossy(name), names.iter().map(String::as_str))?;
        Some(String::from_utf8_lossy(&join(above, name.as_bytes())).into_owned())
    }

    fn astray(&self, item: Shown, named: Named) -> CopyError {
        let context = &self.request.context.root;
        match named {
            Named::Outside { link, target } => {
                CopyError::Outside { item, link: context.shown(&link), target: Shown::new(&target) }
            }
            Named::NotADirectory(at) => CopyError::NotADirectory { item, at: context.shown(&at) },
            Named::Loop => CopyError::Dangling { item, how: "round in circles" },
            Named::Missing { .. } | Named::Directory(_) | Named::File { .. } => {
                CopyError::Dangling { item, how: "to nothing" }
            }
        }
    }

    /// Walks, and takes what was found.
    fn finish(mut self) -> Result<Selection, CopyError> {
        let starts = std::mem::take(&mut self.starts);
        let walked = match starts.is_empty() {
            true => Vec::new(),
            false => walk(&self.request.context.root, self.rules, starts, self.request.threads)?,
        };
        let wanted = wanted(&walked);
        let mut taken = vec![false; self.from.len()];
        for (directory, wanted) in walked.into_iter().zip(wanted) {
            let Some(from) = self.from.get(directory.start).filter(|_| wanted) else { continue };
            taken[directory.start] = true;
            let path = directory.path();
            let below = below(path, &from.path).unwrap_or_default();
            let destination = TreePath::parse(below).and_then(|below| from.destination.join(&below));
            let misfit = |source| CopyError::Path { source_path: self.request.context.root.shown(path), source };
            let destination = destination.map_err(misfit)?;
            for name in directory.files.names().chain(directory.links.iter().map(|link| &link.name[..])) {
                // Else the path is short enough, whatever the name.
                if name.len() > MAX_NAME || destination.as_bytes().len() + MAX_NAME >= MAX_PATH {
                    destination.child(name).map_err(misfit)?;
                }
            }
            let own = (!(from.contents && below.is_empty())).then_some(directory.mode);
            self.selection.in_to |= self.request.items.get(from.item).is_some_and(|item| item.destination.is_none());
            let Walked { files, looks, links, .. } = directory;
            let what = What::Directory { own, files, looks, links };
            self.selection.places.push(Place { item: from.item, destination, what });
        }
        // What was taken only for what might be below it, and there was nothing.
        for (from, _) in std::mem::take(&mut self.from).iter().zip(taken).filter(|(_, taken)| !taken) {
            let Some(item) = self.request.items.get(from.item) else { continue };
            if self.selection.places.iter().all(|place| place.item != from.item) {
                self.left_out(from.item, item, from.dropped.unwrap_or(Dropped::Recipe))?;
            }
        }
        Ok(self.selection)
    }
}

/// Which directories are taken: those that are kept, and those that hold something that is.
fn wanted(walked: &[Walked]) -> Vec<bool> {
    let mut wanted = vec![false; walked.len()];
    let mut parents: BTreeSet<(usize, &[u8])> = BTreeSet::new();
    // Parents stand before what they hold.
    for (number, directory) in walked.iter().enumerate().rev() {
        let path = directory.path();
        let holds = !directory.files.is_empty() || !directory.links.is_empty();
        wanted[number] = directory.kept || holds || parents.contains(&(directory.start, path));
        if wanted[number] && !path.is_empty() {
            parents.insert((directory.start, split(path).0));
        }
    }
    wanted
}

fn forbidden_error(item: &CopyItem, forbidden: &Forbidden) -> CopyError {
    CopyError::Forbidden {
        item: shown(item),
        what: forbidden.what.clone(),
        path: Shown::new(forbidden.path.as_os_str().as_encoded_bytes()),
    }
}

/// What is left of a path below a directory; empty where it is that.
fn below<'p>(path: &'p [u8], directory: &[u8]) -> Option<&'p [u8]> {
    if directory.is_empty() {
        return Some(path);
    }
    match path.strip_prefix(directory)? {
        [] => Some(b""),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use rustix::fs::{CWD, Mode};

    use super::super::ignore::IgnoreFile;
    use super::super::modes::{FileMode, Modes};
    use super::super::selection::{Landing, SelectedKind};
    use super::*;
    use crate::host::HostRoot;
    use crate::tree::{FileTree, Kind, Node, NodeKind, Owner, Placer, Rootfs};

    /// A context in a temporary directory, and what is asked of it.
    struct Context {
        directory: tempfile::TempDir,
        ignore: &'static str,
        include: Vec<&'static str>,
        exclude: Vec<&'static str>,
        unnamed: Vec<&'static str>,
        forbidden: Vec<&'static str>,
        to: &'static str,
        modes: Modes,
        hardlinks: bool,
        below: Rootfs,
        threads: usize,
    }

    /// What is asked for: a path, or a path and where it goes.
    type Item = (&'static str, Option<&'static str>);

    impl Context {
        /// Files end in anything but a slash; `a -> b` is a symlink; `x!` is executable.
        fn new(entries: &[&str]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let base = directory.path().join("context");
            fs::create_dir(&base).unwrap();
            for entry in entries {
                let (entry, executable) = entry.strip_suffix('!').map_or((*entry, false), |entry| (entry, true));
                let (name, target) = entry.split_once(" -> ").map_or((entry, None), |(name, to)| (name, Some(to)));
                let path = base.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                match target {
                    Some(target) => symlink(target, &path).unwrap(),
                    None if name.ends_with('/') => fs::create_dir_all(&path).unwrap(),
                    None => {
                        fs::write(&path, name).unwrap();
                        let mode = if executable { 0o711 } else { 0o600 };
                        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                    }
                }
            }
            Context {
                directory,
                ignore: "",
                include: Vec::new(),
                exclude: Vec::new(),
                unnamed: Vec::new(),
                forbidden: Vec::new(),
                to: "app",
                modes: Modes::default(),
                hardlinks: false,
                below: Rootfs::new(),
                threads: 2,
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join("context").join(name)
        }

        fn select(&self, items: &[Item]) -> Result<Selection, CopyError> {
            let root = HostRoot::open(self.path("")).unwrap();
            let ignore = IgnoreFile::parse(self.path(".dockerignore"), self.ignore.as_bytes()).unwrap();
            let items: Vec<CopyItem> = items
                .iter()
                .map(|(source, to)| CopyItem {
                    source: (*source).to_owned(),
                    destination: to.map(|to| TreePath::parse(to).unwrap()),
                })
                .collect();
            let forbidden =
                self.forbidden.iter().map(|name| Forbidden { path: self.path(name), what: "the output".into() });
            let unnamed: Vec<PathBuf> = self.unnamed.iter().map(|name| self.path(name)).collect();
            let context = ContextDirectory::new(root, ignore, &unnamed, forbidden.collect());
            select(&CopyRequest {
                context: &context,
                items: &items,
                to: &TreePath::parse(self.to).unwrap(),
                include: &Patterns::parse(&self.include).unwrap(),
                exclude: &Patterns::parse(&self.exclude).unwrap(),
                threads: self.threads,
            })
        }

        /// The layer, a line an entry: `file path mode`.
        fn layer(&self, items: &[Item]) -> Result<Vec<String>, String> {
            let selection = self.select(items).map_err(|error| error.to_string())?;
            let mut tree = FileTree::new();
            let owner = Owner::new(10, 10);
            let mut placer = Placer::new(&self.below, &mut tree, owner, Origin::new("test"));
            let landing = Landing { owner, modes: &self.modes, hardlinks: self.hardlinks };
            selection.emit(&landing, &mut placer).map_err(|error| error.to_string())?;
            tree.settle_links().unwrap();
            Ok(tree
                .iter()
                .map(|(path, entry)| {
                    assert_eq!(entry.owner, owner);
                    let path = String::from_utf8_lossy(path.as_bytes());
                    match &entry.kind {
                        Kind::Directory => format!("{path}/ {:o}", entry.mode),
                        Kind::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
                        Kind::Hardlink(target) => format!("{path} = {target}"),
                        _ => format!("{path} {:o}", entry.mode),
                    }
                })
                .collect())
        }

        /// The paths below `to`.
        fn paths(&self, items: &[&'static str]) -> Vec<String> {
            let items: Vec<Item> = items.iter().map(|item| (*item, None)).collect();
            let layer = self.layer(&items).unwrap_or_else(|error| panic!("{error}"));
            let names = layer.iter().map(|line| line.split(' ').next().unwrap_or_default());
            names
                .filter_map(|name| name.strip_prefix(&format!("{}/", self.to)))
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        }

        fn error(&self, item: &'static str) -> String {
            let text = self.layer(&[(item, None)]).unwrap_err();
            text.replace(&*self.directory.path().to_string_lossy(), "")
        }
    }

    #[test]
    fn semantics_08_to_is_a_directory_and_names_are_kept() {
        let context = Context::new(&["common/a", "common/deep/b!", "config/x.toml", "run.sh!", "empty/"]);
        assert_eq!(
            context.layer(&[("common", None), ("run.sh", None), ("empty", None)]).unwrap(),
            [
                "app/ 755",
                "app/common/ 755",
                "app/common/a 644",
                "app/common/deep/ 755",
                "app/common/deep/b 755",
                "app/empty/ 755",
                "app/run.sh 755"
            ]
        );
        // The contents of a directory; of an empty one, too.
        for item in ["common/", "common/.", "./common//", "/common/"] {
            assert_eq!(context.paths(&[item]), ["a", "deep/", "deep/b"], "{item}");
        }
        assert_eq!(context.layer(&[("empty/", None)]).unwrap(), ["app/ 755"]);
        assert_eq!(context.paths(&["common/deep/b"]), ["b"]);
        assert_eq!(context.paths(&["common/deep"]), ["deep/", "deep/b"]);
        for item in [".", "./", "/"] {
            assert_eq!(context.paths(&[item]).len(), 8, "{item}");
        }
    }

    #[test]
    fn semantics_08_an_exact_destination() {
        let context = Context::new(&["a/x", "a/y", "f"]);
        assert_eq!(context.layer(&[("f", Some("/etc/g"))]).unwrap(), ["etc/ 755", "etc/g 644"]);
        assert_eq!(context.layer(&[("a", Some("b/c"))]).unwrap(), ["b/ 755", "b/c/ 755", "b/c/x 644", "b/c/y 644"]);
        assert_eq!(context.layer(&[("a/", Some("b"))]).unwrap(), ["b/ 755", "b/x 644", "b/y 644"]);
        assert_eq!(
            context.layer(&[("?", Some("g"))]).unwrap_err(),
            "copy `?` has one destination, /g, and matches 2 paths"
        );
        assert_eq!(context.layer(&[("[f]", Some("g"))]).unwrap(), ["g 644"]);
    }

    #[test]
    fn semantics_08_globs() {
        let context = Context::new(&["a/x.py", "a/y.txt", "a/sub/z.py", "b/x2.py", "top.py", ".hidden", "a/pkg.py/in"]);
        for (item, paths) in [
            ("*.py", &["top.py"][..]),
            ("a/*.py", &["pkg.py/", "pkg.py/in", "x.py"]),
            ("*/x*", &["x.py", "x2.py"]),
            ("**/z.py", &["z.py"]),
            ("**/*.py", &["pkg.py/", "pkg.py/in", "top.py", "x.py", "x2.py", "z.py"]),
            ("a/**", &["pkg.py/", "pkg.py/in", "sub/", "sub/z.py", "x.py", "y.txt"]),
            ("?", &["a/", "a/pkg.py/", "a/pkg.py/in", "a/sub/", "a/sub/z.py", "a/x.py", "a/y.txt", "b/", "b/x2.py"]),
            ("a/[x-y].*", &["x.py", "y.txt"]),
            (".*", &[".hidden"]),
            ("a/*/", &["in", "z.py"]),
            ("[ab]/", &["pkg.py/", "pkg.py/in", "sub/", "sub/z.py", "x.py", "x2.py", "y.txt"]),
        ] {
            assert_eq!(context.paths(&[item]), paths, "{item}");
        }
        assert_eq!(context.error("*.rs"), "copy `*.rs` matches nothing in the context `/context/`");
        assert!(context.error("a/[").starts_with("copy `a/[` is no pattern"));
        // One file at one destination from two places.
        let context = Context::new(&["a/x", "b/x"]);
        let error = context.error("*/x");
        assert!(error.contains("/app/x comes from two sources") && error.contains("copy `*/x`"), "{error}");
        let brackets = Context::new(&["[id].tsx"]);
        assert!(brackets.error("[id].tsx").contains("a file of exactly that name exists"));
        assert_eq!(brackets.paths(&["\\[id\\].tsx"]), ["[id].tsx"]);
    }

    #[test]
    fn semantics_08_no_match_is_an_error_with_the_nearest_name() {
        let context = Context::new(&["common/config.toml", "scripts/"]);
        for (item, error) in [
            ("comon", "copy `comon` matches nothing in the context `/context/`; did you mean `common`?"),
            (
                "common/confg.toml",
                "copy `common/confg.toml` matches nothing in the context `/context/`; did you mean `common/config.toml`?",
            ),
            (
                "commn/config.toml",
                "copy `commn/config.toml` matches nothing in the context `/context/`; did you mean `common`?",
            ),
            ("zzz", "copy `zzz` matches nothing in the context `/context/`"),
            ("../x", "copy `../x` leads out of the context: paths with `..` are not followed"),
            ("a/../b", "copy `a/../b` leads out of the context: paths with `..` are not followed"),
            (
                "common/config.toml/",
                "copy `common/config.toml/` leads through `/context/common/config.toml`, which is no directory",
            ),
            (
                "common/config.toml/x",
                "copy `common/config.toml/x` leads through `/context/common/config.toml`, which is no directory",
            ),
            ("", "an item of `copy` is empty: write `.` for the whole context"),
        ] {
            assert_eq!(context.error(item), error);
        }
    }

    #[test]
    fn semantics_10_ignore_file_include_exclude() {
        let mut context = Context::new(&[
            "src/a.py",
            "src/a.pyc",
            "src/t/b.py",
            "docs/x.md",
            "docs/keep/y",
            "secret",
            "node_modules/m/i.js",
        ]);
        context.ignore = "*.md\ndocs\n!docs/keep\nsecret\n**/node_modules\n**/*.pyc\n";
        assert_eq!(
            context.paths(&["."]),
            ["docs/", "docs/keep/", "docs/keep/y", "src/", "src/a.py", "src/t/", "src/t/b.py"]
        );
        assert_eq!(
            context.error("secret"),
            "copy `secret` is left out by `secret` in line 4 of `/context/.dockerignore`"
        );
        assert_eq!(
            context.error("docs/x.md"),
            "copy `docs/x.md` is left out by `docs` in line 2 of `/context/.dockerignore`"
        );
        assert!(context.error("node_modules").contains("line 5"));
        assert!(context.error("src/*.pyc").contains("line 6"));
        assert!(context.error("node_modules/m/").contains("line 5"));
        assert_eq!(context.paths(&["docs"]), ["docs/", "docs/keep/", "docs/keep/y"]);
        context.include = vec!["src", "docs/keep"];
        context.exclude = vec!["**/t"];
        assert_eq!(context.paths(&["."]), ["docs/", "docs/keep/", "docs/keep/y", "src/", "src/a.py"]);
        // Anchored at the context, whatever is copied from it.
        context.exclude = vec!["t"];
        assert_eq!(context.paths(&["src"]), ["src/", "src/a.py", "src/t/", "src/t/b.py"]);
        // What the recipe itself leaves out is no mistake in `copy`.
        context.exclude = vec!["src/t", "docs"];
        let selection = context.select(&[("src", None), ("src/t", None), ("docs/*", None)]).unwrap();
        assert_eq!(selection.emptied(), [1, 2]);
        assert!(!selection.is_empty());
    }

    #[test]
    fn semantics_11_never_copied_unless_named() {
        let mut context = Context::new(&[
            ".git/HEAD",
            "sub/.git",
            "sub/x",
            "lapstrake.toml",
            "lapstrake.lock",
            "lapstrake-out/index.json",
            "a/lapstrake.toml",
        ]);
        context.unnamed = vec!["lapstrake.toml", "lapstrake.lock", "lapstrake-out"];
        assert_eq!(context.paths(&["."]), ["a/", "a/lapstrake.toml", "sub/", "sub/x"]);
        assert_eq!(context.paths(&["*"]), ["a/", "a/lapstrake.toml", "sub/", "sub/x"]);
        assert_eq!(context.paths(&[".git"]), [".git/", ".git/HEAD"]);
        assert_eq!(context.paths(&[".git/HEAD", "sub/.git"]).len(), 2);
        assert_eq!(context.paths(&["lapstrake.toml", "lapstrake-out/"]), ["index.json", "lapstrake.toml"]);
    }

    #[test]
    fn semantics_11_outputs_are_never_copied() {
        let mut context = Context::new(&["src/a", "dist/oci/index.json", "x.tar"]);
        context.forbidden = vec!["dist/oci", "x.tar", "src/later/out"];
        assert_eq!(
            context.error("dist"),
            "copy `dist` would copy the output, `/context/dist/oci`: put it elsewhere, or leave it out with `exclude` or the ignore file"
        );
        for item in [".", "x.tar", "dist/oci/", "*", "src"] {
            assert!(context.error(item).contains("would copy the output"), "{item}");
        }
        context.exclude = vec!["dist/*", "x.tar", "src/later"];
        assert_eq!(context.paths(&["."]), ["dist/", "src/", "src/a"]);
        context.exclude = vec![];
        context.ignore = "dist\n*.tar\nsrc/*\n!src/a";
        assert_eq!(context.paths(&["."]), ["src/", "src/a"]);
    }

    #[test]
    fn semantics_12_links() {
        let context = Context::new(&[
            "real/f",
            "real/sub/g",
            "link -> real",
            "file -> real/f",
            "d/nested -> ../real",
            "d/abs -> /etc/passwd",
            "d/gone -> nothing",
            "out -> ../outside",
            "gone -> nothing",
            "up -> d/../real/sub",
        ]);
        fs::write(context.directory.path().join("outside"), "").unwrap();
        // A named one is followed and keeps its own name; nested ones are copied as they are.
        assert_eq!(context.paths(&["link"]), ["link/", "link/f", "link/sub/", "link/sub/g"]);
        assert_eq!(context.paths(&["link/"]), ["f", "sub/", "sub/g"]);
        assert_eq!(context.paths(&["link/sub", "up/"]), ["g", "sub/", "sub/g"]);
        assert_eq!(context.layer(&[("file", None)]).unwrap(), ["app/ 755", "app/file 644"]);
        assert_eq!(
            context.layer(&[("d/", None)]).unwrap(),
            ["app/ 755", "app/abs -> /etc/passwd", "app/gone -> nothing", "app/nested -> ../real"]
        );
        assert_eq!(
            context.error("out"),
            "copy `out` leads out of the context, through the symlink `/context/out` to `../outside`"
        );
        assert!(context.error("d/abs").contains("leads out of the context"));
        assert!(context.error("d/*").contains("leads out of the context"));
        assert!(context.error("gone").contains("matches nothing"));
        assert!(context.error("gon*").contains("leads to nothing"));
        assert_eq!(context.paths(&["fil*"]), ["file"]);
    }

    #[test]
    fn semantics_12_a_followed_link_obeys_the_ignore_file_by_both_names() {
        let mut context = Context::new(&["real/f", "real/g.tmp", "link -> real", "file -> real/f"]);
        context.ignore = "link\n**/*.tmp";
        assert!(context.error("link").contains("line 1"));
        assert_eq!(context.paths(&["real"]), ["real/", "real/f"]);
        context.ignore = "real\n!real/f";
        assert_eq!(context.paths(&["link"]), ["link/", "link/f"]);
        assert_eq!(context.paths(&["file"]), ["file"]);
        context.ignore = "real";
        assert!(context.error("link").contains("`real` in line 1"));
        assert!(context.error("file").contains("`real` in line 1"));
    }

    #[test]
    fn semantics_12_hard_links() {
        let mut context = Context::new(&["b/file!", "a/", "c/"]);
        fs::hard_link(context.path("b/file"), context.path("a/zz")).unwrap();
        fs::hard_link(context.path("b/file"), context.path("c/other")).unwrap();
        let items = [("a", None), ("b", None)];
        assert_eq!(
            context.layer(&items).unwrap(),
            ["app/ 755", "app/a/ 755", "app/a/zz 755", "app/b/ 755", "app/b/file 755"]
        );
        context.hardlinks = true;
        context.modes.add("a/zz", 0o750).unwrap();
        assert_eq!(
            context.layer(&items).unwrap(),
            ["app/ 755", "app/a/ 755", "app/a/zz 750", "app/b/ 755", "app/b/file = /app/a/zz"]
        );
        // Alone, it is a file like others.
        assert_eq!(context.layer(&[("c/other", None)]).unwrap(), ["app/ 755", "app/other 755"]);
        // The first in byte order of where they land, once the links of the base are followed.
        context.below.put(
            TreePath::parse("app/a").unwrap(),
            Node { kind: NodeKind::Symlink((*b"/z").into()), mode: 0o777, owner: Owner::ROOT },
        );
        assert_eq!(context.layer(&items).unwrap(), ["app/b/ 755", "app/b/file 755", "z/ 755", "z/zz = /app/b/file"]);
    }

    #[test]
    fn semantics_08_directories_of_the_base_are_left_alone() {
        let mut context = Context::new(&["tree/tmp/x", "tree/lib/y", "tree/etc/passwd/z"]);
        let path = |text: &str| TreePath::parse(text).unwrap();
        let node = |kind, mode| Node { kind, mode, owner: Owner::ROOT };
        context.below.put(path("tmp"), node(NodeKind::Directory, 0o1777));
        context.below.put(path("usr/lib"), node(NodeKind::Directory, 0o755));
        context.below.put(path("lib"), node(NodeKind::Symlink((*b"usr/lib").into()), 0o777));
        context.to = "/";
        context.exclude = vec!["tree/etc"];
        assert_eq!(context.layer(&[("tree/", None)]).unwrap(), ["tmp/x 644", "usr/lib/y 644"]);
        context.exclude = vec![];
        context.below.put(path("etc/passwd"), node(NodeKind::Special, 0o644));
        let error = context.error("tree/");
        assert!(error.contains("/etc/passwd is a device") && error.contains("replace = true"), "{error}");
    }

    #[test]
    fn semantics_10_modes() {
        let mut context = Context::new(&["scripts/a.sh", "scripts/lib/b.sh", "bin/x!", "data/f"]);
        context.modes.add("scripts/*.sh", 0o755).unwrap();
        context.modes.add("data/", 0o700).unwrap();
        assert_eq!(
            context.layer(&[(".", None)]).unwrap(),
            [
                "app/ 755",
                "app/bin/ 755",
                "app/bin/x 755",
                "app/data/ 700",
                "app/data/f 644",
                "app/scripts/ 755",
                "app/scripts/a.sh 755",
                "app/scripts/lib/ 755",
                "app/scripts/lib/b.sh 644"
            ]
        );
        fs::set_permissions(context.path("data"), fs::Permissions::from_mode(0o2750)).unwrap();
        context.modes = Modes::new(FileMode::Preserve, None);
        let items = [("bin/x", None), ("data", None)];
        assert_eq!(context.layer(&items).unwrap(), ["app/ 755", "app/data/ 2750", "app/data/f 600", "app/x 711"]);
        context.modes = Modes::new(FileMode::Fixed(0o440), Some(0o550));
        assert_eq!(context.layer(&items).unwrap(), ["app/ 550", "app/data/ 550", "app/data/f 440", "app/x 440"]);
    }

    #[test]
    fn semantics_16_two_sources_of_one_path() {
        let context = Context::new(&["a/x", "b/x", "c/a/x"]);
        let error = context.layer(&[("a/", None), ("b/", None)]).unwrap_err();
        assert!(error.contains("copy `a/`") && error.contains("copy `b/`"), "{error}");
        assert_eq!(
            context.layer(&[("a/x", None), ("a/", None), ("a/x", Some("app/x"))]).unwrap(),
            ["app/ 755", "app/x 644"]
        );
    }

    #[test]
    fn what_an_image_cannot_have_is_refused_unless_left_out() {
        let mut context = Context::new(&["d/f", "d/.wh.gone", "d/pipe/"]);
        rustix::fs::mknodat(CWD, context.path("d/pipe/p"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(context.path("d/socket")).unwrap();
        // Of several, the first in byte order, whoever finds it.
        assert!(context.error("d").starts_with("`/context/d/.wh.gone` has a name that starts with `.wh.`"));
        context.exclude = vec!["**/.wh.*"];
        assert!(context.error("d").starts_with("`/context/d/socket` is a socket"));
        assert!(context.error("d/socket").starts_with("`/context/d/socket` is a socket"));
        assert!(context.error("d/*/p").starts_with("`/context/d/pipe/p` is a FIFO"));
        context.exclude = vec!["**/.wh.*", "**/socket"];
        assert!(context.error("d").starts_with("`/context/d/pipe/p` is a FIFO"));
        context.ignore = "d/pipe/*";
        assert_eq!(context.paths(&["d"]), ["d/", "d/f", "d/pipe/"]);
    }

    #[test]
    fn names_of_any_bytes_are_kept() {
        use std::os::unix::ffi::OsStrExt;
        let mut context = Context::new(&["d/plain"]);
        let odd = [&b"caf\xe9"[..], b"new\nline", "ünï".as_bytes(), b"\xf0\x9f", b" space", b"*?["];
        for name in odd {
            fs::write(context.path("d").join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
        }
        let selection = context.select(&[("d/", None)]).unwrap();
        let names: BTreeSet<Vec<u8>> =
            selection.entries().filter_map(|it| it.destination.file_name().map(<[u8]>::to_vec)).collect();
        assert!(odd.iter().all(|name| names.contains(*name)));
        for found in selection.entries() {
            if let SelectedKind::File { file, .. } = found.kind {
                let bytes = crate::content::Content::Host(file.clone()).read_all(100).unwrap();
                assert!(found.destination.as_bytes().ends_with(&bytes) || bytes == b"d/plain");
            }
        }
        context.ignore = "d/caf?";
        assert_eq!(context.select(&[("d/", None)]).unwrap().entries().count(), odd.len());
    }

    #[test]
    fn the_result_does_not_depend_on_threads_or_order_of_creation() {
        let mut names: Vec<String> = (0..300).map(|n| format!("{}/{}/f{n}", n % 7, n % 31)).collect();
        let listing = |names: &[String], threads| {
            let entries: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut context = Context::new(&entries);
            context.threads = threads;
            context.layer(&[(".", None), ("3", None)]).unwrap()
        };
        let one = listing(&names, 1);
        names.reverse();
        assert_eq!(one, listing(&names, 8));
    }

    #[test]
    fn deep_trees_are_walked_and_read() {
        let context = Context::new(&["deep/"]);
        let root = HostRoot::open(context.path("")).unwrap();
        let mut path = b"deep".to_vec();
        for _ in 0..35 {
            let above = root.open_at(&path, OFlags::PATH | OFlags::DIRECTORY).unwrap();
            let name = "d".repeat(200);
            rustix::fs::mkdirat(&above, name.as_str(), Mode::from_raw_mode(0o755)).unwrap();
            path = join(&path, name.as_bytes());
        }
        let above = root.open_at(&path, OFlags::PATH | OFlags::DIRECTORY).unwrap();
        let file =
            rustix::fs::openat(&above, "f", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o644)).unwrap();
        rustix::io::write(&file, b"bottom").unwrap();
        // The whole is more than an image can have.
        assert!(context.error("deep").starts_with("copying `"), "{}", context.error("deep"));
        // From half way down it fits, though no single call opens the file.
        let start = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').nth(17).unwrap().0;
        let source = format!("{}/", String::from_utf8_lossy(&path[..start]));
        let selection = context.select(&[(source.leak(), None)]).unwrap();
        let file = selection.entries().find_map(|found| match found.kind {
            SelectedKind::File { file, .. } => Some(file.clone()),
            _ => None,
        });
        assert_eq!(crate::content::Content::Host(file.unwrap()).read_all(10).unwrap(), b"bottom");
        // Left out, it is no trouble.
        let mut context = context;
        context.exclude = vec!["deep/*"];
        assert_eq!(context.paths(&["deep"]), ["deep/"]);
    }
}
