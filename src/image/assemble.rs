//! Putting an image together.

use std::collections::BTreeMap;

use crate::oci::json::{MAX_DOCUMENT, canonical};
use crate::oci::{
    Compression, ContainerConfig, Descriptor, DiffId, Digest, Encoded, Family, History, ImageConfig, Index, JsonError,
    Manifest, MediaType, Platform, annotation, is_port,
};
use crate::shown::Shown;
use crate::tree::TreePath;

use super::Settings;

/// The most layers that Docker can load.
pub const MAX_LAYERS: usize = 127;

/// What an image stands on.
#[derive(Clone, Debug)]
pub struct ImageBase {
    /// Its config.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Its reference and the digest of its manifest, where it has one that others can find.
    pub name: Option<(String, Digest)>,
}

impl ImageBase {
    /// No base at all.
    pub fn scratch(platform: &Platform) -> Self {
        ImageBase { config: ImageConfig::scratch(platform), layers: Vec::new(), name: None }
    }
}

/// A layer that goes on top, with the line that tells what it is.
#[derive(Clone, Debug)]
pub struct ImageLayer {
    /// The stored blob.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// What was done, for the history.
    pub created_by: String,
}

/// A finished image for one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest.
    pub manifest: Encoded<Manifest>,
    /// The config; its digest is the image ID.
    pub config: Encoded<ImageConfig>,
    /// The platform.
    pub platform: Platform,
}

impl Image {
    /// The image as what another one stands on. `name` is its reference, where others can find it.
    pub fn as_base(&self, name: Option<String>) -> ImageBase {
        ImageBase {
            config: (*self.config).clone(),
            layers: self.manifest.layers.clone(),
            name: name.map(|name| (name, self.manifest.digest())),
        }
    }
}

/// Why an image cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Too many layers.
    #[error(
        "the image would have {count} layers ({base} of them its base's), and {MAX_LAYERS} is the most that Docker loads: \
         join some layers of the recipe into one"
    )]
    TooManyLayers {
        /// All of them.
        count: usize,
        /// Those of the base.
        base: usize,
    },
    /// The base contradicts itself.
    #[error("the base's config is wrong: {0}")]
    Base(String),
    /// A layer cannot be told in Docker's words.
    #[error(
        "layer {0} of the base is compressed with zstd, which `format = \"docker\"` has no media type for: use `format = \"oci\"`"
    )]
    Zstd(Digest),
    /// A document would be longer than what is read.
    #[error(
        "the image's {document} would have {length} bytes, and {MAX_DOCUMENT} is the most that anybody reads; the most of it \
         is {most}"
    )]
    TooLong {
        /// Which.
        document: &'static str,
        /// Its length.
        length: u64,
        /// The part of the recipe, or of the base, that is most of it.
        most: &'static str,
    },
    /// The documents could not be written.
    #[error("writing the image's documents")]
    Json(#[from] JsonError),
}

