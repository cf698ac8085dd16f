//! Settings of `[project]`, `[defaults]`, images and variants.

use std::collections::{BTreeMap, BTreeSet};

use super::packages::PackageDefaults;
use super::platform::platform;
use super::{Fields, Reader, items};
use crate::compress::Encoding;
use crate::nearest::nearest;
use crate::oci::{Family, Healthcheck};
use crate::recipe::document::{Node, Value};
use crate::recipe::environment::EnvTemplate;
use crate::recipe::image::Setting;
use crate::recipe::layer::{FileRules, ModeRule};
use crate::recipe::path::{PerArch, pattern_syntax};
use crate::recipe::problems::{Fault, shown};
use crate::recipe::section::{Created, Section};
use crate::recipe::template::Template;
use crate::recipe::value::{self, FileMode, Mode, OwnerSpec, Port};
use crate::recipe::{At, vocabulary};
use crate::tree::TreePath;

impl Reader<'_> {
    /// What `[project]` says of all images.
    pub(in crate::recipe) fn project(&mut self, fields: &Fields<'_>) -> Section {
        let mut section = Section::default();
        self.publishing(fields, &mut section);
        section
    }

    /// `[defaults]`, an image, or a variant.
    pub(in crate::recipe) fn section(&mut self, fields: &Fields<'_>, packages: &PackageDefaults) -> Section {
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
            // Whoever pulls fills in the usual variant: of two that differ in that alone, one is never found.
            self.refuse_alike(&platforms, "platform", |first, second| first.satisfies(second));
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

    pub(super) fn rules(&mut self, fields: &Fields<'_>) -> FileRules {
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

    pub(super) fn patterns(&mut self, node: Option<&Node>) -> Vec<At<String>> {
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
            if count > value::MAX_PORTS {
                let diagnostic = self.problems.error(node.span, format!("with these, the list holds {count} ports"));
                self.problems.push(diagnostic.label(format!("expected {} at most", value::MAX_PORTS)));
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
                Some(word) => {
                    let fixed = match nearest(word, ["CMD", "CMD-SHELL"]) {
                        Some(near) => format!("`{near}`, if that is meant by {}", shown(word)),
                        None => format!("`[\"CMD\", {}`", list.trim_start_matches('[')),
                    };
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
