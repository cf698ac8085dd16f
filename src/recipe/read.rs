//! From tables of the right shape to values that mean something: every string is read, and what is wrong with it is said.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use url::Url;

use super::document::{Node, Table, Value};
use super::environment::EnvTemplate;
use super::image::Setting;
use super::layer::{
    ArchiveItem, CapsItem, CopyItem, DirItem, FetchDigest, FetchItem, FileItem, FileRules, Layer, ModeRule, Source,
    SymlinkItem,
};
use super::packages::{
    DebianArchive, DebianPackage, DebianSettings, DebianSource, PythonIndex, PythonInput, PythonSource, PythonTarget,
    debian_name, place_name, python_group, python_version, suite_name, url,
};
use super::path::{FilePath, FromText, ImageSelection, PerArch, Selection, Target, pattern_syntax};
use super::problems::{Fault, Problems, shown};
use super::section::{Created, ImageDraft, LayerDraft, Section};
use super::suggest::nearest;
use super::template::Template;
use super::user::User;
use super::value::{self, FileCapabilities, FileMode, Mode, OwnerSpec, Port};
use super::{At, Span, vocabulary};
use crate::compress::Encoding;
use crate::oci::{Family, Healthcheck, Platform};
use crate::tree::TreePath;

/// A table and the words it may hold. Only declared keys can be asked for.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    table: &'a Table,
    words: &'static vocabulary::Table,
}

impl<'a> Fields<'a> {
    pub(super) fn new(table: &'a Table, words: &'static vocabulary::Table) -> Self {
        Fields { table, words }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<&'a Node> {
        debug_assert!(self.words.key(key).is_some(), "{key} is not declared in {}", self.words.name);
        #[cfg(test)]
        tests::ASKED.with_borrow_mut(|asked| asked.insert((self.words.name, key)));
        self.table.get(key)
    }

    /// The key's own place, where it is written.
    fn key_span(&self, key: &str) -> Option<Span> {
        self.table.iter().find(|(name, _)| name.value == key).map(|(name, _)| name.span)
    }

    fn text(&self, key: &'static str) -> Option<At<String>> {
        self.get(key).and_then(Node::text)
    }

    fn flag(&self, key: &'static str) -> Option<bool> {
        self.get(key).and_then(Node::bool)
    }

    pub(super) fn table(&self, key: &'static str, words: &'static vocabulary::Table) -> Option<Fields<'a>> {
        self.get(key).and_then(Node::table).map(|table| Fields::new(table, words))
    }

    /// The tables of a table with keys of the writer's choice.
    pub(super) fn each(&self, key: &'static str) -> impl Iterator<Item = &'a (At<String>, Node)> {
        self.get(key).and_then(Node::table).into_iter().flat_map(Table::iter)
    }
}

/// One node as a list: the items of a list, or the node itself.
fn items(node: Option<&Node>) -> &[Node] {
    match node {
        None => &[],
        Some(node) => node.list().unwrap_or(std::slice::from_ref(node)),
    }
}

/// What layers may leave out because it is said once for all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct PackageDefaults {
    debian: DebianSource,
    indexes: Vec<PythonIndex>,
    python_version: Option<At<String>>,
    python_compile: bool,
}

/// Reads values, and gathers what is wrong with them.
pub(super) struct Reader<'p> {
    pub(super) problems: &'p mut Problems,
}