/// Puts an image together. `created` is RFC 3339; `annotations` are the manifest's (in Docker's format they become labels).
///
/// # Errors
/// [`ImageError`].
pub fn assemble(
    base: &ImageBase,
    settings: &Settings,
    layers: &[ImageLayer],
    annotations: &BTreeMap<String, String>,
    created: &str,
    family: Family,
    platform: &Platform,
) -> Result<Image, ImageError> {
    let count = base.layers.len() + layers.len();
    if count > MAX_LAYERS {
        return Err(ImageError::TooManyLayers { count, base: base.layers.len() });
    }
    let mut config = base.config.clone();
    check_base(base, &config)?;

    let mut annotations = annotations.clone();
    if let Some((name, digest)) = &base.name {
        let or_insert = |annotations: &mut BTreeMap<String, String>, key: &str, value: String| {
            annotations.entry(key.to_owned()).or_insert(value);
        };
        or_insert(&mut annotations, annotation::BASE_NAME, name.clone());
        or_insert(&mut annotations, annotation::BASE_DIGEST, digest.to_string());
    }
    let mut settings = settings.clone();
    if family == Family::Docker {
        // Docker's manifests have no annotations; labels are where people look for them.
        for (key, value) in std::mem::take(&mut annotations) {
            settings.labels.entry(key).or_insert(Some(value));
        }
    }

    let line = |created_by: &str, empty_layer: bool| History {
        created: Some(created.to_owned()),
        created_by: Some(created_by.to_owned()),
        comment: Some("lapstrake".to_owned()),
        empty_layer,
        ..History::default()
    };
    if config.history.is_empty() {
        // A base without a history gets one line for each layer, so that lines and layers go on fitting.
        config.history = base.layers.iter().map(|layer| line(&format!("base layer {}", layer.digest), false)).collect();
    }
    for layer in layers {
        config.rootfs.diff_ids.push(layer.diff_id);
        config.history.push(line(&layer.created_by, false));
    }
    let steps = settings.apply(&mut config.config);
    check_settings(&config.config)?;
    for step in steps {
        config.history.push(line(step.created_by.as_deref().unwrap_or_default(), true));
    }
    config.created = Some(created.to_owned());
    config.architecture = platform.architecture.clone();
    config.os = platform.os.clone();
    config.variant = platform.variant.clone().or(config.variant);

    let config = match Encoded::new(MediaType::Config(family), config.clone()) {
        Err(JsonError::TooLarge(length)) => return Err(too_long("config", length, &parts_of_config(&config, base))),
        other => other?,
    };
    let stored = base.layers.iter().chain(layers.iter().map(|layer| &layer.descriptor));
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::Manifest(family)),
        config: config.descriptor().clone(),
        layers: stored.map(|layer| in_family(layer, family)).collect::<Result<_, _>>()?,
        annotations,
        extra: BTreeMap::new(),
    };
    let manifest = match Encoded::new(MediaType::Manifest(family), manifest.clone()) {
        Err(JsonError::TooLarge(length)) => {
            let parts =
                [("`annotations`", length_of(&manifest.annotations)), ("its layers", length_of(&manifest.layers))];
            return Err(too_long("manifest", length, &parts));
        }
        other => other?,
    };
    Ok(Image { manifest, config, platform: platform.clone() })
}

fn too_long(document: &'static str, length: u64, parts: &[(&'static str, usize)]) -> ImageError {
    let most = parts.iter().max_by_key(|(_, length)| *length).map_or("", |(name, _)| *name);
    ImageError::TooLong { document, length, most }
}

fn length_of<T: serde::Serialize + ?Sized>(value: &T) -> usize {
    canonical(value).map_or(0, |bytes| bytes.len())
}

/// What a config is made of, as the recipe calls it: settings with the lines of history that tell of them. What a setting has
/// in common with the base's counts for both.
fn parts_of_config(config: &ImageConfig, base: &ImageBase) -> [(&'static str, usize); 9] {
    let settings = &config.config;
    let lines = || config.history.iter().skip(base.config.history.len());
    let told = |step: &str| -> usize {
        let is_it = |line: &&History| line.empty_layer && line.created_by.iter().any(|text| text.starts_with(step));
        lines().filter(is_it).map(length_of).sum()
    };
    [
        ("what the config of the base says", length_of(&base.config)),
        ("`env`", length_of(&settings.env) + told("ENV ")),
        ("`labels`", length_of(&settings.labels) + told("LABEL ")),
        ("`ports`", length_of(&settings.exposed_ports) + told("EXPOSE ")),
        ("`volumes`", length_of(&settings.volumes) + told("VOLUME ")),
        ("`entrypoint`", length_of(&settings.entrypoint) + told("ENTRYPOINT ")),
        ("`cmd`", length_of(&settings.cmd) + told("CMD ")),
        ("`healthcheck`", length_of(&settings.healthcheck) + told("HEALTHCHECK ")),
        ("the history of its layers", lines().filter(|line| !line.empty_layer).map(length_of).sum()),
    ]
}

/// The index of images for several platforms, in the order of the recipe.
///
/// # Errors
/// Where it cannot be written.
pub fn index_of(
    images: &[Image],
    family: Family,
    annotations: &BTreeMap<String, String>,
) -> Result<Encoded<Index>, ImageError> {
    let entry =
        |image: &Image| Descriptor { platform: Some(image.platform.clone()), ..image.manifest.descriptor().clone() };
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::Index(family)),
        manifests: images.iter().map(entry).collect(),
        annotations: if family == Family::Oci { annotations.clone() } else { BTreeMap::new() },
        extra: BTreeMap::new(),
    };
    Ok(Encoded::new(MediaType::Index(family), index)?)
}

