//! What images stand on, opened: config, layers, and the merged view of them.

use std::sync::Arc;

use crate::base::{BaseError, Knowledge, LayerReader, LayerStack, StackLayer};
use crate::image::ImageBase;
use crate::layer::Chain;
use crate::limits::Limits;
use crate::oci::{Descriptor, Digest, Platform, Reference, annotation};
use crate::place::{BlobSource, ImageSource, Pick, SourceError, select_image};
use crate::python::interpreter::Image;
use crate::python::{Interpreter, InterpreterError};
use crate::report::Reporter;
use crate::store::BlobStore;
use crate::tree::{Located, NodeKind, TreePath};

/// An opened base.
#[derive(Clone)]
pub struct OpenBase {
    /// Config, layers and name.
    pub image: ImageBase,
    /// The merged view.
    pub stack: LayerStack,
    /// The digests of its manifest and its config, where it comes from outside.
    pub documents: Option<(Digest, Digest)>,
    /// How many of its layers are not of this recipe.
    pub foreign: usize,
    /// What its layers are; `None` where that is not known, since not all of them were made.
    pub chain: Option<Chain>,
    /// How many of its layers were looked over whole, with those above them.
    pub looked_over: Option<usize>,
    /// Whether libraries came or went since the loader's cache was written.
    pub libraries: bool,
    /// Whether anything was deleted since layers were looked over.
    pub deletes: bool,
    /// Whether a layer of wheels is among those of this recipe: what stands on it is in no lock, which lays out no wheels.
    pub wheels: bool,
    /// Its Python, where the lock knows it; it holds until a layer on top may have brought another one.
    pub python: KnownPython,
}

/// The Python of an image's layers, as far as it is known without looking for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownPython {
    /// It has to be looked for.
    Unknown,
    /// There is none.
    None,
    /// This one.
    Found(Interpreter),
}

impl KnownPython {
    /// What a search gave; what cannot be told is an error for the layer that needs it.
    pub(super) fn of(found: Result<Option<Interpreter>, InterpreterError>) -> Self {
        match found {
            Ok(Some(interpreter)) => KnownPython::Found(interpreter),
            Ok(None) => KnownPython::None,
            Err(_) => KnownPython::Unknown,
        }
    }

    /// As a lock has it: a line, `none`, or nothing.
    pub(super) fn line(&self) -> String {
        match self {
            KnownPython::Unknown => String::new(),
            KnownPython::None => "none".to_owned(),
            KnownPython::Found(interpreter) => interpreter.line().unwrap_or_default(),
        }
    }

    /// Reads what [`KnownPython::line`] wrote.
    pub(super) fn of_line(line: &str) -> Self {
        match line {
            "none" => KnownPython::None,
            line => Interpreter::of_line(line).map_or(KnownPython::Unknown, KnownPython::Found),
        }
    }
}

/// Why a base cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The image cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A layer cannot be read.
    #[error(transparent)]
    Layer(#[from] BaseError),
    /// Manifest and config do not fit.
    #[error("the image has {layers} layers, and its config tells of {diff_ids}")]
    Layers {
        /// Of the manifest.
        layers: usize,
        /// Of the config.
        diff_ids: usize,
    },
}

impl OpenBase {
    /// No base at all.
    pub fn scratch(platform: &Platform) -> Self {
        Self::over(ImageBase::scratch(platform), LayerStack::new(), None)
    }

    /// The image of a source for that platform. `reference` is the name that others can find it by.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn from_source(
        source: Arc<dyn ImageSource>,
        pick: Option<&Pick>,
        platform: &Platform,
        reference: Option<&Reference>,
        limits: Limits,
        store: &BlobStore,
        reporter: &Reporter,
    ) -> Result<Self, OpenError> {
        let Documents { image, layers, digests } = documents(source, pick, platform, reference, limits)?;
        let mut stack = LayerStack::new();
        stack.push_base(layers, store, reporter)?;
        Ok(Self::over(image, stack, digests))
    }

    /// An image whose layers are none of this recipe's.
    fn over(image: ImageBase, stack: LayerStack, documents: Option<(Digest, Digest)>) -> Self {
        OpenBase {
            foreign: stack.layers().len(),
            chain: Some(Chain::of(stack.layers().iter().map(|layer| layer.diff_id))),
            image,
            stack,
            documents,
            looked_over: None,
            libraries: false,
            deletes: false,
            wheels: false,
            python: KnownPython::Unknown,
        }
    }

    /// The same, for one image: see [`LayerStack::for_one`].
    pub(super) fn for_one(&self) -> Self {
        OpenBase { stack: self.stack.for_one(), ..self.clone() }
    }

    /// The version of its Python, where its config says one, as the official images of Python do.
    pub(super) fn stated_python(&self) -> Option<&str> {
        self.image.config.config.env.iter().find_map(|line| line.strip_prefix("PYTHON_VERSION="))
    }

    /// The same image, where no layer is opened: of what they hold, what the lock knows is known. See
    /// [`LayerStack::missed`] for what is asked beyond that.
    ///
    /// # Errors
    /// [`OpenError`] where the manifest or the config cannot be read.
    pub fn known(
        source: Arc<dyn ImageSource>,
        pick: Option<&Pick>,
        platform: &Platform,
        reference: Option<&Reference>,
        limits: Limits,
        knowledge: &Knowledge,
    ) -> Result<Self, OpenError> {
        let Documents { image, layers, digests } = documents(source, pick, platform, reference, limits)?;
        Ok(Self::over(image, LayerStack::known(layers, knowledge), digests))
    }
}

