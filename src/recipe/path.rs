//! Paths in a recipe: inside images, below the context, outside both.

use std::fmt;
use std::path::{Path, PathBuf};

use super::problems::{Fault, shown};
use super::template::{Filled, Template, escaped};
use crate::tree::{PathError, TreePath};

/// A value that may differ from one architecture to another: its text holds `{arch}` (semantics 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerArch<T>(Inner<T>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inner<T> {
    Same(T),
    Varies(Filled),
}

/// A value that is read from a string of a recipe.
pub trait FromText: Sized + Clone {
    /// Reads it.
    ///
    /// # Errors
    /// Where the text is none.
    fn from_text(text: &str) -> Result<Self, Fault>;
}

/// A text that makes no sense for one architecture, although it did for others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("with `{{arch}}` filled in: {0}")]
pub struct ArchError(String);

/// Stands in for every architecture when a text is checked, and is as long as the longest.
const SAMPLE: &str = "mips64p32le";

impl<T: FromText> PerArch<T> {
    pub(super) fn new(filled: Filled) -> Result<Self, Fault> {
        match filled.constant() {
            Some(text) => T::from_text(text).map(|value| PerArch(Inner::Same(value))),
            None => {
                T::from_text(&filled.with_arch(SAMPLE)).map_err(|fault| Fault { range: None, ..fault })?;
                Ok(PerArch(Inner::Varies(filled)))
            }
        }
    }

    /// A path as it is written, where only `{arch}` is filled in.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        Self::new(Template::parse_path(text)?)
    }

    /// The value for an architecture (Go's name: `amd64`).
    ///
    /// # Errors
    /// Where it makes no sense with that name; not for architectures that there are.
    pub fn resolve(&self, arch: &str) -> Result<T, ArchError> {
        match &self.0 {
            Inner::Same(value) => Ok(value.clone()),
            Inner::Varies(filled) => T::from_text(&filled.with_arch(arch)).map_err(|fault| ArchError(fault.message)),
        }
    }
}

impl<T: fmt::Display> PerArch<T> {
    /// The value as a recipe writes it.
    pub(super) fn text(&self) -> String {
        match &self.0 {
            Inner::Same(value) => escaped(&value.to_string()),
            Inner::Varies(filled) => filled.text(),
        }
    }
}

impl<T> PerArch<T> {
    /// A value that is the same for all.
    pub fn same(value: T) -> Self {
        PerArch(Inner::Same(value))
    }

    /// The value, where it is the same for all.
    pub fn constant(&self) -> Option<&T> {
        match &self.0 {
            Inner::Same(value) => Some(value),
            Inner::Varies(_) => None,
        }
    }
}

impl FromText for String {
    fn from_text(text: &str) -> Result<Self, Fault> {
        Ok(text.to_owned())
    }
}

fn fault_of(text: &str, error: &PathError) -> Fault {
    match error {
        PathError::Climbs(_) => {
            Fault::new(format!("path {} climbs with `..`", shown(text)), "expected a path without `..`")
        }
        error => Fault::new(error.to_string(), "expected another path"),
    }
}

fn tree_path(text: &str) -> Result<TreePath, Fault> {
    let path = TreePath::parse(text).map_err(|error| fault_of(text, &error))?;
    path.refuse_whiteout().map_err(|error| fault_of(text, &error))?;
    Ok(path)
}

/// From the image's root: the text starts with a slash.
impl FromText for TreePath {
    fn from_text(text: &str) -> Result<Self, Fault> {
        if !text.starts_with('/') {
            return Err(Fault::new(
                format!("path {} is relative", shown(text)),
                "expected a path from the image's root",
            )
            .help(format!("write `\"/{}\"`", text.trim_start_matches("./"))));
        }
        tree_path(text)
    }
}

/// Where something lands: a path from the image's root, or below the layer's `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// From the root: it is written with a slash at the front.
    Root(TreePath),
    /// Below `to`, or the workdir where the layer has none.
    Below(TreePath),
}

impl Target {
    /// The path from the image's root.
    ///
    /// # Errors
    /// Where the whole is too long.
    pub fn under(&self, to: &TreePath) -> Result<TreePath, PathError> {
        match self {
            Target::Root(path) => Ok(path.clone()),
            Target::Below(path) => to.join(path),
        }
    }
}

impl FromText for Target {
    fn from_text(text: &str) -> Result<Self, Fault> {
        let path = tree_path(text)?;
        if path.is_root() {
            return Err(Fault::new(
                format!("path {} names no entry", shown(text)),
                "expected the path of a file or directory",
            ));
        }
        Ok(if text.starts_with('/') { Target::Root(path) } else { Target::Below(path) })
    }
}

/// A file outside the image: relative to the context, which it may leave, or absolute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePath(String);

impl FilePath {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it is, from the context's directory on.
    pub fn in_context(&self, context: &Path) -> PathBuf {
        context.join(&self.0)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromText for FilePath {
    fn from_text(text: &str) -> Result<Self, Fault> {
        if text.contains("://") {
            return Err(Fault::new(format!("{} is no file", shown(text)), "expected a path")
                .help("a download is a `fetch` layer"));
        }
        if text.ends_with('/') || text == "." || text == ".." {
            return Err(Fault::new(format!("{} is a directory", shown(text)), "expected the path of a file"));
        }
        Ok(FilePath(text.to_owned()))
    }
}

/// What `copy` takes: a file, a directory, what is in a directory, or what fits a pattern. Inside the context, or inside
/// another image, from whose root it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    path: String,
    pattern: bool,
    contents: bool,
}

impl Selection {
    /// The path or pattern: no slash at either end, no `.` and `..`; empty for the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is a pattern of Docker's kind (`*`, `?`, `[…]`, `\`), and not one path.
    pub fn is_pattern(&self) -> bool {
        self.pattern
    }