fn in_family(layer: &Descriptor, family: Family) -> Result<Descriptor, ImageError> {
    if family == Family::Docker && layer.media_type.compression() == Some(Compression::Zstd) {
        return Err(ImageError::Zstd(layer.digest));
    }
    // Of what a base's manifest says beside, nobody knows what it is for.
    Ok(Descriptor { media_type: layer.media_type.in_family(family), ..layer.carried() })
}

fn check_base(base: &ImageBase, config: &ImageConfig) -> Result<(), ImageError> {
    let layers = base.layers.len();
    let diff_ids = config.rootfs.diff_ids.len();
    if layers != diff_ids {
        return Err(ImageError::Base(format!("it has {layers} layers and {diff_ids} diff IDs")));
    }
    let lines = config.history.iter().filter(|line| !line.empty_layer).count();
    // The history is optional; where there is one, it tells of every layer.
    if !config.history.is_empty() && lines != layers {
        return Err(ImageError::Base(format!("it has {layers} layers, and its history tells of {lines}")));
    }
    if config.rootfs.kind != "layers" {
        let kind = Shown::new(config.rootfs.kind.as_bytes());
        return Err(ImageError::Base(format!("its root is made of {kind}, and only `layers` are known")));
    }
    // What stands there is handed to a process: no name, no `=` or a NUL means one thing here and another there.
    let wrong = |line: &&String| line.contains('\0') || matches!(line.find('='), None | Some(0));
    if let Some(line) = config.config.env.iter().find(wrong) {
        // The value may be a secret.
        let name = Shown::new(line.split('=').next().unwrap_or_default().as_bytes());
        return Err(ImageError::Base(format!("its environment holds {name} in a form that is not NAME=value")));
    }
    let settings = &config.config;
    let lists = [&settings.entrypoint, &settings.cmd, &settings.shell];
    let words = lists.into_iter().flatten().flatten().chain(&settings.user).chain(&settings.working_dir);
    if let Some(word) = words.into_iter().find(|word| word.contains('\0')) {
        let word = Shown::new(word.as_bytes());
        return Err(ImageError::Base(format!("it holds {word}, and nothing with a NUL can be executed or entered")));
    }
    Ok(())
}

