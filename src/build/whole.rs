//! What is done and looked at once all layers of an image are there.

use std::collections::BTreeSet;

use super::image::Growing;
use super::layer_tree::LayerTree;
use super::plan::{Packages, Planned};
use super::{BuildError, Builder, Fate, LayerForecast, Purpose};
use crate::base::{LayerReader, LayerStack};
use crate::code::{Cause, ErrorCode};
use crate::debian::checks::{Missing, package_of, packages_of_interpreter};
use crate::debian::staging::Below;
use crate::layer::{self, Chain, LayerKey, Reuse};
use crate::oci::Platform;
use crate::recipe::{self, Base, Diagnostic};
use crate::shown::Shown;
use crate::source;
use crate::tree::{Missed, TreePath};

impl Builder<'_> {
    /// Whether an image, or one of this recipe that it stands on, has layers of packages.
    fn has_packages(&self, image: &recipe::Image) -> bool {
        let mut image = Some(image);
        while let Some(here) = image {
            if here.layers.iter().any(|layer| layer.has_debian() || layer.has_python()) {
                return true;
            }
            image = match &here.from.value {
                Base::Image(name) => self.recipe.images.iter().find(|image| image.name == *name),
                Base::Scratch | Base::Place(_) => None,
            };
        }
        false
    }
}

