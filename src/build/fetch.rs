//! Layers of downloads, and of tars that are unpacked.

use super::BuildError;
use super::layer_tree::Making;
use crate::code::ErrorCode;
use crate::content::Content;
use crate::lock::FetchPin;
use crate::recipe::{self, At, Span};
use crate::source::archive::{ArchiveRequest, read_archive};
use crate::supply::Wanted;
use crate::tree::{Entry, FileTree, Origin, Owner, TreePath};

impl Making<'_> {
    /// Downloads: each a file, or a tar that is unpacked.
    pub(super) fn fetch(
        &mut self,
        items: &[At<recipe::layer::FetchItem>],
        span: Span,
        tree: &mut FileTree,
    ) -> Result<(), BuildError> {
        let architecture = &self.platform.architecture;
        let platform = self.platform.to_string();
        let mut pins = Vec::new();
        for item in items {
            let url = self.arch(&item.value.url.value, item.value.url.span)?;
            let Some(sha256) = item.value.sha256.of(architecture) else {
                let text = format!("there is no sha256 for {architecture}: add `{architecture} = \"…\"` to `sha256`");
                return Err(self.told(ErrorCode::MissingKey, item.span, text));
            };
            let name = item.value.file_name(&url);
            let size = self.run.pins.fetch_size(&name, &platform, &sha256.value);
            pins.push((
                url,
                FetchPin { name, platform: platform.clone(), size: size.unwrap_or(0), sha256: sha256.value },
            ));
        }
        if self.run.pins.is_locked() {
            for (_, pin) in &pins {
                self.run.pins.fetch(pin.clone()).map_err(|stale| self.stale("the download", stale))?;
            }
        }
        let places: Vec<Box<crate::supply::Places<'_>>> = pins
            .iter()
            .map(|(url, _)| -> Box<crate::supply::Places<'_>> { Box::new(move || Ok(vec![url.clone()])) })
            .collect();
        let wanted: Vec<Wanted<'_>> = pins
            .iter()
            .zip(&places)
            .map(|((_, pin), places)| Wanted {
                name: pin.name.clone(),
                sha256: pin.sha256,
                size: (pin.size > 0).then_some(pin.size),
                places: &**places,
            })
            .collect();
        let files = self
            .builder
            .supply
            .files(&wanted)
            .map_err(|source| self.packages(span, "downloading what `fetch` names", source))?;
        for ((item, content), (_, pin)) in items.iter().zip(&files).zip(pins.iter().cloned()) {
            let pin = FetchPin { size: content.len(), ..pin };
            let name = pin.name.clone();
            self.run.pins.fetch(pin).map_err(|stale| self.stale("the download", stale))?;
            self.fetched(item, &name, content, span, tree)?;
        }
        Ok(())
    }

    fn fetched(
        &mut self,
        item: &At<recipe::layer::FetchItem>,
        name: &str,
        content: &Content,
        span: Span,
        tree: &mut FileTree,
    ) -> Result<(), BuildError> {
        let owner = self.owner(self.layer.rules.owner.as_ref())?;
        let to = match &item.value.to {
            Some(to) => self.arch(&to.value, to.span)?,
            None => self.to(span)?,
        };
        if let Some(strip) = item.value.unpack {
            return self.unpack(std::path::Path::new(name), Some(content), strip, &to, item.span, tree);
        }
        let path = TreePath::parse(name).and_then(|name| to.join(&name)).map_err(|error| self.at(item.span, error))?;
        let mode = match (&item.value.mode, &self.layer.rules.mode) {
            (Some(mode), _) => mode.value.bits(),
            (None, Some(At { value: recipe::FileMode::Octal(mode), .. })) => mode.bits(),
            (None, _) => 0o644,
        };
        let owner = owner.unwrap_or(Owner::ROOT);
        let entry = Entry::file(content.clone(), mode, owner, Origin::new(format!("fetch {name}")));
        let mut placer = self.placer(tree, owner, "fetch");
        placer.put(&path, entry).map(|_| ()).map_err(|error| self.at(item.span, error))
    }

    /// A tar, unpacked below a directory.
    pub(super) fn unpack(
        &mut self,
        path: &std::path::Path,
        content: Option<&Content>,
        strip: u8,
        to: &TreePath,
        span: Span,
        tree: &mut FileTree,
    ) -> Result<(), BuildError> {
        let owner = self.owner(self.layer.rules.owner.as_ref())?;
        let exclude = self.patterns(&self.layer.rules.exclude)?;
        let include = self.patterns(&self.layer.include)?;
        let excludes = |path: &TreePath| {
            exclude.matches(path.as_bytes()) || !include.is_empty() && !include.matches(path.as_bytes())
        };
        let modes = self.own_modes()?;
        let tmp = self.builder.store.tmp();
        let request =
            ArchiveRequest { path, content, owner, excludes: &excludes, tmp: &tmp, limits: self.builder.recipe.limits };
        let members =
            read_archive(&request, &self.builder.reporter).map_err(|error| self.archive_error(span, error))?;
        self.newest = self.newest.max(members.newest);
        let mut placer = self.placer(tree, owner.unwrap_or(Owner::ROOT), "archive");
        super::layer_tree::place_members(&members.entries, strip, to, &modes, &mut placer)
            .map_err(|error| self.told(error.code(), span, error.to_string()))
    }
}
