//! From tables of the right shape to values that mean something: every string is read, and what is wrong with it is said.

mod layer;
mod packages;
mod platform;
mod settings;

pub use platform::platform_meant;

use std::collections::BTreeMap;

use super::document::{Node, Table};
use super::path::FromText;
use super::problems::{Fault, Problems, shown};
use super::user::User;
use super::{At, Span, value, vocabulary};
use crate::limits::Limits;
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

/// Reads values, and gathers what is wrong with them.
pub(super) struct Reader<'p> {
    pub(super) problems: &'p mut Problems,
}

impl Reader<'_> {
    /// `[limits]`.
    pub(super) fn limits(&mut self, recipe: &Fields<'_>) -> Limits {
        let mut limits = Limits { has_recipe: true, ..Limits::default() };
        if let Some(fields) = recipe.table("limits", &vocabulary::LIMITS) {
            let number = |key| fields.get(key).and_then(Node::integer).and_then(|number| u64::try_from(number).ok());
            limits.entries = number("entries");
            limits.ratio = number("ratio");
            limits.unpacked = self.read(fields.text("unpacked"), value::size).map(|size| size.value);
        }
        limits
    }

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
        self.refuse_alike(list, what, |first, second| first == second);
    }

    /// The same, where a thing can be written in several ways.
    fn refuse_alike<T>(&mut self, list: &[At<T>], what: &str, alike: impl Fn(&T, &T) -> bool) {
        for (position, item) in list.iter().enumerate().take(1000) {
            if let Some(first) = list[..position].iter().find(|first| alike(&first.value, &item.value)) {
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
                    .error(span, format!("users {} and {} have the same uid", shown(&other.value), shown(&name.value)))
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
}

fn small(node: Option<&Node>) -> Option<u8> {
    node.and_then(Node::integer).and_then(|number| u8::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use std::collections::BTreeSet;

    use url::Url;

    use super::packages::{mirror, snapshot};
    use super::platform::{architecture, platform};
    use super::*;
    use crate::recipe::environment::EnvTemplate;
    use crate::recipe::packages::{DebianPackage, debian_name, place_name, python_group, python_version, suite_name};
    use crate::recipe::path::{FilePath, ImageSelection, PerArch, Selection, Target, pattern_syntax};
    use crate::recipe::template::Template;
    use crate::recipe::value::{FileCapabilities, Mode, OwnerSpec};

    thread_local! {
        /// Which declared keys were asked for.
        pub(super) static ASKED: RefCell<BTreeSet<(&'static str, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
    }

    #[test]
    fn every_declared_key_is_read() {
        ASKED.with_borrow_mut(BTreeSet::clear);
        crate::recipe::parse("r.toml", include_str!("../testdata/everything.toml"), &crate::recipe::tests::inputs())
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
                "size" => value::size(text).map(|_| ()),
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
            let per_arch = text.examples.iter().find(|example| example.contains("{arch}"));
            if text.fills() == vocabulary::Fills::Arch {
                let other = per_arch.expect("an example with `{arch}`").replace("{arch}", "{image}");
                assert!(check(text.name, &other).is_err(), "{other}");
            }
        }
        assert_eq!(snapshot("https://s.example.com/{archive}/{timestamp}/{path}"), Ok(()));
    }
}
