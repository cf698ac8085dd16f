//! Layers and what brings files into them.

use std::collections::BTreeMap;

use url::Url;

use super::packages::PackageDefaults;
use super::platform::architecture;
use super::{Fields, Reader, items, small};
use crate::code::ErrorCode;
use crate::recipe::document::Node;
use crate::recipe::layer::{
    ArchiveItem, CapsItem, CopyItem, DirItem, FetchDigest, FetchItem, FileItem, Layer, Source, SymlinkItem,
};
use crate::recipe::path::{FromText, ImageSelection, PerArch, Selection, Target};
use crate::recipe::problems::{Fault, shown};
use crate::recipe::section::{ImageItemDraft, ImageSourceDraft, LayerDraft};
use crate::recipe::template::Template;
use crate::recipe::value::{self, FileCapabilities, Mode, OwnerSpec};
use crate::recipe::{At, Span, vocabulary};
use crate::tree::TreePath;

impl Reader<'_> {
    pub(super) fn layer(&mut self, fields: &Fields<'_>, span: Span, packages: &PackageDefaults) -> Option<LayerDraft> {
        let rules = self.rules(fields);
        let to = self.read(fields.text("to"), PerArch::parse);
        let include = self.patterns(fields.get("include"));
        let mut sources: Vec<At<Source>> = Vec::new();
        let place = |key: &str| fields.key_span(key).unwrap_or(span);
        if let Some(node) = fields.get("copy") {
            let copy = self.copy_items::<Selection>(node, &vocabulary::COPY_ITEM);
            sources.push(At::new(Source::Copy(copy), place("copy")));
        }
        if fields.get("files").is_some() {
            sources.push(At::new(Source::Files(self.files(fields)), place("files")));
        }
        if let Some(node) = fields.get("dirs") {
            sources.push(At::new(Source::Dirs(self.dirs(node)), place("dirs")));
        }
        if fields.get("symlinks").is_some() {
            let mut links = Vec::new();
            for (path, node) in fields.each("symlinks") {
                let path = self.read(Some(path.clone()), PerArch::parse);
                let target = self.read(node.text(), |text| match text.len() {
                    0..=4095 => PerArch::parse(text),
                    _ => Err(Fault::new("the target of a symlink is too long", "expected at most 4095 bytes")),
                });
                if let (Some(path), Some(target)) = (path, target) {
                    links.push(SymlinkItem { path, target });
                }
            }
            sources.push(At::new(Source::Symlinks(links), place("symlinks")));
        }
        if let Some(node) = fields.get("archive") {
            let archives = items(Some(node)).iter().filter_map(|node| self.archive(node)).collect();
            sources.push(At::new(Source::Archive(archives), place("archive")));
        }
        let image = fields.get("image").map(|node| ImageSourceDraft {
            span: place("image"),
            items: items(Some(node)).iter().filter_map(|node| self.image(node)).collect(),
        });
        if let Some(node) = fields.get("fetch") {
            let fetches = items(Some(node)).iter().filter_map(|node| self.fetch(node)).collect();
            sources.push(At::new(Source::Fetch(fetches), place("fetch")));
        }
        if let Some(node) = fields.get("ca") {
            sources.push(At::new(Source::Ca(self.read_all(Some(node), PerArch::parse)), place("ca")));
        }
        if fields.get("caps").is_some() {
            let mut caps = Vec::new();
            for (path, node) in fields.each("caps") {
                let path = self.read(Some(path.clone()), PerArch::parse);
                let capabilities = self.read(node.text(), FileCapabilities::parse);
                if let (Some(path), Some(capabilities)) = (path, capabilities) {
                    caps.push(CapsItem { path, capabilities });
                }
            }
            sources.push(At::new(Source::Caps(caps), place("caps")));
        }
        if let Some(node) = fields.get("remove") {
            let paths = self.read_all(Some(node), |text| match text.trim_matches('/') {
                "" => Err(Fault::new("the root cannot be removed", "expected a path below it")),
                _ if text.contains(['*', '?']) => Err(Fault::new(
                    format!("{} is a pattern", shown(text)),
                    "expected a path: the base is not searched",
                )),
                _ => PerArch::parse(text),
            });
            sources.push(At::new(Source::Remove(paths), place("remove")));
        }
        if let Some(node) = fields.get("debian") {
            let debian = self.debian_source(node, packages);
            sources.push(At::new(Source::Debian(debian), place("debian")));
        }
        if let Some(python) = fields.table("python", &vocabulary::PYTHON_SOURCE) {
            let python = self.python_source(&python, place("python"), packages);
            sources.extend(python.map(|python| At::new(Source::Python(python), place("python"))));
        }
        sources.sort_by_key(|source| source.span);
        if sources.is_empty() && image.is_none() && !self.problems.any_error() {
            let keys: Vec<String> = vocabulary::SOURCES.iter().map(|key| format!("`{}`", key.name)).collect();
            let diagnostic = self
                .problems
                .error(span, "there is nothing in this layer")
                .coded(ErrorCode::MissingKey)
                .label("expected a source of files")
                .help(format!("the sources are {}", keys.join(", ")));
            self.problems.push(diagnostic);
        }
        let split = fields.get("split").and_then(Node::integer).and_then(|count| u8::try_from(count).ok());
        let layer = Layer {
            span,
            name: fields.text("name"),
            to,
            rules,
            include,
            replace: fields.flag("replace").unwrap_or(false),
            hardlinks: fields.flag("hardlinks").unwrap_or(false),
            split: split.unwrap_or(1),
            sources,
        };
        Some(LayerDraft { layer, image })
    }

    fn copy_items<S: FromText>(&mut self, node: &Node, words: &'static vocabulary::Table) -> Vec<At<CopyItem<S>>> {
        let mut copied = Vec::new();
        for node in items(Some(node)) {
            let Some(table) = node.table() else {
                let what = self.read(node.text(), PerArch::parse);
                copied.extend(what.map(|what| what.map(|what| CopyItem { what, dest: None })));
                continue;
            };
            let fields = Fields::new(table, words);
            let what = self.read(fields.text("src"), PerArch::parse);
            let dest = self.read(fields.text("dest"), PerArch::parse);
            if let (Some(what), Some(dest)) = (what, dest) {
                copied.push(At::new(CopyItem { what: what.value, dest: Some(dest) }, what.span));
            }
        }
        copied
    }

    fn files(&mut self, fields: &Fields<'_>) -> Vec<FileItem> {
        let mut files = Vec::new();
        for (path, node) in fields.each("files") {
            let Some(path) = self.read(Some(path.clone()), PerArch::<Target>::parse) else { continue };
            match node.table() {
                None => {
                    files.extend(node.text().map(|text| FileItem { path, text: text.value, mode: None, owner: None }))
                }
                Some(table) => {
                    let fields = Fields::new(table, &vocabulary::FILE);
                    let mode = self.read(fields.text("mode"), Mode::parse);
                    let owner = self.read(fields.text("owner"), OwnerSpec::parse);
                    files.extend(fields.text("text").map(|text| FileItem { path, text: text.value, mode, owner }));
                }
            }
        }
        files
    }

    fn dirs(&mut self, node: &Node) -> Vec<DirItem> {
        let mut dirs = Vec::new();
        match node.table() {
            Some(table) => {
                for (path, node) in table.iter() {
                    let Some(path) = self.read(Some(path.clone()), PerArch::parse) else { continue };
                    let Some(table) = node.table() else { continue };
                    let fields = Fields::new(table, &vocabulary::DIR);
                    let mode = self.read(fields.text("mode"), Mode::parse);
                    let owner = self.read(fields.text("owner"), OwnerSpec::parse);
                    dirs.push(DirItem { path, mode, owner });
                }
            }
            None => {
                let paths = self.read_all(Some(node), PerArch::parse);
                dirs.extend(paths.into_iter().map(|path| DirItem { path, mode: None, owner: None }));
            }
        }
        dirs
    }

    fn archive(&mut self, node: &Node) -> Option<At<ArchiveItem>> {
        let Some(table) = node.table() else {
            let path = self.read(node.text(), PerArch::parse)?;
            return Some(path.map(|path| ArchiveItem { path, strip: 0 }));
        };
        let fields = Fields::new(table, &vocabulary::ARCHIVE);
        let strip = small(fields.get("strip"));
        let path = self.read(fields.text("path"), PerArch::parse)?;
        Some(path.map(|path| ArchiveItem { path, strip: strip.unwrap_or(0) }))
    }

    fn image(&mut self, node: &Node) -> Option<ImageItemDraft> {
        let fields = Fields::new(node.table()?, &vocabulary::IMAGE_SOURCE);
        let from = self.read(fields.text("image"), Template::parse);
        let copy =
            fields.get("copy").map(|node| self.copy_items::<ImageSelection>(node, &vocabulary::IMAGE_COPY_ITEM))?;
        Some(ImageItemDraft { from: from?, copy })
    }

    fn fetch(&mut self, node: &Node) -> Option<At<FetchItem>> {
        let fields = Fields::new(node.table()?, &vocabulary::FETCH);
        let url: Option<At<PerArch<Url>>> = self.read(fields.text("url"), PerArch::parse);
        let to = self.read(fields.text("to"), PerArch::parse);
        let name = self.checked(fields.text("name"), |text| match TreePath::parse(text) {
            Ok(path) if path.components().count() == 1 && !text.contains('/') => Ok(()),
            _ => Err(Fault::new(format!("{} is no file name", shown(text)), "expected one without slashes")),
        });
        let mode = self.read(fields.text("mode"), Mode::parse);
        let strip = fields.get("strip").and_then(|node| small(Some(node)).map(|strip| At::new(strip, node.span)));
        let unpack = fields.flag("unpack").unwrap_or(false);
        for (key, span) in [
            ("strip", strip.as_ref().filter(|_| !unpack).map(|at| at.span)),
            ("name", name.as_ref().filter(|_| unpack).map(|at| at.span)),
            ("mode", mode.as_ref().filter(|_| unpack).map(|at| at.span)),
        ] {
            if let Some(span) = span {
                let message = match unpack {
                    true => format!("`{key}` is of a single file, and this one is unpacked"),
                    false => format!("`{key}` is of an archive that is unpacked, and this one is not"),
                };
                let diagnostic = self.problems.error(span, message).label("expected without it");
                let help = (!unpack).then_some("unpack it with `unpack = true`");
                self.problems.push(diagnostic.maybe_help(help));
            }
        }
        let digest = match fields.get("sha256") {
            Some(node) if node.table().is_some() => {
                let mut digests = BTreeMap::new();
                for (arch, node) in fields.each("sha256") {
                    let arch = self.checked(Some(arch.clone()), architecture);
                    let digest = self.read(node.text(), value::sha256);
                    if let (Some(arch), Some(digest)) = (arch, digest) {
                        digests.insert(arch.value, digest);
                    }
                }
                Some(FetchDigest::PerArch(digests))
            }
            node => self.read(node.and_then(Node::text), value::sha256).map(FetchDigest::Same),
        };
        let url = url?;
        let item = FetchItem {
            url,
            sha256: digest?,
            to,
            name,
            unpack: unpack.then(|| strip.map_or(0, |strip| strip.value)),
            mode,
        };
        let example = item.url.value.resolve("amd64").ok();
        if !unpack && example.is_some_and(|url| item.file_name(&url).is_empty()) {
            let diagnostic =
                self.problems.error(item.url.span, "the URL names no file").label("expected a file name at its end");
            self.problems.push(diagnostic.help("say what it is called: `name = \"…\"`"));
        }
        Some(At::new(item, node.span))
    }
}
