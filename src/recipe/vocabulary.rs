//! The words of a recipe, declared once: each key with its type, where it may stand, and one line on what it does.
//!
//! From these tables come the checks of what is written ([`super::shape`]), the suggestions in messages, the JSON Schema
//! ([`super::schema`]) and the reference page. What a string means beyond its pattern is read in the module of its type;
//! tests hold that every key declared here is read, and that every example given here is understood.

/// A table of a recipe: which keys it may have.
#[derive(Debug)]
pub struct Table {
    /// Short name, unique: `image`, `layer`.
    pub name: &'static str,
    /// What it is in a sentence: `an image`, `` `[project]` ``.
    pub is: &'static str,
    /// One line on what it is for.
    pub doc: &'static str,
    /// Its keys, in groups that several tables share.
    pub keys: &'static [&'static [Key]],
    /// The table that other keys hold, where they are names of variants.
    pub variants: Option<&'static Table>,
}

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What stands to the right of it.
    pub kind: Kind,
    /// Whether the table makes no sense without it.
    pub required: bool,
    /// One line on what it does.
    pub doc: &'static str,
    /// Words that people bring along from other tools for the same thing.
    pub also: &'static [&'static str],
}

/// What may stand to the right of a key.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// `false` alone, which clears something.
    False,
    /// A number within limits, both included.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A string.
    Text(&'static Text),
    /// One of a few strings.
    Word(&'static [Word]),
    /// A date as TOML writes it, without quotes.
    Date,
    /// A list with items of one kind.
    List(&'static Kind),
    /// A table with known keys.
    Table(&'static Table),
    /// A table with keys of the writer's choice.
    Map {
        /// What the keys are.
        key: &'static Text,
        /// What they hold.
        value: &'static Kind,
    },
    /// One of several; no two of the same TOML type, but for strings.
    Any(&'static [Kind]),
}

/// A string with a meaning.
#[derive(Debug)]
pub struct Text {
    /// Short name, unique.
    pub name: &'static str,
    /// What it is in a sentence, often with an example: ``a duration such as `"30s"` ``.
    pub is: &'static str,
    /// A regular expression (ECMA-262, anchored) that every good one fits.
    pub pattern: Option<&'static str>,
    /// Good ones.
    pub examples: &'static [&'static str],
}

/// Which placeholders are filled in in a string (semantics 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fills {
    /// None.
    Nothing,
    /// `{arch}` alone.
    Arch,
    /// All but `{arch}`.
    AllButArch,
    /// All.
    All,
}

impl Text {
    /// Which placeholders are filled in in it.
    pub fn fills(&self) -> Fills {
        match self.name {
            "repository" | "tag" => Fills::AllButArch,
            "from" | "env-value" | "label-value" => Fills::All,
            "image-path" | "target" | "link" | "context-path" | "copy" | "image-copy" | "url" | "debian-package" => {
                Fills::Arch
            }
            _ => Fills::Nothing,
        }
    }
}

/// One of a few strings that a key may have.
#[derive(Debug)]
pub struct Word {
    /// As it is written.
    pub word: &'static str,
    /// One line on what it means.
    pub doc: &'static str,
}

impl Table {
    /// The keys, group after group.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + Clone {
        self.keys.iter().flat_map(|group| group.iter())
    }

    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

impl Kind {
    /// What is expected, in a sentence: `a list of strings`.
    pub fn describe(&self) -> String {
        match self {
            Kind::Boolean => "`true` or `false`".to_owned(),
            Kind::False => "`false`".to_owned(),
            Kind::Integer { min, max } => format!("a number from {min} to {max}"),
            Kind::Text(text) => text.is.to_owned(),
            Kind::Word(words) => one_of(words.iter().map(|word| format!("`\"{}\"`", word.word)).collect()),
            Kind::Date => "a date".to_owned(),
            Kind::List(kind) => match kind {
                Kind::Text(_) | Kind::Word(_) => "a list of strings".to_owned(),
                Kind::Integer { .. } => "a list of numbers".to_owned(),
                Kind::Table(_) | Kind::Map { .. } => "a list of tables".to_owned(),
                _ => "a list".to_owned(),
            },
            Kind::Table(_) | Kind::Map { .. } => "a table".to_owned(),
            Kind::Any(kinds) => {
                let mut all: Vec<String> = kinds.iter().map(Kind::describe).collect();
                all.dedup();
                one_of(all)
            }
        }
    }
}

/// `a, b or c`.
fn one_of(mut all: Vec<String>) -> String {
    let last = all.pop().unwrap_or_default();
    if all.is_empty() { last } else { format!("{} or {last}", all.join(", ")) }
}

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, required: false, doc, also: &[] }
}

impl Key {
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn also(mut self, words: &'static [&'static str]) -> Self {
        self.also = words;
        self
    }
}

macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $constant:ident: $name:literal, $is:literal, $pattern:expr, $examples:expr;)+) => {
        $($(#[doc = $doc])+ pub const $constant: Text = Text { name: $name, is: $is, pattern: $pattern, examples: &$examples };)+
        /// Every kind of string that is declared here.
        pub static TEXTS: &[&Text] = &[$(&$constant),+];
    };
}

texts! {
    /// Any string.
    ANY: "any", "a string", None, ["text"];
    /// An argument of a command.
    ARGUMENT: "argument", "a string", None, ["-lc"];
    /// The name of an image or a variant.
    NAME: "name", "a name of lower-case letters and digits, separated by `.`, `_` or `-`", Some("^[a-z0-9]+([._-]+[a-z0-9]+)*$"), ["base", "k8s", "my-app_2.x"];
    /// The name of a user.
    USER_NAME: "user-name", "a user name of up to 32 letters, digits, `_`, `.` and `-`", Some("^[A-Za-z_][A-Za-z0-9_.-]{0,30}[A-Za-z0-9_.$-]?$"), ["appuser", "_apt", "www-data"];
    /// A group in `groups`.
    GROUP: "group", "the name or number of a group", Some("^([0-9]+|[A-Za-z_][A-Za-z0-9_.-]{0,30}[A-Za-z0-9_.$-]?)$"), ["video", "44"];
    /// Who owns a file, or who runs a process.
    OWNER: "owner", "a user such as `\"appuser\"`, `\"1001\"` or `\"1001:1001\"`", Some("^([0-9]+|[A-Za-z_][A-Za-z0-9_.-]*[$]?)(:([0-9]+|[A-Za-z_][A-Za-z0-9_.-]*[$]?))?$"), ["appuser", "1001", "1001:1001", "appuser:0", "1001:staff"];
    /// Permission bits.
    MODE: "mode", "an octal mode such as `\"0644\"`", Some("^0?[0-7]{3,4}$"), ["0644", "755", "1777", "04755"];
    /// A path inside the image.
    IMAGE_PATH: "image-path", "a path inside the image, from its root", Some("^/"), ["/app", "/usr/lib/{arch}"];
    /// A path inside the image, or below `to`.
    TARGET: "target", "a path inside the image: from its root, or below `to`", Some("."), ["/etc/motd", "conf/app.ini", "/usr/lib/{arch}/x"];
    /// The target of a symlink.
    LINK: "link", "the target of a symlink", Some("."), ["python3", "../lib/{arch}/x", "/usr/bin/env"];
    /// A file outside images.
    CONTEXT_PATH: "context-path", "the path of a file, relative to the context", Some("."), ["requirements.txt", "dist/{arch}/app.tar.gz", "../build/base.tar"];
    /// Something to copy: a path below the context, or a pattern.
    COPY: "copy", "a path or pattern below the context", Some("^[^/]"), ["src", "dir/", "*.py", ".", "dist/{arch}/tool"];
    /// Something to copy from another image.
    IMAGE_COPY: "image-copy", "a path inside the other image, from its root", Some("^/"), ["/usr/bin/tini", "/app/", "/usr/lib/{arch}/x"];
    /// A pattern of `.dockerignore`'s kind.
    PATTERN: "pattern", "a pattern as in `.dockerignore`", Some("."), ["**/__pycache__", "*.pyc", "!keep.pyc"];
    /// A directory outside images.
    DIRECTORY: "directory", "a directory", Some("."), ["..", "services/web"];
    /// What an image stands on.
    FROM: "from", "`\"scratch\"`, an image of this recipe, a reference, or a place such as `\"oci:DIR\"`", Some("."), ["scratch", "debian:13-slim", "registry.example.com/base@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "oci:base", "archive:base.tar", "oci-archive:base-{arch}.tar", "docker-archive:base.tar"];
    /// A repository.
    REPOSITORY: "repository", "a repository such as `\"registry.example.com/team/{image}\"`", Some("."), ["registry.example.com/eveai/{image}", "me/app"];
    /// A tag.
    TAG: "tag", "a tag such as `\"latest\"` or `\"{git.short}\"`", Some("."), ["latest", "v1.2", "k8s-{variant}"];
    /// A platform.
    PLATFORM: "platform", "a platform such as `\"linux/amd64\"`", Some("^linux/[a-z0-9]+(/[a-z0-9]+)?$"), ["linux/amd64", "linux/arm/v7"];
    /// A name of an environment variable.
    ENV_NAME: "env-name", "a name of letters, digits, `_`, `.` and `-`", Some("^[A-Za-z_][A-Za-z0-9_.-]*$"), ["PATH", "http_proxy"];
    /// A value of an environment variable.
    ENV_VALUE: "env-value", "a string", None, ["8080", "/app/bin:${PATH}", "/x${PYTHONPATH:+:${PYTHONPATH}}", "{git.commit:-none}"];
    /// A key of labels and annotations.
    LABEL_KEY: "label-key", "a key such as `org.opencontainers.image.title`", Some("."), ["org.opencontainers.image.title", "team"];
    /// A value of labels and annotations.
    LABEL_VALUE: "label-value", "a string", None, ["the web service", "{arch}"];
    /// A signal.
    SIGNAL: "signal", "a signal such as `\"SIGTERM\"`", Some("^(SIG[A-Z0-9+-]+|[1-9][0-9]?)$"), ["SIGTERM", "SIGQUIT", "SIGRTMIN+3", "15"];
    /// A span of time.
    DURATION: "duration", "a duration such as `\"30s\"`", Some("^([0-9]+([.][0-9]+)?(ns|us|µs|ms|s|m|h))+$"), ["30s", "1m30s", "500ms", "1.5h"];
    /// A number of bytes.
    SIZE: "size", "a size such as `\"64 GiB\"`", Some("^[0-9]+ ?(KiB|MiB|GiB|TiB)$"), ["64 GiB", "500MiB"];
    /// A port, or several.
    PORT: "port", "a port such as `\"8080/tcp\"`", Some("^[0-9]+(-[0-9]+)?(/(tcp|udp|sctp))?$"), ["8080", "53/udp", "8000-8010/tcp"];
    /// When an image was made.
    CREATED: "created", "a date, or `\"commit\"`", Some("^(commit|[0-9]{4}-[0-9]{2}-[0-9]{2}.*)$"), ["2026-01-31T12:00:00Z", "2026-01-31"];
    /// A SHA-256.
    SHA256: "sha256", "64 hexadecimal digits", Some("^(sha256:)?[0-9a-f]{64}$"), ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"];
    /// An architecture, in Go's names.
    ARCH: "arch", "an architecture such as `amd64`", Some("^[a-z0-9]+$"), ["amd64", "arm64"];
    /// Something on the web.
    URL: "url", "a URL that starts with `https://`", Some("^https?://"), ["https://example.com/tool-{arch}.tar.gz"];
    /// Where packages are.
    MIRROR: "mirror", "a URL that starts with `https://`, `http://` or `file://`", Some("^(https?|file)://"), ["https://mirror.example.com/debian", "file:///srv/mirror"];
    /// Where packages went that have left the mirror.
    SNAPSHOT: "snapshot", "a URL with `{archive}`, `{timestamp}` and `{path}`", Some("^(https?|file)://"), ["https://snapshot.example.com/{archive}/{timestamp}/{path}"];
    /// File capabilities, as `setcap` takes them.
    CAPABILITIES: "capabilities", "capabilities such as `\"cap_net_bind_service=+ep\"`", Some("[=+]"), ["cap_net_bind_service=+ep", "cap_net_raw,cap_net_admin+eip"];
    /// A Debian package, by name or as a file.
    DEBIAN_PACKAGE: "debian-package", "a package such as `\"curl\"`, `\"curl=8.14.1-2\"`, `\"curl/trixie-backports\"` or `\"dist/x.deb\"`", Some("^([a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+~:-]+|/[a-z][a-z0-9-]*)?|[^/].*[.]deb)$"), ["curl", "libstdc++6", "curl=8.14.1-2+deb13u1", "curl/trixie-backports", "dist/x-{arch}.deb"];
    /// The name of a Debian package.
    DEBIAN_NAME: "debian-name", "the name of a Debian package", Some("^[a-z0-9][a-z0-9+.-]+$"), ["dpkg", "libstdc++6"];
    /// A suite of a Debian archive.
    SUITE: "suite", "a suite such as `\"trixie\"`", Some("^[a-z][a-z0-9._-]*(/[a-z0-9._-]+)*$"), ["trixie", "trixie-security", "stable/updates"];
    /// A component of a Debian archive.
    COMPONENT: "component", "a component such as `\"main\"`", Some("^[a-z][a-z0-9._-]*(/[a-z0-9._-]+)*$"), ["main", "non-free-firmware"];
    /// The name of an archive or an index.
    PLACE_NAME: "place-name", "a name of lower-case letters, digits and `-`", Some("^[a-z0-9]+(-[a-z0-9]+)*$"), ["debian", "company"];
    /// A version of Python.
    PYTHON_VERSION: "python-version", "a Python version such as `\"3.13\"`", Some("^3[.][0-9]+([.][0-9]+)?$"), ["3.13", "3.11.2"];
    /// An extra or a dependency group of a Python project.
    PYTHON_GROUP: "python-group", "a name of letters, digits, `-`, `_` and `.`", Some("^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"), ["dev", "postgres"];
    /// A field of the user table.
    COMMENT: "comment", "a text without `:` and newlines", Some("^[^:\\n]*$"), ["Application user"];
    /// A name that people read.
    TITLE: "title", "a short text", Some("."), ["dependencies", "the common code"];
    /// A file name.
    FILE_NAME: "file-name", "a file name", Some("^[^/]+$"), ["tini"];
}

/// The whole recipe.
pub const RECIPE: Table = Table {
    name: "recipe",
    is: "the recipe",
    doc: "A recipe of lapstrake: what images are made, and of what.",
    variants: None,
    keys: &[&[
        key("recipe", Kind::Integer { min: 1, max: 1 }, "Version of the recipe's format: 1.")
            .required()
            .also(&["version"]),
        key("project", Kind::Table(&PROJECT), "What all images have in common: names, tags, platforms."),
        key(
            "users",
            Kind::Map { key: &USER_NAME, value: &Kind::Table(&USER) },
            "Users that images can have and that files can belong to.",
        )
        .also(&["accounts"]),
        key("defaults", Kind::Table(&DEFAULTS), "Settings of all images, unless an image says otherwise."),
        key("debian", Kind::Table(&DEBIAN), "Where Debian packages come from, for all layers."),
        key("python", Kind::Table(&PYTHON), "Where Python packages come from, for all layers."),
        key("limits", Kind::Table(&LIMITS), "How much may come out of what is unpacked."),
        key(
            "variants",
            Kind::Map { key: &NAME, value: &Kind::Table(&VARIANT) },
            "Named overlays: the same images in another make.",
        ),
        key("images", Kind::Map { key: &NAME, value: &Kind::Table(&IMAGE) }, "The images, by name.")
            .required()
            .also(&["target", "services"]),
    ]],
};

const PUBLISHING: &[Key] = &[
    key(
        "repository",
        Kind::Text(&REPOSITORY),
        "Where the image is published, without a tag; `{image}` and other placeholders are filled in.",
    )
    .also(&["repo", "registry"]),
    key(
        "tags",
        Kind::List(&Kind::Text(&TAG)),
        "Tags it is published under; `latest` or the variant's name where none are given.",
    ),
    key(
        "platforms",
        Kind::List(&Kind::Text(&PLATFORM)),
        "What it is built for: those of its base in this recipe where none are given.",
    )
    .also(&["archs", "arch"]),
    key("format", Kind::Word(FORMATS), "Whose media types are written."),
    key("compression", Kind::Any(&[Kind::Word(COMPRESSIONS), Kind::Table(&COMPRESSION)]), "How layers are compressed."),
    key(
        "created",
        Kind::Any(&[Kind::Text(&CREATED), Kind::Date]),
        "When the image was made, where SOURCE_DATE_EPOCH does not say; `\"commit\"` is the date of the commit.",
    )
    .also(&["timestamp", "creationTime"]),
];

const FORMATS: &[Word] = &[
    Word { word: "oci", doc: "The media types of the OCI image specification." },
    Word { word: "docker", doc: "The media types of Docker's image manifest, with its health check." },
];

const COMPRESSIONS: &[Word] = &[
    Word { word: "gzip", doc: "What every reader knows." },
    Word { word: "zstd", doc: "Smaller and faster; needs containerd 1.5, Docker 23 or podman." },
    Word { word: "none", doc: "Plain tar." },
];

const MEMBERS: &[Word] = &[
    Word {
        word: "many",
        doc: "Chunks that are compressed by themselves, so that a small change recompresses a small part.",
    },
    Word { word: "single", doc: "One member, for readers that stop at the first." },
];

/// How layers are compressed, in full.
pub const COMPRESSION: Table = Table {
    name: "compression",
    is: "`compression`",
    doc: "How layers are compressed.",
    variants: None,
    keys: &[&[
        key("kind", Kind::Word(COMPRESSIONS), "The format.").required().also(&["type", "name", "algorithm"]),
        key(
            "level",
            Kind::Integer { min: 1, max: 19 },
            "How hard the encoder tries: 1 to 12 for gzip, 1 to 19 for zstd.",
        ),
        key("members", Kind::Word(MEMBERS), "How a gzip file is cut."),
    ]],
};

/// `[project]`.
pub const PROJECT: Table = Table {
    name: "project",
    is: "`[project]`",
    doc: "What all images have in common. `--set KEY=VALUE` replaces a key of this table.",
    variants: None,
    keys: &[
        &[
            key("name", Kind::Text(&TITLE), "What people call it."),
            key(
                "context",
                Kind::Text(&DIRECTORY),
                "The directory that paths are relative to, itself relative to the recipe; `.` where not given.",
            ),
        ],
        PUBLISHING,
    ],
};

const FILES: &[Key] = &[
    key("owner", Kind::Text(&OWNER), "Who owns what is copied and made; root where not given.").also(&["chown"]),
    key(
        "mode",
        Kind::Any(&[Kind::Text(&MODE), Kind::Word(PRESERVE)]),
        "Mode of files; 0644, or 0755 where any x bit is set, where not given.",
    )
    .also(&["chmod", "permissions", "file_mode"]),
    key(
        "dir_mode",
        Kind::Any(&[Kind::Text(&MODE), Kind::Word(PRESERVE)]),
        "Mode of directories; 0755 where not given.",
    ),
    key(
        "modes",
        Kind::Map { key: &PATTERN, value: &Kind::Text(&MODE) },
        "Modes by pattern of the path below `to`; the later wins.",
    ),
    key(
        "exclude",
        Kind::List(&Kind::Text(&PATTERN)),
        "What is left out, as in `.dockerignore`; adds to what is excluded elsewhere.",
    )
    .also(&["excludes", "ignore"]),
];

const PRESERVE: &[Word] = &[Word { word: "preserve", doc: "The bits that the file has on disk." }];

const CONTENT: &[Key] = &[
    key("from", Kind::Text(&FROM), "What the image stands on: `scratch`, an image of this recipe, a reference, `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE` or `archive:FILE`.").also(&["base", "parent", "inherits"]),
    key("publish", Kind::Boolean, "Whether it is written and pushed, or only stands under others; true where not given.").also(&["push"]),
    key("users", Kind::List(&Kind::Text(&USER_NAME)), "Users of this recipe that get entries in passwd and group, and a home where they want one."),
    key("user", Kind::Text(&OWNER), "Who the process runs as; written in numbers.").also(&["run-as", "run_as"]),
    key("workdir", Kind::Text(&IMAGE_PATH), "Where the process starts, and where copies land that say no `to`; made where it is not there.").also(&["workingDirectory", "working_dir", "cwd"]),
    key("ports", Kind::Any(&[Kind::List(&Kind::Any(&[Kind::Integer { min: 1, max: 65535 }, Kind::Text(&PORT)])), Kind::False]), "Ports it listens on, beside the base's, 20,000 at most; `false` clears those.").also(&["expose", "exposedPorts", "port"]),
    key("volumes", Kind::Any(&[Kind::List(&Kind::Text(&IMAGE_PATH)), Kind::False]), "Directories that should be volumes, beside the base's; `false` clears those.").also(&["volume", "mounts"]),
    key("entrypoint", Kind::List(&Kind::Text(&ARGUMENT)), "What is executed, as a list of arguments; resets the base's `cmd`; empty clears it."),
    key("cmd", Kind::List(&Kind::Text(&ARGUMENT)), "Arguments to it, or what is executed where there is no entrypoint; empty clears it.").also(&["command", "args"]),
    key("env", Kind::Map { key: &ENV_NAME, value: &Kind::Any(&[Kind::Text(&ENV_VALUE), Kind::False]) }, "Environment; `${NAME}` is the base's value; `false` removes one.").also(&["environment"]),
    key("labels", Kind::Map { key: &LABEL_KEY, value: &Kind::Any(&[Kind::Text(&LABEL_VALUE), Kind::False]) }, "Labels of the config; `false` removes one.").also(&["label"]),
    key("annotations", Kind::Map { key: &LABEL_KEY, value: &Kind::Any(&[Kind::Text(&LABEL_VALUE), Kind::False]) }, "Annotations of the manifest; `false` removes one.").also(&["annotation"]),
    key("healthcheck", Kind::Any(&[Kind::Table(&HEALTHCHECK), Kind::False]), "How Docker finds out whether it is healthy; `false` clears the base's."),
    key("shell", Kind::List(&Kind::Text(&ARGUMENT)), "The shell that Docker uses for `CMD-SHELL` and shell forms."),
    key("stop_signal", Kind::Text(&SIGNAL), "The signal that asks it to stop.").also(&["stopsignal"]),
    key("layers", Kind::List(&Kind::Table(&LAYER)), "What is put on top of the base, lowest first: `[[images.NAME.layers]]`, of a variant `[[images.NAME.VARIANT.layers]]`; adds to those of `[defaults]`.").also(&["layer"]),
];

const VARIANT_LIST: &[Key] = &[key(
    "variants",
    Kind::List(&Kind::Text(&NAME)),
    "The variants in which it is made; one without a variant where not given.",
)];

/// `[defaults]`.
pub const DEFAULTS: Table = Table {
    name: "defaults",
    is: "`[defaults]`",
    doc: "Settings of all images, unless an image says otherwise.",
    variants: None,
    keys: &[CONTENT, VARIANT_LIST, FILES, PUBLISHING],
};

/// `[images.NAME]`.
pub const IMAGE: Table = Table {
    name: "image",
    is: "an image",
    doc: "An image: what it stands on, what is put on top, and how it runs.",
    variants: Some(&VARIANT),
    keys: &[CONTENT, VARIANT_LIST, FILES, PUBLISHING],
};

/// `[variants.NAME]`, and `[images.NAME.VARIANT]`.
pub const VARIANT: Table = Table {
    name: "variant",
    is: "a variant",
    doc: "What a variant changes: any setting of an image.",
    variants: None,
    keys: &[CONTENT, FILES, PUBLISHING],
};

/// `[users.NAME]`.
pub const USER: Table = Table {
    name: "user",
    is: "a user",
    doc: "A user: an entry of passwd, and of group where the group is new.",
    variants: None,
    keys: &[&[
        key("uid", ID, "Number of the user.").required().also(&["id", "user_id"]),
        key("gid", ID, "Number of the user's group; the uid where not given. A group that is there already is joined.")
            .also(&["group_id", "group"]),
        key("home", Kind::Text(&IMAGE_PATH), "Home directory; `/home/NAME` where not given.").also(&["homedir"]),
        key("shell", Kind::Text(&IMAGE_PATH), "Login shell; `/sbin/nologin` where not given."),
        key("groups", Kind::List(&Kind::Text(&GROUP)), "Further groups that the user belongs to."),
        key("create_home", Kind::Boolean, "Whether the home directory is made, mode 0700; false where not given.")
            .also(&["createhome"]),
        key("comment", Kind::Text(&COMMENT), "The user's full name, in passwd's fifth field.").also(&["gecos"]),
    ]],
};

/// Docker takes 0 to 2147483647 for uids and gids, and so does nearly everything else.
const ID: Kind = Kind::Integer { min: 0, max: 2_147_483_647 };

/// `healthcheck`.
pub const HEALTHCHECK: Table = Table {
    name: "healthcheck",
    is: "`healthcheck`",
    doc: "Docker's health check.",
    variants: None,
    keys: &[&[
        key(
            "test",
            Kind::List(&Kind::Text(&ARGUMENT)),
            "What is run: `[\"CMD\", …]`, or `[\"CMD-SHELL\", \"…\"]` for a line of shell.",
        )
        .required(),
        key("interval", Kind::Text(&DURATION), "Time between two runs."),
        key("timeout", Kind::Text(&DURATION), "Time after which a run has failed."),
        key("start_period", Kind::Text(&DURATION), "Time in which failures do not count.").also(&["start-period"]),
        key("start_interval", Kind::Text(&DURATION), "Time between two runs in the start period."),
        key("retries", Kind::Integer { min: 1, max: 1000 }, "Failures in a row that make it unhealthy."),
    ]],
};

/// `[[images.NAME.layers]]`.
pub const LAYER: Table = Table {
    name: "layer",
    is: "a layer",
    doc: "A layer: one or more sources of files, and how they land.",
    variants: None,
    keys: &[
        &[
            key("name", Kind::Text(&TITLE), "What people call it: shown in the history.").also(&["comment"]),
            key("to", Kind::Text(&IMAGE_PATH), "The directory that copies land in; the workdir where not given.")
                .also(&["dest", "destination", "target", "path"]),
            key(
                "include",
                Kind::List(&Kind::Text(&PATTERN)),
                "Only what fits one of these is taken, before `exclude`.",
            )
            .also(&["includes"]),
            key("replace", Kind::Boolean, "Whether a directory may give way to a file, and a symlink to a directory."),
            key(
                "hardlinks",
                Kind::Boolean,
                "Whether files that share an inode on disk become hard links; false where not given.",
            ),
            key(
                "split",
                Kind::Integer { min: 1, max: 64 },
                "Cut into up to so many layers of like size, along directories.",
            ),
        ],
        FILES,
        SOURCES,
    ],
};

const PATH_LIST: Kind = Kind::Any(&[Kind::Text(&CONTEXT_PATH), Kind::List(&Kind::Text(&CONTEXT_PATH))]);

/// The keys of a layer that bring files.
pub(super) const SOURCES: &[Key] = &[
    key("copy", Kind::Any(&[Kind::Text(&COPY), Kind::List(&Kind::Any(&[Kind::Text(&COPY), Kind::Table(&COPY_ITEM)])), Kind::Table(&COPY_ITEM)]), "Files of the context: `\"x\"` lands at `to`/x, `\"dir/\"` is what is in it, `{ src, dest }` gives an exact path.").also(&["add", "src", "sources"]),
    key("files", Kind::Map { key: &TARGET, value: &Kind::Any(&[Kind::Text(&ANY), Kind::Table(&FILE)]) }, "Files with their text in the recipe.").also(&["file"]),
    key("dirs", Kind::Any(&[Kind::Map { key: &TARGET, value: &Kind::Table(&DIR) }, Kind::List(&Kind::Text(&TARGET))]), "Directories, made empty, or changed where they are there.").also(&["directories", "mkdir", "paths"]),
    key("symlinks", Kind::Map { key: &TARGET, value: &Kind::Text(&LINK) }, "Symlinks: path = target.").also(&["links", "ln"]),
    key("archive", Kind::Any(&[Kind::Text(&CONTEXT_PATH), Kind::List(&Kind::Any(&[Kind::Text(&CONTEXT_PATH), Kind::Table(&ARCHIVE)])), Kind::Table(&ARCHIVE)]), "A tar, unpacked at `to`; at the root where there is none.").also(&["archives", "tar", "unpack"]),
    key("image", Kind::Any(&[Kind::Table(&IMAGE_SOURCE), Kind::List(&Kind::Table(&IMAGE_SOURCE))]), "Files of another image."),
    key("fetch", Kind::Any(&[Kind::Table(&FETCH), Kind::List(&Kind::Table(&FETCH))]), "A download, pinned by its SHA-256.").also(&["url", "download", "http"]),
    key("ca", PATH_LIST, "Company certificates (PEM files of the context), added to the bundle.").also(&["certificates", "ca_certificates"]),
    key("caps", Kind::Map { key: &TARGET, value: &Kind::Text(&CAPABILITIES) }, "File capabilities: path = capabilities.").also(&["setcap", "capabilities"]),
    key("remove", Kind::List(&Kind::Text(&IMAGE_PATH)), "Paths of the base that are deleted.").also(&["delete", "rm", "whiteouts"]),
    key("debian", Kind::Any(&[Kind::List(&Kind::Text(&DEBIAN_PACKAGE)), Kind::Table(&DEBIAN_SOURCE)]), "Debian packages, with what they depend on.").also(&["apt", "deb", "packages", "apt-get"]),
    key("python", Kind::Table(&PYTHON_SOURCE), "Python packages, from wheels.").also(&["pip", "requirements", "uv", "wheels"]),
];

/// `{ src, dest }` of `copy`.
pub const COPY_ITEM: Table = Table {
    name: "copy-item",
    is: "an item of `copy`",
    doc: "Something to copy to an exact path.",
    variants: None,
    keys: &[&[
        key("src", Kind::Text(&COPY), "The file or directory.").required().also(&["source", "from"]),
        key("dest", Kind::Text(&TARGET), "Its path in the image, from the root or below `to`.").required().also(&[
            "dst",
            "to",
            "target",
            "destination",
        ]),
    ]],
};

/// `{ text, mode, owner }` of `files`.
pub const FILE: Table = Table {
    name: "file",
    is: "a file of `files`",
    doc: "A file with its text in the recipe.",
    variants: None,
    keys: &[&[
        key("text", Kind::Text(&ANY), "What is in it.").required().also(&["content", "contents"]),
        key("mode", Kind::Text(&MODE), "Its mode."),
        key("owner", Kind::Text(&OWNER), "Its owner."),
    ]],
};

/// `{ mode, owner }` of `dirs`.
pub const DIR: Table = Table {
    name: "dir",
    is: "a directory of `dirs`",
    doc: "A directory: that entry alone, never what is in it.",
    variants: None,
    keys: &[&[
        key("mode", Kind::Text(&MODE), "Its mode.").also(&["dir_mode"]),
        key("owner", Kind::Text(&OWNER), "Its owner."),
    ]],
};

/// An archive, in full.
pub const ARCHIVE: Table = Table {
    name: "archive",
    is: "an item of `archive`",
    doc: "A tar to unpack.",
    variants: None,
    keys: &[&[
        key("path", Kind::Text(&CONTEXT_PATH), "The tar: plain, gzip, zstd or xz.").required().also(&["src", "file"]),
        key("strip", STRIP, "How many leading directories of each path fall away."),
    ]],
};

const STRIP: Kind = Kind::Integer { min: 0, max: 100 };

/// `image` of a layer.
pub const IMAGE_SOURCE: Table = Table {
    name: "image-source",
    is: "`image`",
    doc: "Files of another image, which is not part of this one otherwise.",
    variants: None,
    keys: &[&[
        key("image", Kind::Text(&FROM), "An image of this recipe, a reference or a place.")
            .required()
            .also(&["from", "ref"]),
        key(
            "copy",
            Kind::Any(&[
                Kind::Text(&IMAGE_COPY),
                Kind::List(&Kind::Any(&[Kind::Text(&IMAGE_COPY), Kind::Table(&IMAGE_COPY_ITEM)])),
                Kind::Table(&IMAGE_COPY_ITEM),
            ]),
            "What is copied of it.",
        )
        .required()
        .also(&["src", "paths"]),
    ]],
};

/// `{ src, dest }` of `image.copy`.
pub const IMAGE_COPY_ITEM: Table = Table {
    name: "image-copy-item",
    is: "an item of `copy`",
    doc: "Something of another image to copy to an exact path.",
    variants: None,
    keys: &[&[
        key("src", Kind::Text(&IMAGE_COPY), "The file or directory in the other image.")
            .required()
            .also(&["source", "from"]),
        key("dest", Kind::Text(&TARGET), "Its path in this image, from the root or below `to`.")
            .required()
            .also(&["dst", "to", "target"]),
    ]],
};

/// `fetch`.
pub const FETCH: Table = Table {
    name: "fetch",
    is: "`fetch`",
    doc: "A download, pinned by its SHA-256.",
    variants: None,
    keys: &[&[
        key("url", Kind::Text(&URL), "Where it is; `{arch}` is filled in.").required().also(&["src", "from"]),
        key(
            "sha256",
            Kind::Any(&[Kind::Text(&SHA256), Kind::Map { key: &ARCH, value: &Kind::Text(&SHA256) }]),
            "Its SHA-256, or one for each architecture.",
        )
        .required()
        .also(&["sha", "digest", "checksum", "hash"]),
        key("to", Kind::Text(&IMAGE_PATH), "The directory it lands in; the layer's `to` where not given."),
        key("name", Kind::Text(&FILE_NAME), "Its file name; the URL's where not given.").also(&["dest"]),
        key("unpack", Kind::Boolean, "Whether it is a tar that is unpacked.").also(&["extract"]),
        key("strip", STRIP, "How many leading directories of each path fall away when it is unpacked."),
        key("mode", Kind::Text(&MODE), "Its mode; 0644 where not given.").also(&["chmod"]),
    ]],
};

const SUITES: Kind = Kind::List(&Kind::Text(&SUITE));
const COMPONENTS: Kind = Kind::List(&Kind::Text(&COMPONENT));
const DEBIAN_NAMES: Kind = Kind::List(&Kind::Text(&DEBIAN_NAME));

const DEBIAN_OPTIONS: &[Key] = &[
    key("suites", SUITES, "Suites that packages are taken from.").also(&["suite", "release"]),
    key("components", COMPONENTS, "Components of these; `main` where not given.").also(&["component"]),
    key(
        "slim",
        Kind::Boolean,
        "Whether documentation, man pages and translations are left out, as in Debian's slim images.",
    ),
    key("strict", Kind::Boolean, "Whether a maintainer script whose effect is only known in part is an error too."),
    key("recommends", Kind::Boolean, "Whether recommended packages are taken too; false where not given.")
        .also(&["install_recommends"]),
    key("compile", Kind::Boolean, "Whether Python files get their bytecode."),
    key("without", DEBIAN_NAMES, "Dependencies that are left out: what is only needed at install time."),
    key("skip_scripts", DEBIAN_NAMES, "Packages that are taken although what their scripts do is not known.")
        .also(&["unconfigured"]),
];

/// `[debian]`.
pub const DEBIAN: Table = Table {
    name: "debian",
    is: "`[debian]`",
    doc: "Where Debian packages come from, and how they are taken, for all layers.",
    variants: None,
    keys: &[
        DEBIAN_OPTIONS,
        &[
            key("mirror", Kind::Text(&MIRROR), "Mirror of the archive `debian`, where the machine does not say."),
            key(
                "archives",
                Kind::Map { key: &PLACE_NAME, value: &Kind::Table(&DEBIAN_ARCHIVE) },
                "Further archives, by name.",
            )
            .also(&["repositories", "sources"]),
            key("keyring", Kind::Text(&CONTEXT_PATH), "Keys that sign the archives; Debian's own where not given.")
                .also(&["signed_by", "key"]),
            key("snapshot", Kind::Text(&SNAPSHOT), "Where packages are found that have left the mirror."),
        ],
    ],
};

/// `[debian.archives.NAME]`.
pub const DEBIAN_ARCHIVE: Table = Table {
    name: "debian-archive",
    is: "an archive of `[debian]`",
    doc: "An archive of Debian packages beside Debian's own.",
    variants: None,
    keys: &[&[
        key("mirror", Kind::Text(&MIRROR), "Where it is, where the machine does not say.")
            .also(&["url", "uri", "uris"]),
        key("suites", SUITES, "Its suites.").required(),
        key("components", COMPONENTS, "Their components; `main` where not given."),
        key("keyring", Kind::Text(&CONTEXT_PATH), "Keys that sign it.").also(&["signed_by", "key"]),
        key("origin", Kind::Text(&TITLE), "The `Origin` that its Release file must have."),
        key("snapshot", Kind::Text(&SNAPSHOT), "Where packages are found that have left the mirror."),
    ]],
};

/// `debian` of a layer, in full.
pub const DEBIAN_SOURCE: Table = Table {
    name: "debian-source",
    is: "`debian`",
    doc: "Debian packages, with what they depend on.",
    variants: None,
    keys: &[
        &[
            key(
                "packages",
                Kind::List(&Kind::Text(&DEBIAN_PACKAGE)),
                "Names, or paths of `.deb` files in the context.",
            )
            .required()
            .also(&["names", "install", "package"]),
            key(
                "essential",
                Kind::Boolean,
                "Whether Debian's Essential packages are taken too, so that apt works in the image.",
            ),
        ],
        DEBIAN_OPTIONS,
    ],
};

const PYTHON_OPTIONS: &[Key] = &[
    key(
        "index",
        Kind::Any(&[Kind::Text(&MIRROR), Kind::Map { key: &PLACE_NAME, value: &Kind::Text(&MIRROR) }]),
        "Index that wheels come from, where the machine does not say; several by name, the first one first.",
    )
    .also(&["index_url", "index-url", "indexes"]),
    key("compile", Kind::Boolean, "Whether modules get their bytecode."),
    key(
        "break_system_packages",
        Kind::Boolean,
        "Whether packages may go where another package manager keeps its own, as the image's EXTERNALLY-MANAGED says.",
    )
    .also(&["break-system-packages", "externally_managed"]),
    key("version", Kind::Text(&PYTHON_VERSION), "The image's Python, where it cannot be found out.")
        .also(&["python_version"]),
];

/// `[python]`.
pub const PYTHON: Table = Table {
    name: "python",
    is: "`[python]`",
    doc: "Where Python packages come from, and how they are taken, for all layers.",
    variants: None,
    keys: &[PYTHON_OPTIONS],
};

/// `python` of a layer.
pub const PYTHON_SOURCE: Table = Table {
    name: "python-source",
    is: "`python`",
    doc: "Python packages, from wheels.",
    variants: None,
    keys: &[
        &[
            key("requirements", PATH_LIST, "A requirements file, or several."),
            key("pylock", Kind::Text(&CONTEXT_PATH), "A `pylock.toml` (PEP 751).").also(&["lock"]),
            key("uv_lock", Kind::Text(&CONTEXT_PATH), "A `uv.lock`, beside its `pyproject.toml`.").also(&["uv"]),
            key("pyproject", Kind::Text(&CONTEXT_PATH), "A `pyproject.toml`, of which the dependencies are taken.")
                .also(&["project"]),
            key("wheels", PATH_LIST, "Wheels of the context, by path or pattern.").also(&["wheel"]),
            key("extras", Kind::List(&Kind::Text(&PYTHON_GROUP)), "Extras of the project that are taken too."),
            key("groups", Kind::List(&Kind::Text(&PYTHON_GROUP)), "Dependency groups that are taken too."),
            key("target", Kind::Text(&IMAGE_PATH), "A directory that they go to, in place of the interpreter's own.")
                .also(&["to"]),
            key("venv", Kind::Text(&IMAGE_PATH), "A virtual environment that they go to, made where it is not there.")
                .also(&["virtualenv"]),
        ],
        PYTHON_OPTIONS,
    ],
};

/// `[limits]`.
pub const LIMITS: Table = Table {
    name: "limits",
    is: "`[limits]`",
    doc: "The most that each archive, Debian package, wheel and layer of a base may hold; what holds more ends the build. \
          Nothing of it changes what is made.",
    variants: None,
    keys: &[&[
        key(
            "unpacked",
            Kind::Text(&SIZE),
            "Bytes once it is decompressed: 64 GiB of an archive or a layer of a base, 32 GiB of a wheel and 16 GiB of a \
             Debian package where nothing is said.",
        )
        .also(&["size", "bytes"]),
        key(
            "entries",
            Kind::Integer { min: 1, max: 100_000_000 },
            "Files, directories and links: 2,000,000 of an archive or a layer of a base, 500,000 of a wheel or a Debian \
             package where nothing is said.",
        )
        .also(&["files", "inodes"]),
        key(
            "ratio",
            Kind::Integer { min: 1, max: 1_000_000 },
            "How many times its own size a wheel may have once it is decompressed, where that is more than 256 MiB: 200 \
             where nothing is said.",
        ),
    ]],
};

/// Every table.
pub static TABLES: &[&Table] = &[
    &RECIPE,
    &PROJECT,
    &USER,
    &DEFAULTS,
    &DEBIAN,
    &DEBIAN_ARCHIVE,
    &PYTHON,
    &LIMITS,
    &VARIANT,
    &IMAGE,
    &COMPRESSION,
    &HEALTHCHECK,
    &LAYER,
    &COPY_ITEM,
    &FILE,
    &DIR,
    &ARCHIVE,
    &IMAGE_SOURCE,
    &IMAGE_COPY_ITEM,
    &FETCH,
    &DEBIAN_SOURCE,
    &PYTHON_SOURCE,
];

/// Words that people bring along and that have no key of their own, with what to do instead.
pub(super) static STRANGERS: &[(&str, &str)] = &[
    (
        "run",
        "nothing is executed: packages come from `debian` and `python`, files from `copy`, `files`, `dirs` and `symlinks`, users from `[users]`",
    ),
    (
        "script",
        "nothing is executed: packages come from `debian` and `python`, files from `copy`, `files`, `dirs` and `symlinks`",
    ),
    ("onbuild", "nothing is executed, and what others build on this image cannot be told here"),
    ("maintainer", "use `labels = { \"org.opencontainers.image.authors\" = \"…\" }`"),
    ("arg", "values from outside come as `{env.NAME}` or `{env.NAME:-default}`, and through `--set`"),
    ("args", "values from outside come as `{env.NAME}` or `{env.NAME:-default}`, and through `--set`"),
    ("variable", "values from outside come as `{env.NAME}` or `{env.NAME:-default}`, and through `--set`"),
    ("matrix", "the same image in several makes is a variant: `[variants.NAME]`"),
    ("uid", "users are declared once, in `[users.NAME]`"),
    ("chown", "use `owner`"),
    ("tag", "use `tags = [\"…\"]`"),
    ("platform", "use `platforms = [\"linux/amd64\"]`"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn kinds(kind: &'static Kind, seen: &mut Vec<&'static Kind>) {
        seen.push(kind);
        match kind {
            Kind::List(item) => kinds(item, seen),
            Kind::Map { value, .. } => kinds(value, seen),
            Kind::Any(several) => several.iter().for_each(|kind| kinds(kind, seen)),
            _ => {}
        }
    }

    #[test]
    fn tables_and_texts_are_listed_and_named_once() {
        let names: BTreeSet<&str> = TABLES.iter().map(|table| table.name).collect();
        assert_eq!(names.len(), TABLES.len());
        let texts: BTreeSet<&str> = TEXTS.iter().map(|text| text.name).collect();
        assert_eq!(texts.len(), TEXTS.len());
        for table in TABLES {
            let keys: Vec<&str> = table.keys().map(|key| key.name).collect();
            assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{}", table.name);
            for key in table.keys() {
                assert!(key.doc.ends_with('.'), "{}", key.name);
                assert!(key.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
                let mut seen = Vec::new();
                kinds(&key.kind, &mut seen);
                for kind in seen {
                    match kind {
                        Kind::Table(inner) => assert!(names.contains(inner.name)),
                        Kind::Text(text) => assert!(texts.contains(text.name)),
                        _ => {}
                    }
                }
            }
        }
    }

    #[test]
    fn patterns_fit_their_examples() {
        for text in TEXTS {
            let Some(pattern) = text.pattern else { continue };
            let pattern = regex::Regex::new(pattern).unwrap();
            for example in text.examples {
                assert!(pattern.is_match(example), "{}: {example}", text.name);
            }
        }
    }

    #[test]
    fn words_brought_along_mean_one_key_each() {
        for table in TABLES {
            let mut seen = BTreeSet::new();
            for word in table.keys().flat_map(|key| key.also) {
                assert!(seen.insert(*word), "{}: {word}", table.name);
                assert!(table.key(word).is_none(), "{}: {word}", table.name);
            }
        }
    }
}