/// The Python of a view; none where there is none. `hint` is its version, where somebody says it.
///
/// # Errors
/// [`InterpreterError`].
pub(super) fn find_python(
    view: &LayerStack,
    store: &BlobStore,
    hint: Option<&str>,
) -> Result<Option<Interpreter>, InterpreterError> {
    // What it takes to find it is no knowledge worth keeping: what was found is.
    let view = view.unwatched();
    let reader = LayerReader::new(&view, store);
    let mut read = |located: &Located| reader.contents(located);
    let status = TreePath::parse("var/lib/dpkg/status")?;
    let mut dpkg_status = String::new();
    if let Ok(Some((path, _, located))) = view.rootfs().file(&status) {
        let bytes = read(located).map_err(|source| InterpreterError::Read { path, source })?;
        dpkg_status = String::from_utf8_lossy(&bytes).into_owned();
    }
    // Images without dpkg tell of each package in a file of its own.
    for (path, node) in view.rootfs().below(&TreePath::parse("var/lib/dpkg/status.d")?) {
        if let NodeKind::File(located) = &node.kind
            && !path.as_bytes().ends_with(b".md5sums")
        {
            let bytes = read(located).map_err(|source| InterpreterError::Read { path: path.clone(), source })?;
            dpkg_status.push_str(&format!("\n{}\n", String::from_utf8_lossy(&bytes).trim_end()));
        }
    }
    let mut image = Image { rootfs: view.rootfs(), read: &mut read, dpkg_status: &dpkg_status, version_hint: hint };
    match Interpreter::find(&mut image) {
        Ok(found) => Ok(Some(found)),
        Err(InterpreterError::None) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What manifest and config say of an image.
struct Documents {
    image: ImageBase,
    /// Its layers, and where their bytes are.
    layers: Vec<StackLayer>,
    /// The digests of manifest and config.
    digests: Option<(Digest, Digest)>,
}

/// A layer of others without the notes by which layers of a recipe are found again: below an image of this recipe they would be
/// taken for its own, and whoever made the base could have written any key there.
fn unmarked(layer: &Descriptor) -> Descriptor {
    let mut layer = layer.clone();
    for note in [annotation::LAYER_KEY, annotation::LAYER_DIFF_ID, annotation::LAYER_TRAITS] {
        layer.annotations.remove(note);
    }
    layer
}

/// What manifest and config say of an image, and where its layers are.
fn documents(
    source: Arc<dyn ImageSource>,
    pick: Option<&Pick>,
    platform: &Platform,
    reference: Option<&Reference>,
    limits: Limits,
) -> Result<Documents, OpenError> {
    let image = select_image(&*source, pick, platform)?;
    let digests = image.config.as_ref().map(|config| (image.manifest.digest(), config.digest()));
    // `select_image` gives images only.
    let config = image.config.map(|config| config.into_value()).unwrap_or_else(|| ImageBase::scratch(platform).config);
    let diff_ids = config.rootfs.diff_ids.clone();
    if image.manifest.layers.len() != diff_ids.len() {
        return Err(OpenError::Layers { layers: image.manifest.layers.len(), diff_ids: diff_ids.len() });
    }
    let layers: Vec<Descriptor> = image.manifest.layers.iter().map(unmarked).collect();
    let bytes: Arc<dyn BlobSource> = source;
    let stacked = layers.iter().zip(diff_ids).map(|(descriptor, diff_id)| StackLayer {
        descriptor: descriptor.clone(),
        diff_id,
        bytes: bytes.clone(),
        limits,
    });
    let stacked = stacked.collect();
    let name = reference.map(|reference| (reference.to_string(), image.manifest.digest()));
    Ok(Documents { image: ImageBase { config, layers, name }, layers: stacked, digests })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::oci::{Compression, Descriptor, Family};
    use crate::place::Root;
    use crate::place::testing::{Blobs, image_of, layer_of, tar_of};
    use crate::tree::TreePath;

    /// An image whose layers nobody can read.
    struct Documents {
        blobs: Blobs,
        roots: Vec<Root>,
    }

    impl BlobSource for Documents {
        fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
            self.blobs.blob(descriptor)
        }
    }

    impl ImageSource for Documents {
        fn roots(&self) -> Result<Vec<Root>, SourceError> {
            Ok(self.roots.clone())
        }
    }

    #[test]
    fn a_known_base_needs_its_documents_alone() {
        let layer = layer_of(&tar_of(&[("etc/", ""), ("etc/motd", "hello")]), Family::Oci, Compression::Gzip);
        let image = image_of("linux/amd64", Family::Oci, vec![layer], &mut Blobs::new());
        let config = image.config.clone().unwrap();
        let documents = [(image.manifest.digest(), image.manifest.bytes()), (config.digest(), config.bytes())];
        let blobs = documents.map(|(digest, bytes)| (digest, Content::inline(bytes.to_vec()))).into();
        let roots = vec![Root { descriptor: image.manifest.descriptor().clone(), names: Vec::new() }];
        let source: Arc<dyn ImageSource> = Arc::new(Documents { blobs, roots });
        let platform = "linux/amd64".parse().unwrap();
        let open =
            OpenBase::known(source.clone(), None, &platform, None, Limits::default(), &Knowledge::default()).unwrap();
        assert_eq!((open.image.layers.len(), open.stack.layers().len()), (1, 1));
        assert_eq!(open.image.config.config.user.as_deref(), Some("1001:1001"));
        assert_eq!(open.stack.missed(), None);
        assert!(open.stack.rootfs().get(&TreePath::parse("etc").unwrap()).is_none());
        assert!(open.stack.missed().is_some());
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path(), || {}).unwrap();
        let full = OpenBase::from_source(source, None, &platform, None, Limits::default(), &store, &Reporter::silent());
        assert!(matches!(full, Err(OpenError::Layer(_))));
    }
}