impl Reader<'_> {
    /// A string that is read by some rule.
    fn read<T>(&mut self, text: Option<At<String>>, rule: impl FnOnce(&str) -> Result<T, Fault>) -> Option<At<T>> {
        let text = text?;
        let result = rule(&text.value);
        self.problems.take(&text, result).map(|value| At::new(value, text.span))
    }

    /// The strings of a list, or the one that stands in its place.
    fn read_all<T>(&mut self, node: Option<&Node>, rule: impl Fn(&str) -> Result<T, Fault>) -> Vec<At<T>> {
        items(node).iter().filter_map(|node| self.read(node.text(), &rule)).collect()
    }

    fn checked(
        &mut self,
        text: Option<At<String>>,
        rule: impl FnOnce(&str) -> Result<(), Fault>,
    ) -> Option<At<String>> {
        self.read(text, |text| rule(text).map(|()| text.to_owned()))
    }

    fn all_checked(&mut self, node: Option<&Node>, rule: impl Fn(&str) -> Result<(), Fault>) -> Vec<At<String>> {
        self.read_all(node, |text| rule(text).map(|()| text.to_owned()))
    }

    /// Says so where a list has something twice.
    fn refuse_doubles<T: PartialEq>(&mut self, list: &[At<T>], what: &str) {
        for (position, item) in list.iter().enumerate().take(1000) {
            if let Some(first) = list[..position].iter().find(|first| first.value == item.value) {
                let text = self.problems.sources.text(item.span).to_owned();
                let diagnostic = self
                    .problems
                    .error(item.span, format!("{what} {} is listed twice", shown(text.trim_matches(['"', '\'']))))
                    .label("expected each once")
                    .also(first.span, "first listed here");
                self.problems.push(diagnostic);
            }
        }
    }

    // --- names ---------------------------------------------------------------------------------------------------------

    /// The name of an image, fit to be part of a repository, or of a variant, fit to be part of a tag.
    pub(super) fn name(&mut self, name: &At<String>, what: &str) -> bool {
        let rule = |text: &str| -> Result<(), Fault> {
            let good =
                |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let separated = |text: &str| {
                let ends = [text.bytes().next(), text.bytes().next_back()];
                ends.iter().flatten().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
                    && text.split(['.', '_', '-']).filter(|part| !part.is_empty()).all(good)
            };
            let repository = format!("x/{text}");
            if text.len() > 100
                || text.contains('/')
                || !separated(text)
                || format!("{repository}:x").parse::<crate::oci::Reference>().is_err()
            {
                let fault = Fault::new(
                    format!("{} is no name for {what}", shown(text)),
                    "expected lower-case letters and digits, with `.`, `_` or `-` between them",
                );
                return Err(match text.to_ascii_lowercase().replace([' ', '/'], "-") {
                    close if close != text && separated(&close) && !close.is_empty() => {
                        fault.help(format!("write `{close}`"))
                    }
                    _ => fault,
                });
            }
            Ok(())
        };
        self.checked(Some(name.clone()), rule).is_some()
    }

    // --- [users] -------------------------------------------------------------------------------------------------------

    pub(super) fn users(&mut self, recipe: &Fields<'_>) -> BTreeMap<String, User> {
        let mut users: BTreeMap<String, User> = BTreeMap::new();
        let mut names: BTreeMap<u32, At<String>> = BTreeMap::new();
        for (name, node) in recipe.each("users") {
            let Some(table) = node.table() else { continue };
            let fields = Fields::new(table, &vocabulary::USER);
            let rule = |text: &str| match text {
                "root" => Err(Fault::new("`root` is always there, as 0:0", "expected another name")),
                text => value::user_name(text, "user").map(|_| ()),
            };
            let good_name = self.checked(Some(name.clone()), rule);
            let id = |key| fields.get(key).and_then(Node::integer).and_then(|id| u32::try_from(id).ok());
            let passwd_path = |text: &str| match text.contains(':') {
                true => Err(Fault::new(
                    format!("path {} holds a colon", shown(text)),
                    "passwd separates its fields with colons",
                )),
                false => TreePath::from_text(text),
            };
            let home = self.read(fields.text("home"), passwd_path);
            let shell = self.read(fields.text("shell"), passwd_path);
            let groups = self.read_all(fields.get("groups"), |text| value::name_or_id(text, "group"));
            self.refuse_doubles(&groups, "group");
            let comment = self.checked(fields.text("comment"), |text| match text.contains([':', '\n']) {
                true => Err(Fault::new("a comment holds no `:`", "passwd separates its fields with colons")),
                false => Ok(()),
            });
            let gid = id("gid");
            let create_home = fields.flag("create_home").unwrap_or(false);
            let (Some(name), Some(uid)) = (good_name, id("uid")) else { continue };
            if let Some(other) = names.insert(uid, name.clone()) {
                let span = fields.get("uid").map_or(name.span, |node| node.span);
                let diagnostic = self
                    .problems
                    .error(
                        span,
                        format!("users {} and {} have the same uid", shown(&other.value), shown(&name.value)),
                    )
                    .label("expected another number")
                    .also(other.span, "has it already");
                self.problems.push(diagnostic);
            }
            let fixed = |path: Option<At<TreePath>>, text: String| {
                path.map(|path| path.value).or_else(|| TreePath::parse(text).ok())
            };
            let user = User {
                uid,
                gid: gid.unwrap_or(uid),
                home: fixed(home, format!("/home/{}", name.value)).unwrap_or_default(),
                shell: fixed(shell, "/sbin/nologin".to_owned()).unwrap_or_default(),
                groups,
                create_home,
                comment: comment.map(|comment| comment.value).unwrap_or_default(),
                name,
            };
            users.insert(user.name.value.clone(), user);
        }
        users
    }

    // --- sections ------------------------------------------------------------------------------------------------------

    /// What `[project]` says of all images.
    pub(super) fn project(&mut self, fields: &Fields<'_>) -> Section {
        let mut section = Section::default();
        self.publishing(fields, &mut section);
        section
    }

    /// `[defaults]`, an image, or a variant.
    pub(super) fn section(&mut self, fields: &Fields<'_>, packages: &PackageDefaults) -> Section {
        let mut section = Section::default();
        self.publishing(fields, &mut section);
        section.rules = self.rules(fields);
        if fields.words.key("variants").is_some() {
            section.variants = fields.get("variants").map(|node| {
                let names: Vec<At<String>> = items(Some(node)).iter().filter_map(Node::text).collect();
                self.refuse_doubles(&names, "variant");
                names
            });
        }
        section.from = self.read(fields.text("from"), Template::parse);
        section.publish = fields.flag("publish");
        section.users = fields.get("users").map(|node| {
            let users: Vec<At<String>> = items(Some(node)).iter().filter_map(Node::text).collect();
            self.refuse_doubles(&users, "user");
            users
        });
        section.user = self.read(fields.text("user"), OwnerSpec::parse);
        section.workdir = self.read(fields.text("workdir"), fixed_path);
        section.ports = self.clearable(fields, "ports", Self::ports);
        section.volumes = self.clearable(fields, "volumes", |reader, node| {
            reader
                .read_all(Some(node), |text| {
                    fixed_path(text).and_then(|path| match path.is_root() {
                        true => Err(Fault::new("the root cannot be a volume", "expected a directory below it")),
                        false => Ok(path),
                    })
                })
                .into_iter()
                .map(|volume| volume.value)
                .collect()
        });
        section.entrypoint = arguments(fields.get("entrypoint"));
        section.cmd = arguments(fields.get("cmd"));
        section.shell = arguments(fields.get("shell"));
        section.env = self.environment(fields);
        section.labels = self.labels(fields, "labels");
        section.annotations = self.labels(fields, "annotations");
        section.healthcheck = match fields.get("healthcheck") {
            None => Setting::Inherit,
            Some(node) => match node.table() {
                None => Setting::Clear,
                Some(table) => {
                    let check = self.healthcheck(&Fields::new(table, &vocabulary::HEALTHCHECK));
                    Setting::Set(At::new(check, node.span))
                }
            },
        };
        section.stop_signal = self.read(fields.text("stop_signal"), |text| value::signal(text).map(str::to_owned));
        for node in items(fields.get("layers")) {
            if let Some(table) = node.table() {
                section.layers.extend(self.layer(&Fields::new(table, &vocabulary::LAYER), node.span, packages));
            }
        }
        section
    }

    fn publishing(&mut self, fields: &Fields<'_>, section: &mut Section) {
        section.repository = self.read(fields.text("repository"), Template::parse);
        section.tags = fields.get("tags").map(|node| self.read_all(Some(node), Template::parse));
        section.platforms = fields.get("platforms").map(|node| {
            let platforms = self.read_all(Some(node), platform);
            self.refuse_doubles(&platforms, "platform");
            if platforms.len() > 100 {
                let diagnostic = self.problems.error(node.span, "the list holds more platforms than there are");
                self.problems.push(diagnostic.label("expected each once"));
            }
            if node.list().is_some_and(<[Node]>::is_empty) {
                let diagnostic = self.problems.error(node.span, "an image is built for one platform at least");
                self.problems.push(diagnostic.label("expected one, such as `\"linux/amd64\"`"));
            }
            platforms
        });
        section.format = fields
            .text("format")
            .map(|format| format.map(|format| if format == "docker" { Family::Docker } else { Family::Oci }));
        section.encoding = fields.get("compression").and_then(|node| self.compression(node));
        section.created = match fields.get("created") {
            Some(Node { span, value: Value::Date(date) }) => {
                self.read(Some(At::new(date.to_string(), *span)), value::date).map(|date| date.map(Created::Date))
            }
            node => self.read(node.and_then(Node::text), |text| match text {
                "commit" => Ok(Created::Commit),
                text => value::date(text).map(Created::Date).map_err(|fault| match fault.help {
                    Some(_) => fault,
                    None => fault.help("the date of the commit is `\"commit\"`"),
                }),
            }),
        };
    }

    fn compression(&mut self, node: &Node) -> Option<At<Encoding>> {
        let (kind, level, members) = match node.table() {
            None => (node.text()?, None, None),
            Some(table) => {
                let fields = Fields::new(table, &vocabulary::COMPRESSION);
                (fields.text("kind")?, fields.get("level"), fields.text("members"))
            }
        };
        let single = members.as_ref().is_some_and(|members| members.value == "single");
        let (usual, most) = match (kind.value.as_str(), single) {
            ("gzip", false) => (6, 12),
            ("gzip", true) => (6, 9),
            ("zstd", _) => (3, 19),
            ("none", _) => (0, 0),
            _ => return None,
        };
        if let Some(members) = members.as_ref().filter(|_| kind.value != "gzip") {
            let diagnostic =
                self.problems.error(members.span, format!("`members` is for gzip, not for `{}`", kind.value));
            self.problems.push(diagnostic.label("expected with `kind = \"gzip\"` alone"));
        }
        let mut chosen = usual;
        if let Some((node, wanted)) = level.and_then(|node| Some((node, u8::try_from(node.integer()?).ok()?))) {
            match (1..=most).contains(&wanted) {
                true => chosen = wanted,
                false => {
                    let (message, label) = match most {
                        0 => ("`none` has no level".to_owned(), "expected none".to_owned()),
                        most => (format!("`{}` has no level {wanted}", kind.value), format!("expected 1 to {most}")),
                    };
                    let diagnostic = self.problems.error(node.span, message).label(label);
                    self.problems.push(diagnostic);
                }
            }
        }
        let encoding = match (kind.value.as_str(), single) {
            ("gzip", false) => Encoding::Gzip { level: chosen },
            ("gzip", true) => Encoding::GzipSingle { level: chosen },
            ("zstd", _) => Encoding::Zstd { level: chosen },
            _ => Encoding::None,
        };
        Some(At::new(encoding, node.span))
    }

    fn rules(&mut self, fields: &Fields<'_>) -> FileRules {
        let mut modes = Vec::new();
        for (pattern, node) in fields.each("modes") {
            let pattern = self.checked(Some(pattern.clone()), pattern_syntax);
            let mode = self.read(node.text(), Mode::parse);
            if let (Some(pattern), Some(mode)) = (pattern, mode) {
                modes.push(ModeRule { pattern, mode });
            }
        }
        FileRules {
            owner: self.read(fields.text("owner"), OwnerSpec::parse),
            mode: self.read(fields.text("mode"), FileMode::parse),
            dir_mode: self.read(fields.text("dir_mode"), FileMode::parse),
            modes,
            exclude: self.patterns(fields.get("exclude")),
        }
    }

    fn patterns(&mut self, node: Option<&Node>) -> Vec<At<String>> {
        self.all_checked(node, |text| match text {
            "!" => Err(Fault::new("`!` excepts nothing", "expected a pattern after it")),
            text => pattern_syntax(text),
        })
    }

    fn clearable<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &'static str,
        read: impl FnOnce(&mut Self, &Node) -> T,
    ) -> Setting<T> {
        match fields.get(key) {
            None => Setting::Inherit,
            Some(node) if node.bool() == Some(false) => Setting::Clear,
            Some(node) if node.list().is_some() => Setting::Set(read(self, node)),
            Some(_) => Setting::Inherit,
        }
    }

    fn ports(&mut self, node: &Node) -> Vec<Port> {
        let mut ports = BTreeSet::new();
        let mut count = 0;
        for node in items(Some(node)) {
            let text = match &node.value {
                Value::Integer(Some(number)) => Some(At::new(number.to_string(), node.span)),
                _ => node.text(),
            };
            let Some(some) = self.read(text, value::ports) else { continue };
            count += some.value.len();
            if count > 200_000 {
                let diagnostic = self.problems.error(node.span, "the list holds more ports than there are");
                self.problems.push(diagnostic.label("expected each once"));
                break;
            }
            ports.extend(some.value);
        }
        ports.into_iter().collect()
    }

    fn environment(&mut self, fields: &Fields<'_>) -> BTreeMap<String, At<Option<EnvTemplate>>> {
        let mut env = BTreeMap::new();
        for (name, node) in fields.each("env") {
            let rule = |text: &str| {
                let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
                match text.bytes().all(good) && !text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.')
                {
                    true => Ok(()),
                    false => Err(Fault::new(
                        format!("{} is no name of a variable", shown(text)),
                        "expected letters, digits, `_`, `.` and `-`, a letter or `_` first",
                    )),
                }
            };
            let Some(name) = self.checked(Some(name.clone()), rule) else { continue };
            if let Some(value) = self.clearing(node, EnvTemplate::parse) {
                env.insert(name.value, value);
            }
        }
        env
    }

    /// A string, or `false` that takes one away.
    fn clearing<T>(&mut self, node: &Node, rule: impl FnOnce(&str) -> Result<T, Fault>) -> Option<At<Option<T>>> {
        match node.bool() {
            Some(_) => Some(At::new(None, node.span)),
            None => self.read(node.text(), rule).map(|value| value.map(Some)),
        }
    }

    fn labels(&mut self, fields: &Fields<'_>, key: &'static str) -> BTreeMap<String, At<Option<Template>>> {
        use crate::oci::annotation::{BASE_DIGEST, BASE_NAME, CONTAINERD_NAME, REF_NAME};
        let mut labels = BTreeMap::new();
        for (name, node) in fields.each(key) {
            let reserved = [BASE_DIGEST, BASE_NAME, CONTAINERD_NAME, REF_NAME].contains(&name.value.as_str());
            if reserved || name.value.starts_with("dev.lapstrake.") {
                let diagnostic =
                    self.problems.error(name.span, format!("{} is written by lapstrake", shown(&name.value)));
                self.problems.push(diagnostic.label("expected another key"));
            } else if let Some(value) = self.clearing(node, Template::parse) {
                labels.insert(name.value.clone(), value);
            }
        }
        labels
    }

    fn healthcheck(&mut self, fields: &Fields<'_>) -> Healthcheck {
        let test: Vec<String> =
            items(fields.get("test")).iter().filter_map(Node::text).map(|text| text.value).collect();
        if let Some(node) = fields.get("test").filter(|node| node.list().is_some()) {
            let list = self.problems.sources.text(node.span).to_owned();
            let fault = match test.first().map(String::as_str) {
                Some("CMD") if test.len() > 1 => None,
                Some("CMD-SHELL") if test.len() == 2 => None,
                Some("CMD-SHELL") => {
                    Some(("`CMD-SHELL` takes one line of shell", "`[\"CMD-SHELL\", \"…\"]`".to_owned()))
                }
                Some("NONE") => Some(("`NONE` is not written so here", "`healthcheck = false`".to_owned())),
                Some("CMD") | None => Some(("the health check runs nothing", "`[\"CMD\", \"program\", …]`".to_owned())),
                Some(_) => {
                    let fixed = format!("`[\"CMD\", {}`", list.trim_start_matches('['));
                    Some(("the health check starts neither with `CMD` nor with `CMD-SHELL`", fixed))
                }
            };
            if let Some((message, expected)) = fault {
                let diagnostic = self.problems.error(node.span, message).label("expected another list");
                self.problems.push(diagnostic.help(format!("write {expected}")));
            }
        }
        let mut time = |key: &'static str| self.read(fields.text(key), value::duration).map(|time| time.value);
        Healthcheck {
            test,
            interval: time("interval"),
            timeout: time("timeout"),
            start_period: time("start_period"),
            start_interval: time("start_interval"),
            retries: fields.get("retries").and_then(Node::integer).and_then(|count| u64::try_from(count).ok()),
            extra: BTreeMap::new(),
        }
    }

    // --- layers --------------------------------------------------------------------------------------------------------

    fn layer(&mut self, fields: &Fields<'_>, span: Span, packages: &PackageDefaults) -> Option<LayerDraft> {
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
        let image = fields.get("image").map(|node| ImageDraft {
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

    #[allow(clippy::type_complexity)]
    fn image(&mut self, node: &Node) -> Option<(At<Template>, Vec<At<CopyItem<ImageSelection>>>)> {
        let fields = Fields::new(node.table()?, &vocabulary::IMAGE_SOURCE);
        let from = self.read(fields.text("image"), Template::parse);
        let copy =
            fields.get("copy").map(|node| self.copy_items::<ImageSelection>(node, &vocabulary::IMAGE_COPY_ITEM))?;
        Some((from?, copy))
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

    // --- packages ------------------------------------------------------------------------------------------------------

    /// `[debian]` and `[python]`.
    pub(super) fn packages(&mut self, recipe: &Fields<'_>) -> (DebianSettings, PackageDefaults) {
        let mut settings = DebianSettings::default();
        let mut defaults = PackageDefaults::default();
        if let Some(fields) = recipe.table("debian", &vocabulary::DEBIAN) {
            self.debian_options(&fields, &mut defaults.debian);
            settings.mirror = self.read(fields.text("mirror"), mirror);
            settings.keyring = self.read(fields.text("keyring"), FilePath::from_text);
            settings.snapshot = self.checked(fields.text("snapshot"), snapshot);
            for (name, node) in fields.each("archives") {
                let Some(table) = node.table() else { continue };
                let rule = |text: &str| match text {
                    "debian" | "debian-security" => {
                        Err(Fault::new(format!("{} is Debian's own archive", shown(text)), "expected another name")
                            .help("its mirror is `[debian] mirror`"))
                    }
                    text => place_name(text),
                };
                let name = self.checked(Some(name.clone()), rule);
                let fields = Fields::new(table, &vocabulary::DEBIAN_ARCHIVE);
                let archive = DebianArchive {
                    mirror: self.read(fields.text("mirror"), mirror),
                    suites: self.all_checked(fields.get("suites"), suite_name),
                    components: self.all_checked(fields.get("components"), suite_name),
                    keyring: self.read(fields.text("keyring"), FilePath::from_text),
                    origin: fields.text("origin"),
                    snapshot: self.checked(fields.text("snapshot"), snapshot),
                    name: name.clone().unwrap_or(At::new(String::new(), node.span)),
                };
                if let Some(name) = name {
                    settings.archives.insert(name.value, archive);
                }
            }
        }
        if let Some(fields) = recipe.table("python", &vocabulary::PYTHON) {
            defaults.indexes = self.indexes(&fields);
            defaults.python_version = self.checked(fields.text("version"), python_version);
            defaults.python_compile = fields.flag("compile").unwrap_or(false);
        }
        (settings, defaults)
    }

    fn debian_options(&mut self, fields: &Fields<'_>, source: &mut DebianSource) {
        let names =
            |reader: &mut Self, key: &'static str, rule: fn(&str) -> Result<(), Fault>, place: &mut Vec<At<String>>| {
                if let Some(node) = fields.get(key) {
                    *place = reader.all_checked(Some(node), rule);
                    reader.refuse_doubles(place, "name");
                }
            };
        names(self, "suites", suite_name, &mut source.suites);
        names(self, "components", suite_name, &mut source.components);
        names(self, "without", debian_name, &mut source.without);
        names(self, "skip_scripts", debian_name, &mut source.skip_scripts);
        let flag = |key: &'static str, place: &mut bool| *place = fields.flag(key).unwrap_or(*place);
        flag("slim", &mut source.slim);
        flag("strict", &mut source.strict);
        flag("recommends", &mut source.recommends);
        flag("compile", &mut source.compile);
    }

    fn debian_source(&mut self, node: &Node, packages: &PackageDefaults) -> DebianSource {
        let mut source = packages.debian.clone();
        let list = match node.table() {
            None => Some(node),
            Some(table) => {
                let fields = Fields::new(table, &vocabulary::DEBIAN_SOURCE);
                self.debian_options(&fields, &mut source);
                source.essential = fields.flag("essential").unwrap_or(false);
                fields.get("packages")
            }
        };
        source.packages = self.read_all(list, DebianPackage::parse);
        self.refuse_doubles(&source.packages, "package");
        if source.packages.is_empty() && !source.essential && !self.problems.any_error() {
            let diagnostic = self.problems.error(node.span, "no package is named").label("expected at least one");
            self.problems.push(diagnostic);
        }
        source
    }

    fn indexes(&mut self, fields: &Fields<'_>) -> Vec<PythonIndex> {
        let Some(node) = fields.get("index") else { return Vec::new() };
        let Some(table) = node.table() else {
            let url = self.read(node.text(), mirror);
            return url.map(|url| PythonIndex { name: "default".to_owned(), url }).into_iter().collect();
        };
        let mut indexes = Vec::new();
        for (name, node) in table.iter() {
            let name = self.checked(Some(name.clone()), place_name);
            let url = self.read(node.text(), mirror);
            if let (Some(name), Some(url)) = (name, url) {
                indexes.push(PythonIndex { name: name.value, url });
            }
        }
        indexes
    }

    fn python_source(&mut self, fields: &Fields<'_>, place: Span, packages: &PackageDefaults) -> Option<PythonSource> {
        let requirements = self.read_all(fields.get("requirements"), PerArch::parse);
        let files = [
            ("pylock", self.read(fields.text("pylock"), PerArch::parse)),
            ("uv_lock", self.read(fields.text("uv_lock"), PerArch::parse)),
            ("pyproject", self.read(fields.text("pyproject"), PerArch::parse)),
        ];
        let wheels = self.read_all(fields.get("wheels"), |text| {
            match text.contains(['*', '?', '[']) || text.ends_with(".whl") {
                true => PerArch::parse(text),
                false => Err(Fault::new(
                    format!("{} is no wheel", shown(text)),
                    "expected the path of a `.whl`, or a pattern",
                )),
            }
        });
        let extras = self.all_checked(fields.get("extras"), python_group);
        let groups = self.all_checked(fields.get("groups"), python_group);
        let version = self.checked(fields.text("version"), python_version).or_else(|| packages.python_version.clone());
        let indexes = self.indexes(fields);
        let target = self.read(fields.text("target"), PerArch::parse);
        let venv: Option<At<PerArch<TreePath>>> = self.read(fields.text("venv"), PerArch::parse);
        let compile = fields.flag("compile").unwrap_or(packages.python_compile);

        let mut named: Vec<(&str, Span)> =
            requirements.first().map(|first| ("requirements", first.span)).into_iter().collect();
        named.extend(files.iter().filter_map(|(key, file)| file.as_ref().map(|file| (*key, file.span))));
        if let [(first, first_span), (second, second_span), ..] = named.as_slice() {
            let diagnostic = self
                .problems
                .error(*second_span, format!("`{second}` and `{first}` both say which packages are taken"))
                .label("expected one of them")
                .also(*first_span, "the other");
            self.problems.push(diagnostic);
        }
        if named.is_empty() && wheels.is_empty() && !self.problems.any_error() {
            let diagnostic = self
                .problems
                .error(place, "`python` says not which packages are taken")
                .label("expected `requirements`, `pylock`, `uv_lock`, `pyproject` or `wheels`");
            self.problems.push(diagnostic);
        }
        let of_project = named.iter().any(|(key, _)| *key != "requirements");
        for (key, list) in [("extras", &extras), ("groups", &groups)] {
            if let Some(first) = list.first().filter(|_| !of_project) {
                let diagnostic = self
                    .problems
                    .error(first.span, format!("`{key}` is of a project: a requirements file has none"))
                    .label("expected with `pylock`, `uv_lock` or `pyproject`");
                self.problems.push(diagnostic);
            }
        }
        if let (Some(target), Some(venv)) = (&target, &venv) {
            let diagnostic = self
                .problems
                .error(venv.span, "packages go to one place")
                .label("expected either `venv` or `target`")
                .also(target.span, "the other");
            self.problems.push(diagnostic);
        }
        let [(_, pylock), (_, uv_lock), (_, pyproject)] = files;
        let input = match (requirements.is_empty(), pylock, uv_lock, pyproject) {
            (false, ..) => PythonInput::Requirements(requirements),
            (_, Some(file), ..) => PythonInput::Pylock(file),
            (_, _, Some(file), _) => PythonInput::UvLock(file),
            (.., Some(file)) => PythonInput::Pyproject(file),
            _ => PythonInput::None,
        };
        let target = match (venv, target) {
            (Some(path), _) => PythonTarget::Venv(path),
            (None, Some(path)) => PythonTarget::Directory(path),
            (None, None) => PythonTarget::Interpreter,
        };
        let indexes = if indexes.is_empty() { packages.indexes.clone() } else { indexes };
        Some(PythonSource { input, wheels, extras, groups, target, version, indexes, compile })
    }
}

/// A path of the image's config, which is the same on every platform.
fn fixed_path(text: &str) -> Result<TreePath, Fault> {
    let path: PerArch<TreePath> = PerArch::parse(text)?;
    path.constant().cloned().ok_or_else(|| {
        Fault::new(
            format!("{} differs by architecture", shown(text)),
            "expected a path that is the same on all platforms",
        )
    })
}

fn arguments(node: Option<&Node>) -> Setting<Vec<String>> {
    let Some(list) = node.and_then(Node::list) else { return Setting::Inherit };
    let arguments: Vec<String> = list.iter().filter_map(|node| node.as_str().map(str::to_owned)).collect();
    if arguments.is_empty() { Setting::Clear } else { Setting::Set(arguments) }
}

fn small(node: Option<&Node>) -> Option<u8> {
    node.and_then(Node::integer).and_then(|number| u8::try_from(number).ok())
}

fn mirror(text: &str) -> Result<Url, Fault> {
    url(text, &["https", "http", "file"])
}

fn snapshot(text: &str) -> Result<(), Fault> {
    for hole in ["{archive}", "{timestamp}", "{path}"] {
        if !text.contains(hole) {
            return Err(Fault::new(
                format!("{} has no `{hole}`", shown(text)),
                "expected a URL with `{archive}`, `{timestamp}` and `{path}`",
            ));
        }
    }
    mirror(&text.replace(['{', '}'], "")).map(|_| ())
}

/// Architectures in Go's names, and what others call them.
const ARCHITECTURES: [(&str, &[&str]); 12] = [
    ("amd64", &["x86_64", "x86-64", "x64"]),
    ("arm64", &["aarch64", "armv8"]),
    ("arm", &["armhf", "armv7", "armel"]),
    ("386", &["i386", "i686", "x86"]),
    ("ppc64le", &["ppc64el", "powerpc64le"]),
    ("ppc64", &[]),
    ("s390x", &[]),
    ("riscv64", &["riscv"]),
    ("loong64", &["loongarch64"]),
    ("mips64le", &["mips64el"]),
    ("mipsle", &["mipsel"]),
    ("mips64", &[]),
];

/// The architecture that is called so, here or elsewhere.
fn architecture_called(text: &str) -> Option<&'static str> {
    ARCHITECTURES.iter().find(|(name, others)| *name == text || others.contains(&text)).map(|(name, _)| *name)
}

fn architecture(text: &str) -> Result<(), Fault> {
    let close = match architecture_called(text) {
        Some(name) if name == text => return Ok(()),
        Some(name) => Some(name),
        None => nearest(text, ARCHITECTURES.iter().map(|(name, _)| *name)),
    };
    let fault = Fault::new(
        format!("architecture {} is not known", shown(text)),
        "expected Go's name, such as `amd64` or `arm64`",
    );
    Err(match close {
        Some(name) => fault.help(format!("did you mean `{name}`?")),
        None => fault,
    })
}

fn platform(text: &str) -> Result<Platform, Fault> {
    let expected = "expected a platform such as `\"linux/amd64\"` or `\"linux/arm/v7\"`";
    let Ok(platform) = Platform::from_str(text) else {
        let fault = Fault::new(format!("{} is no platform", shown(text)), expected);
        let named = text.strip_prefix("linux/").unwrap_or(text);
        return Err(match architecture_called(named) {
            Some(architecture) => fault.help(format!("did you mean `\"linux/{architecture}\"`?")),
            None => fault,
        });
    };
    if platform.os != "linux" {
        return Err(Fault::new(format!("images are for linux, not for {}", shown(&platform.os)), expected)
            .within(0..platform.os.len()));
    }
    let start = platform.os.len() + 1;
    architecture(&platform.architecture).map_err(|fault| fault.within(start..start + platform.architecture.len()))?;
    Ok(platform)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// Which declared keys were asked for.
        pub(super) static ASKED: RefCell<BTreeSet<(&'static str, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
    }

    #[test]
    fn every_declared_key_is_read() {
        ASKED.with_borrow_mut(BTreeSet::clear);
        crate::recipe::parse("r.toml", include_str!("testdata/everything.toml"), &crate::recipe::tests::inputs())
            .unwrap();
        let asked = ASKED.take();
        let declared: BTreeSet<(&str, &str)> =
            vocabulary::TABLES.iter().flat_map(|table| table.keys().map(|key| (table.name, key.name))).collect();
        let unread: Vec<_> = declared.difference(&asked).collect();
        assert!(unread.is_empty(), "{unread:?}");
    }

    #[test]
    fn every_example_is_understood() {
        let check = |name: &str, text: &str| -> Result<(), Fault> {
            match name {
                "any" | "argument" | "label-key" | "comment" | "title" | "directory" | "env-name" => Ok(()),
                "name" | "file-name" | "tag" | "repository" | "label-value" | "from" | "snapshot" => {
                    Template::parse(text).map(|_| ())
                }
                "user-name" => value::user_name(text, "user").map(|_| ()),
                "group" => value::name_or_id(text, "group").map(|_| ()),
                "owner" => OwnerSpec::parse(text).map(|_| ()),
                "mode" => Mode::parse(text).map(|_| ()),
                "image-path" => PerArch::<TreePath>::parse(text).map(|_| ()),
                "target" => PerArch::<Target>::parse(text).map(|_| ()),
                "link" => PerArch::<String>::parse(text).map(|_| ()),
                "context-path" => PerArch::<FilePath>::parse(text).map(|_| ()),
                "copy" => PerArch::<Selection>::parse(text).map(|_| ()),
                "image-copy" => PerArch::<ImageSelection>::parse(text).map(|_| ()),
                "pattern" => pattern_syntax(text),
                "platform" => platform(text).map(|_| ()),
                "env-value" => EnvTemplate::parse(text).map(|_| ()),
                "signal" => value::signal(text).map(|_| ()),
                "duration" => value::duration(text).map(|_| ()),
                "port" => value::ports(text).map(|_| ()),
                "created" => value::date(text).map(|_| ()),
                "sha256" => value::sha256(text).map(|_| ()),
                "arch" => architecture(text),
                "url" => PerArch::<Url>::parse(text).map(|_| ()),
                "mirror" => mirror(text).map(|_| ()),
                "capabilities" => FileCapabilities::parse(text).map(|_| ()),
                "debian-package" => DebianPackage::parse(text).map(|_| ()),
                "debian-name" => debian_name(text),
                "suite" | "component" => suite_name(text),
                "place-name" => place_name(text),
                "python-version" => python_version(text),
                "python-group" => python_group(text),
                other => panic!("{other} has no check here"),
            }
        };
        for text in vocabulary::TEXTS {
            for example in text.examples {
                assert_eq!(check(text.name, example), Ok(()), "{}: {example}", text.name);
            }
        }
        assert_eq!(snapshot("https://s.example.com/{archive}/{timestamp}/{path}"), Ok(()));
    }
}