impl Growing<'_> {
    /// Stands for what was found out of the first layers that the image has now; nothing is known of them where it is not
    /// known what they are.
    fn proof(&self, chain: Option<Chain>, of: &str) -> Option<LayerKey> {
        Some(LayerKey::of_plan(self.form, chain?, [of, &self.platform.to_string()]))
    }

    fn is_proven(&self, proof: Option<LayerKey>) -> bool {
        // What is learned does not depend on what a cache has.
        let believes = self.run.reuse == Reuse::Allowed && !self.builder.verify && !self.open.stack.is_watched();
        believes && proof.is_some_and(|proof| layer::is_proven(self.builder.store, proof))
    }

    /// All layers that are there now were looked over.
    fn looked_over(&mut self) {
        self.open.looked_over = Some(self.open.stack.layers().len());
        self.open.deletes = false;
    }

    /// What packages need over the final tree of an image: `ld.so.cache`, where layers on top brought libraries.
    pub(super) fn last_layer(&mut self) -> Result<(), BuildError> {
        if !self.open.libraries || !self.builder.has_packages(self.image) {
            return Ok(());
        }
        let title = "ld.so.cache".to_owned();
        let images = self.run.purpose == Purpose::Images;
        // That there is nothing to write is remembered as what comes to something is.
        let proof = self.proof(self.open.chain, "libraries");
        let path = TreePath::parse("etc/ld.so.cache").map_err(|error| self.builder.at(self.image.span, error))?;
        let planned = proof.map(|key| Planned { key, packages: Packages::Last(vec![path]) });
        if images && self.is_proven(proof) {
            self.open.libraries = false;
            return Ok(());
        }
        let finds = images && !self.builder.verify && !self.open.stack.is_watched();
        if let Some(planned) = planned.as_ref().filter(|_| finds)
            && let Some(found) = self.find(planned.key)
        {
            self.push_found(found, planned, &title, &title)?;
            self.open.libraries = false;
            return Ok(());
        }
        let failed = |source: Cause| self.builder.caused(self.image.span, "writing ld.so.cache".to_owned(), source);
        let store = self.builder.store;
        let view = self.open.stack.at_hand(self.open.foreign, store).map_err(|error| failed(error.into()))?;
        let reader = LayerReader::new(&view, store);
        let read = |layer, offset, length| reader.read(layer, offset, length);
        let tree = source::debian::ld_so_cache(&Below { rootfs: view.rootfs(), read: &read }, self.platform);
        match tree.map_err(|error| failed(error.into()))? {
            Some(tree) => {
                let tree = LayerTree {
                    title: title.clone(),
                    created_by: title,
                    span: self.image.span,
                    split: 1,
                    tree,
                    newest: None,
                };
                self.push_tree(tree, planned)?;
                self.open.libraries = false;
                Ok(())
            }
            None => {
                self.open.libraries = false;
                self.run.notes.borrow_mut().proofs.extend(proof.filter(|_| images));
                Ok(())
            }
        }
    }

    /// What would become of that layer, over layers that are all at hand.
    pub(super) fn foretell_last(&mut self) -> Result<Vec<LayerForecast>, BuildError> {
        let proof = self.proof(self.open.chain, "libraries");
        if !self.open.libraries || !self.builder.has_packages(self.image) || self.is_proven(proof) {
            self.open.libraries = false;
            return Ok(Vec::new());
        }
        let title = "ld.so.cache".to_owned();
        let path = TreePath::parse("etc/ld.so.cache").map_err(|error| self.builder.at(self.image.span, error))?;
        let planned = proof.map(|key| Planned { key, packages: Packages::Last(vec![path]) });
        if let Some(planned) = &planned
            && let Some(found) = self.find(planned.key)
        {
            let told = found.iter().map(|found| self.reused(title.clone(), found)).collect();
            self.push_found(found, planned, &title, &title)?;
            self.open.libraries = false;
            return Ok(told);
        }
        let why = "it is made of the libraries of the whole image".to_owned();
        Ok(vec![LayerForecast { title, fate: Fate::Open { why } }])
    }

    /// Semantics 36: the libraries that programs need are there, and the interpreters that scripts name. Layers that were
    /// looked over before are not looked at again, as long as nothing of them is gone; nor are those that are not looked
    /// into. While locking, this is done to know what it asks.
    pub(super) fn check(&mut self) -> Result<(), BuildError> {
        let Growing { builder, image, platform, run, .. } = *self;
        if !builder.has_packages(image) || !run.wanted.contains(&image.name) {
            return Ok(());
        }
        let failed = |source: Cause| builder.caused(image.span, "looking over the whole image".to_owned(), source);
        let proof = self.proof(self.open.chain, "looked over");
        if run.purpose == Purpose::Images && self.is_proven(proof) {
            self.looked_over();
            return Ok(());
        }
        let stack = &self.open.stack;
        if stack.is_unread() && self.open.deletes {
            // What is left may need what is gone.
            stack.misses().add(Missed::Whole("layers above delete something of it"));
        }
        let proven = self.open.looked_over.filter(|_| !self.open.deletes).unwrap_or(0);
        let look = |view: LayerStack| {
            let view =
                view.at_hand(proven.max(self.open.foreign), builder.store).map_err(|error| failed(error.into()))?;
            let reader = LayerReader::new(&view, builder.store);
            let read = |layer, offset, length| reader.read(layer, offset, length);
            Ok(source::debian::check(&Below { rootfs: view.rootfs(), read: &read }, platform))
        };
        // Where the layers above one that is watched will have to be made, it is asked for all of them.
        let mut watched = stack.is_watched().then(|| stack.clone());
        while let Some(view) = watched {
            let _ = look(view.clone())?;
            watched = view.less_watched();
        }
        if run.purpose == Purpose::Lock {
            // Wheels are not there, and what pipelines make may not be: nothing is to be said of it.
            return Ok(());
        }
        let missing = look(stack.watched_base())?.map_err(|error| failed(error.into()))?;
        let (fatal, notes): (Vec<_>, Vec<_>) = missing.iter().partition(|missing| missing.is_fatal());
        for note in notes {
            builder.reporter.note(format!("{}: {note}", image.name));
        }
        match fatal.is_empty() {
            true => {
                // What was said is said again by the next build.
                run.notes.borrow_mut().proofs.extend(proof.filter(|_| missing.is_empty()));
                self.looked_over();
                Ok(())
            }
            false => {
                let text = would_not_run(image, platform, &fatal);
                let sources = builder.recipe.sources();
                let mut diagnostic = Diagnostic::error(ErrorCode::WouldNotRun, sources, image.span, text);
                let packages = packages_of(&fatal);
                let ends_in_return = |missing: &&&Missing| matches!(missing, Missing::Interpreter { interpreter, .. } if interpreter.bare().ends_with("\\r"));
                if let Some(Missing::Interpreter { file, .. }) = fatal.iter().find(ends_in_return) {
                    let name = file.file_name().map(Shown::new).unwrap_or_else(|| Shown::new(b"it"));
                    diagnostic = diagnostic.help(format!(
                        "lines of {name} end as those of Windows do: write them anew with LF alone (in git: `*.sh text eol=lf` in .gitattributes)"
                    ));
                } else if !packages.is_empty() {
                    let packages: Vec<String> = packages.into_iter().collect();
                    diagnostic = diagnostic.help(format!("of Debian's packages, add {}", packages.join(", ")));
                }
                Err(BuildError::Recipe(Box::new(diagnostic)))
            }
        }
    }
}

/// What is missing in an image.
fn would_not_run(image: &recipe::Image, platform: &Platform, fatal: &[&Missing]) -> String {
    let mut lines: Vec<String> = fatal.iter().take(5).map(|missing| missing.to_string()).collect();
    if fatal.len() > lines.len() {
        lines.push(format!("and {} more", fatal.len() - lines.len()));
    }
    format!("{} for {platform} would not run: {}", image.name, lines.join("; "))
}

/// Which of Debian's packages have what is missing, by its rule for names of libraries.
fn packages_of(fatal: &[&Missing]) -> BTreeSet<String> {
    let package = |missing: &&Missing| match missing {
        Missing::Library { library, .. } if library.bare().starts_with("ld-linux") => Some("libc6".to_owned()),
        Missing::Library { library, .. } => package_of(library.bare(), &|_| true),
        Missing::Interpreter { interpreter, .. } => packages_of_interpreter(interpreter.bare()),
        Missing::Machine { .. } => None,
    };
    fatal.iter().filter_map(package).collect()
}
