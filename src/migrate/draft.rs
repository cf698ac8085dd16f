//! A recipe in the making: images with their settings and layers, each with what is said about it.

use std::collections::BTreeMap;

/// A value as TOML has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Toml {
    Text(String),
    Number(u64),
    False,
    True,
    List(Vec<Toml>),
    Table(Vec<(String, Toml)>),
}

impl Toml {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Toml::Text(text.into())
    }

    pub(super) fn texts<S: AsRef<str>>(list: impl IntoIterator<Item = S>) -> Self {
        Toml::List(list.into_iter().map(|text| Toml::text(text.as_ref())).collect())
    }
}

/// Keys of an image, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    From,
    Publish,
    Variants,
    Platforms,
    Users,
    User,
    Owner,
    Workdir,
    Ports,
    Volumes,
    StopSignal,
    Shell,
    Entrypoint,
    Cmd,
    Healthcheck,
    Format,
    Exclude,
    Labels,
    Env,
}

impl Key {
    pub(super) fn word(self) -> &'static str {
        match self {
            Key::From => "from",
            Key::Publish => "publish",
            Key::Variants => "variants",
            Key::Platforms => "platforms",
            Key::Users => "users",
            Key::User => "user",
            Key::Owner => "owner",
            Key::Workdir => "workdir",
            Key::Ports => "ports",
            Key::Volumes => "volumes",
            Key::StopSignal => "stop_signal",
            Key::Shell => "shell",
            Key::Entrypoint => "entrypoint",
            Key::Cmd => "cmd",
            Key::Healthcheck => "healthcheck",
            Key::Format => "format",
            Key::Exclude => "exclude",
            Key::Labels => "labels",
            Key::Env => "env",
        }
    }
}

/// A setting, and what is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) value: Toml,
    pub(super) comments: Vec<String>,
}

/// What is put on top of a base, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are layers")]
pub(super) enum Item {
    Layer(Layer),
    /// What became of a line that is no layer.
    Comment(Vec<String>),
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) comments: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) to: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) dir_mode: Option<String>,
    pub(super) modes: Vec<(String, String)>,
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<String>,
    pub(super) source: Source,
}

/// What brings the files of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Copy(Vec<Copied>),
    Files(Vec<(String, String)>),
    /// Path, owner, mode.
    Dirs(Vec<(String, Option<String>, Option<String>)>),
    Symlinks(Vec<(String, String)>),
    Archive(Vec<String>),
    Image {
        image: String,
        copy: Vec<Copied>,
    },
    Fetch(Vec<(String, Toml)>),
    Ca(Vec<String>),
    Caps(Vec<(String, String)>),
    Remove(Vec<String>),
    Debian {
        packages: Vec<String>,
        recommends: bool,
        slim: bool,
        suites: Vec<String>,
    },
    Python(Python),
}

/// Something that is copied: `src` is relative to the context (or the other image's root), `dest` is from the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) src: String,
    pub(super) dest: String,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Under its own name.
    Name,
    /// What is in it.
    Contents,
    /// To another name.
    Exact,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Python {
    pub(super) requirements: Vec<String>,
    pub(super) wheels: Vec<String>,
    pub(super) uv_lock: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) extras: Vec<String>,
    pub(super) index: Option<String>,
    pub(super) target: Option<String>,
    pub(super) venv: Option<String>,
    /// `pip install --prefix`: no key of a recipe, but the place where another stage takes it from.
    pub(super) prefix: Option<String>,
}

impl Layer {
    pub(super) fn new(source: Source) -> Self {
        Layer {
            comments: Vec::new(),
            name: None,
            to: None,
            owner: None,
            mode: None,
            dir_mode: None,
            modes: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            source,
        }
    }

    /// Whether the image's `owner` is for it too.
    pub(super) fn owned(&self) -> bool {
        matches!(self.source, Source::Copy(_) | Source::Files(_))
    }

    /// The same bytes, whatever is said about it.
    pub(super) fn same_as(&self, other: &Layer) -> bool {
        Layer { comments: Vec::new(), ..self.clone() } == Layer { comments: Vec::new(), ..other.clone() }
    }
}

/// An image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) name: String,
    /// What is said above its header.
    pub(super) comments: Vec<String>,
    pub(super) settings: BTreeMap<Key, Setting>,
    pub(super) items: Vec<Item>,
    /// What only a variant says, by its name.
    pub(super) variants: Vec<(String, Overlay)>,
}

/// What a variant of an image says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Overlay {
    pub(super) settings: BTreeMap<Key, Setting>,
    pub(super) items: Vec<Item>,
}

impl Draft {
    pub(super) fn set(&mut self, key: Key, value: Toml) -> &mut Setting {
        let setting = self.settings.entry(key).or_insert(Setting { value: Toml::False, comments: Vec::new() });
        setting.value = value;
        setting
    }

    /// Sets a key of `env` or `labels`.
    pub(super) fn put(&mut self, key: Key, name: &str, value: Toml) {
        let setting =
            self.settings.entry(key).or_insert(Setting { value: Toml::Table(Vec::new()), comments: Vec::new() });
        if let Toml::Table(pairs) = &mut setting.value {
            match pairs.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => *old = value,
                None => pairs.push((name.to_owned(), value)),
            }
        }
    }

    pub(super) fn value(&self, key: Key) -> Option<&Toml> {
        self.settings.get(&key).map(|setting| &setting.value)
    }

    pub(super) fn comment(&mut self, key: Key, text: impl Into<String>) {
        if let Some(setting) = self.settings.get_mut(&key) {
            setting.comments.push(text.into());
        }
    }

    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.items.iter().filter_map(|item| match item {
            Item::Layer(layer) => Some(layer),
            Item::Comment(_) => None,
        })
    }

    pub(super) fn layers_mut(&mut self) -> impl Iterator<Item = &mut Layer> {
        self.items.iter_mut().filter_map(|item| match item {
            Item::Layer(layer) => Some(layer),
            Item::Comment(_) => None,
        })
    }
}

/// A user of the recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
    pub(super) shell: String,
    pub(super) groups: Vec<String>,
    pub(super) create_home: bool,
    pub(super) comment: String,
    pub(super) comments: Vec<String>,
}

/// The whole recipe.
#[derive(Clone, Debug, Default)]
pub(super) struct Recipe {
    pub(super) comments: Vec<String>,
    pub(super) name: String,
    pub(super) context: Option<String>,
    pub(super) suites: Vec<String>,
    pub(super) suites_comments: Vec<String>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) owner: Option<String>,
    pub(super) variants: Vec<(String, BTreeMap<Key, Setting>)>,
    pub(super) images: Vec<Draft>,
}