    /// Whether what is in the directory is meant, and not the directory: it is written with a slash at the end, or `.`.
    pub fn is_contents(&self) -> bool {
        self.contents
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let mut parts = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    return Err(Fault::new(
                        format!("path {} leaves the context", shown(text)),
                        "expected a path without `..`",
                    )
                    .help("`[project] context` says what may be copied from; a wider one is `context = \"..\"`"));
                }
                part => parts.push(part),
            }
        }
        pattern_syntax(text)?;
        Ok(Selection {
            path: parts.join("/"),
            pattern: is_pattern(text),
            contents: text.ends_with('/') || text == "." || text.ends_with("/.") || parts.is_empty(),
        })
    }
}

/// Below the context.
impl FromText for Selection {
    fn from_text(text: &str) -> Result<Self, Fault> {
        if text.starts_with('/') {
            let inside = text.trim_start_matches('/');
            let fault = Fault::new(format!("path {} is absolute", shown(text)), "expected a path below the context");
            return Err(match inside {
                "" => fault.help("the whole context is `\".\"`"),
                inside => fault.help(format!("paths are relative to the context: `\"{inside}\"`")),
            });
        }
        Selection::parse(text)
    }
}

/// The same inside another image, from its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSelection(pub Selection);

impl FromText for ImageSelection {
    fn from_text(text: &str) -> Result<Self, Fault> {
        if !text.starts_with('/') {
            return Err(Fault::new(
                format!("path {} is relative", shown(text)),
                "expected a path from the other image's root",
            )
            .help(format!("write `\"/{}\"`", text.trim_start_matches("./"))));
        }
        Selection::parse(text).map(ImageSelection)
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// Docker's patterns are those of Go's `path.Match`, with `**`: what it would refuse is refused here, with a place.
pub(super) fn pattern_syntax(text: &str) -> Result<(), Fault> {
    let mut letters = text.char_indices();
    while let Some((at, c)) = letters.next() {
        match c {
            '\\' if letters.next().is_none() => {
                return Err(Fault::new(
                    format!("pattern {} ends with a backslash", shown(text)),
                    "expected a character after it",
                )
                .within(at..text.len()));
            }
            '[' => {
                let unclosed = || {
                    Fault::new(
                        format!("pattern {} has a `[` without its `]`", shown(text)),
                        "expected `[abc]`, `[a-z]` or `[^a]`",
                    )
                    .help("a bracket that stands for itself has a backslash in front: `'\\['`")
                    .within(at..text.len())
                };
                let mut count = 0;
                let mut first = true;
                loop {
                    let (_, c) = letters.next().ok_or_else(unclosed)?;
                    match c {
                        '^' if first => {}
                        ']' if count > 0 => break,
                        '\\' => {
                            letters.next().ok_or_else(unclosed)?;
                            count += 1;
                        }
                        ']' | '/' => return Err(unclosed()),
                        _ => count += 1,
                    }
                    first = false;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_of_images_start_at_the_root() {
        let path = |text: &str| PerArch::<TreePath>::parse(text).map(|path| path.resolve("arm64").unwrap().to_string());
        assert_eq!(path("/usr//lib/./x/").as_deref(), Ok("/usr/lib/x"));
        assert_eq!(path("/usr/lib/{arch}").as_deref(), Ok("/usr/lib/arm64"));
        assert_eq!(path("/{{arch}").as_deref(), Ok("/{arch}"));
        for bad in ["", "app", "./app", "/..", "/a/../b", "/a/.wh.b", "/{image}", "/{git.short}"] {
            assert!(path(bad).is_err(), "{bad}");
        }
        let long = format!("/{}", "x".repeat(249));
        assert!(path(&format!("{long}{{arch}}")).is_err(), "checked for the longest name");
        assert!(path(&long).is_ok());
    }

    #[test]
    fn targets_land_at_the_root_or_below_to() {
        let to = TreePath::parse("app").unwrap();
        let target = |text: &str| Target::from_text(text).map(|target| target.under(&to).unwrap().to_string());
        assert_eq!(target("/etc/motd").as_deref(), Ok("/etc/motd"));
        assert_eq!(target("conf/x").as_deref(), Ok("/app/conf/x"));
        for bad in ["/", ".", "../x", ""] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn selections_say_what_they_take() {
        for (text, path, pattern, contents) in [
            ("src", "src", false, false),
            ("./src//a/", "src/a", false, true),
            (".", "", false, true),
            ("./", "", false, true),
            ("*.py", "*.py", true, false),
            ("a/**/b", "a/**/b", true, false),
            ("a[!b]c", "a[!b]c", true, false),
            ("pages/\\[id\\].js", "pages/\\[id\\].js", true, false),
        ] {
            let selection = Selection::from_text(text).unwrap();
            assert_eq!((selection.path(), selection.is_pattern(), selection.is_contents()), (path, pattern, contents));
        }
        for bad in ["/src", "../x", "a/../../b", "a[", "a[]", "a[^", "a\\", "a[b/c]"] {
            assert!(Selection::from_text(bad).is_err(), "{bad}");
        }
        assert_eq!(ImageSelection::from_text("/usr/bin/").unwrap().0.path(), "usr/bin");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(\\PC|[{}a./\\[\\]^\\\\*]){0,20}") {
            let _ = (PerArch::<TreePath>::parse(&text), PerArch::<Target>::parse(&text), PerArch::<Selection>::parse(&text));
            let _ = (PerArch::<ImageSelection>::parse(&text), PerArch::<FilePath>::parse(&text));
        }
    }
}