/// What only the base can have got wrong, where the recipe does not say otherwise: the recipe's settings were checked. The
/// validator says the same of it.
fn check_settings(settings: &ContainerConfig) -> Result<(), ImageError> {
    let wrong = |key: &str, value: &str, what: &str| {
        Err(ImageError::Base(format!("its {key} {} {what}", Shown::new(value.as_bytes()))))
    };
    if let Some(user) = settings.user.as_deref().filter(|user| !user.is_empty()) {
        let parts = user.split(':').count();
        if parts > 2 || user.split(':').any(str::is_empty) || user.contains(char::is_control) {
            return wrong("User", user, "is neither user nor user:group; set `user`");
        }
    }
    if let Some(path) = settings.working_dir.as_deref().filter(|path| !path.is_empty()) {
        // No runtime starts a process there.
        if !path.starts_with('/') || TreePath::parse(path).is_err() || path.contains(char::is_control) {
            return wrong("WorkingDir", path, "is not absolute, or no path; set `workdir`");
        }
    }
    // Docker takes a volume without a slash in front for one below the root.
    let is_volume =
        |path: &str| TreePath::parse(path).is_ok_and(|path| !path.is_root()) && !path.contains(char::is_control);
    if let Some(path) = settings.volumes.keys().find(|path| !is_volume(path)) {
        return wrong("Volumes", path, "holds what is no path of a volume; `volumes = false` takes all away");
    }
    if let Some(port) = settings.exposed_ports.keys().find(|port| !is_port(port)) {
        return wrong("ExposedPorts", port, "holds what is not NUMBER/PROTOCOL; `ports = false` takes all away");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Change;
    use super::*;

    fn layer(text: &str) -> ImageLayer {
        ImageLayer {
            descriptor: Descriptor::of(MediaType::Layer(Family::Oci, Compression::Gzip), text.as_bytes()),
            diff_id: DiffId(Digest::of(text.as_bytes())),
            created_by: format!("copy {text}"),
        }
    }

    fn build(base: &ImageBase, layers: &[ImageLayer], family: Family) -> Result<Image, ImageError> {
        let settings = Settings { user: Change::Set("1:1".to_owned()), ..Settings::default() };
        let annotations = [("a".to_owned(), "b".to_owned())].into();
        let platform = Platform::linux("amd64");
        assemble(base, &settings, layers, &annotations, "1980-01-02T00:00:00Z", family, &platform)
    }

    #[test]
    fn a_service_stands_on_its_base() {
        let scratch = ImageBase::scratch(&Platform::linux("amd64"));
        let base = build(&scratch, &[layer("one")], Family::Oci).unwrap();
        let service =
            build(&base.as_base(Some("r.example.com/base:1".to_owned())), &[layer("two")], Family::Oci).unwrap();
        assert_eq!(service.config.rootfs.diff_ids.len(), 2);
        let lines: Vec<_> =
            service.config.history.iter().map(|line| (line.created_by.as_deref().unwrap(), line.empty_layer)).collect();
        assert_eq!(lines, [("copy one", false), ("USER 1:1", true), ("copy two", false)]);
        assert_eq!(service.manifest.annotations[annotation::BASE_NAME], "r.example.com/base:1");
        assert_eq!(service.manifest.annotations[annotation::BASE_DIGEST], base.manifest.digest().to_string());
        assert_eq!(service.manifest.layers[0], base.manifest.layers[0]);
    }

    #[test]
    fn dockers_words_and_labels() {
        let scratch = ImageBase::scratch(&Platform::linux("amd64"));
        let image = build(&scratch, &[layer("one")], Family::Docker).unwrap();
        assert_eq!(image.manifest.layers[0].media_type, MediaType::Layer(Family::Docker, Compression::Gzip));
        assert_eq!(image.manifest.media_type, Some(MediaType::Manifest(Family::Docker)));
        assert!(image.manifest.annotations.is_empty());
        assert_eq!(image.config.config.labels["a"], "b");
        let mut zstd = layer("z");
        zstd.descriptor.media_type = MediaType::Layer(Family::Oci, Compression::Zstd);
        assert!(matches!(build(&scratch, &[zstd], Family::Docker), Err(ImageError::Zstd(_))));
    }

    #[test]
    fn bases_that_contradict_themselves_and_towers_are_refused() {
        let mut base = ImageBase::scratch(&Platform::linux("amd64"));
        base.config.rootfs.diff_ids.push(DiffId(Digest::of(b"x")));
        assert!(matches!(build(&base, &[], Family::Oci), Err(ImageError::Base(_))));
        base.layers.push(layer("x").descriptor);
        assert_eq!(build(&base, &[], Family::Oci).unwrap().config.history.len(), 2);
        base.config.history = vec![History::default(), History::default()];
        assert!(matches!(build(&base, &[], Family::Oci), Err(ImageError::Base(_))));
        base.config.history.pop();
        for line in ["PATH", "=x", "", "A=\0"] {
            base.config.config.env = vec!["GOOD=".to_owned(), line.to_owned()];
            let error = build(&base, &[], Family::Oci).unwrap_err().to_string();
            assert!(error.contains("not NAME=value") && !error.contains("GOOD"), "{error}");
        }
        base.config.config.env = vec!["A=b=c".to_owned(), "B=".to_owned()];
        base.config.config.cmd = Some(vec!["a\0b".to_owned()]);
        assert!(matches!(build(&base, &[], Family::Oci), Err(ImageError::Base(_))));
        base.config.config.cmd = None;
        base.config.rootfs.kind = "snapshots".to_owned();
        assert!(matches!(build(&base, &[], Family::Oci), Err(ImageError::Base(_))));
        base.config.rootfs.kind = "layers".to_owned();
        for (settings, wanted) in [
            (r#"{"User":"a:b:c"}"#, "its User `a:b:c`"),
            (r#"{"User":"a:"}"#, "its User"),
            (r#"{"User":"a\nb"}"#, "its User"),
            (r#"{"WorkingDir":"app"}"#, "its WorkingDir `app`"),
            (r#"{"WorkingDir":"../../x"}"#, "its WorkingDir"),
            (r#"{"WorkingDir":"/a/../../x"}"#, "its WorkingDir"),
            (r#"{"WorkingDir":"/a\n"}"#, "its WorkingDir"),
            (r#"{"Volumes":{"/data":{},"../x":{}}}"#, "its Volumes `../x`"),
            (r#"{"Volumes":{"x\n":{}}}"#, "its Volumes"),
            (r#"{"Volumes":{"":{}}}"#, "its Volumes"),
            (r#"{"Volumes":{"/":{}}}"#, "its Volumes"),
            (r#"{"ExposedPorts":{"99999/tcp":{}}}"#, "its ExposedPorts `99999/tcp`"),
            (r#"{"ExposedPorts":{"80/tcp\n":{}}}"#, "its ExposedPorts"),
            (r#"{"ExposedPorts":{"+80/tcp":{}}}"#, "its ExposedPorts"),
            (r#"{"ExposedPorts":{"0":{}}}"#, "its ExposedPorts"),
            (r#"{"ExposedPorts":{"":{}}}"#, "its ExposedPorts"),
        ] {
            base.config.config = serde_json::from_str(settings).unwrap();
            let platform = Platform::linux("amd64");
            let assembled = |settings: &Settings| {
                assemble(&base, settings, &[], &BTreeMap::new(), "1980-01-02T00:00:00Z", Family::Oci, &platform)
            };
            let error = assembled(&Settings::default()).expect_err(settings).to_string();
            assert!(error.contains(wanted) && !error.contains(char::is_control), "{settings}: {error}");
            let over = Settings {
                user: Change::Set("1:1".to_owned()),
                workdir: Change::Set("/app".to_owned()),
                ports: Change::Clear,
                volumes: Change::Clear,
                ..Settings::default()
            };
            assembled(&over).expect(settings);
        }
        base.config.config = serde_json::from_str(
            r#"{"User":"app","WorkingDir":"/a b","Volumes":{"data":{},"/d/":{}},"ExposedPorts":{"80":{},"1-3/udp":{}}}"#,
        )
        .unwrap();
        build(&base, &[], Family::Oci).unwrap();
        base.config.config = ContainerConfig::default();
        let tower = |count| vec![layer("l"); count];
        assert!(build(&base, &tower(126), Family::Oci).is_ok());
        assert!(matches!(
            build(&base, &tower(127), Family::Oci),
            Err(ImageError::TooManyLayers { count: 128, base: 1 })
        ));
    }

    #[test]
    fn what_nobody_reads_is_not_written() {
        let scratch = ImageBase::scratch(&Platform::linux("amd64"));
        let long = || "x".repeat(MAX_DOCUMENT as usize);
        let assembled = |base: &ImageBase, settings: &Settings, annotations: &BTreeMap<String, String>| {
            let platform = Platform::linux("amd64");
            assemble(base, settings, &[], annotations, "1980-01-02T00:00:00Z", Family::Oci, &platform)
        };
        let most = |image: Result<Image, ImageError>| match image {
            Err(ImageError::TooLong { document, length, most }) => {
                assert!(length > MAX_DOCUMENT);
                (document, most)
            }
            other => panic!("{other:?}"),
        };
        let none = BTreeMap::new();
        let env = Settings { env: [("A".to_owned(), Some(long()))].into(), ..Settings::default() };
        assert_eq!(most(assembled(&scratch, &env, &none)), ("config", "`env`"));
        let ports = (1..=u16::MAX).map(|port| format!("{port}/tcp")).collect();
        let ports = Settings { ports: Change::Set(ports), ..Settings::default() };
        assert_eq!(most(assembled(&scratch, &ports, &none)), ("config", "`ports`"));
        let annotations = [("a".to_owned(), long())].into();
        assert_eq!(most(assembled(&scratch, &Settings::default(), &annotations)), ("manifest", "`annotations`"));
        let mut base = scratch.clone();
        base.config.extra.insert("x".to_owned(), long().into());
        let said = ("config", "what the config of the base says");
        assert_eq!(most(assembled(&base, &Settings::default(), &none)), said);
    }

    #[test]
    fn of_the_base_s_descriptors_only_what_is_meant_is_carried_on() {
        let mut base = ImageBase::scratch(&Platform::linux("amd64"));
        let one = layer("one");
        base.config.rootfs.diff_ids.push(one.diff_id);
        base.layers.push(one.descriptor.clone().annotated("a", "b"));
        let wanted = base.layers[0].clone();
        base.layers[0].extra.insert("urls".to_owned(), serde_json::json!(["http://u:pw@example.com/x"]));
        base.layers[0].extra.insert("new".to_owned(), serde_json::json!(1));
        base.layers[0].platform = Some(Platform::linux("arm64"));
        assert_eq!(build(&base, &[], Family::Oci).unwrap().manifest.layers, [wanted]);
    }
}
