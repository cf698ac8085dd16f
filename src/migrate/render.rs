//! A recipe as text, with its comments.

use std::collections::BTreeMap;

use super::draft::{Copied, Draft, How, Item, Key, Layer, Python, Recipe, Setting, Source, Toml, User};
use super::state::split;
use crate::recipe::quoted_whole;
use crate::shown::is_unseen;

/// Longer lines are written with one item a line.
const WIDTH: usize = 118;

pub(super) fn recipe(recipe: &Recipe) -> String {
    let mut out = Text::default();
    out.comments(&recipe.comments);
    out.line("recipe = 1");
    out.blank();
    out.line("[project]");
    out.pair("name", &Toml::text(&recipe.name));
    if let Some(context) = &recipe.context {
        out.pair("context", &Toml::text(context));
    }
    out.line(&format!(
        "# repository = \"registry.example.com/{}/{{image}}\"   # where `lapstrake build --push` goes",
        super::names::clean(&recipe.name)
    ));
    out.line("# tags       = [\"latest\", \"{git.short:-dev}\"]");
    out.line("# platforms  = [\"linux/amd64\", \"linux/arm64\"]");
    for (name, user) in &recipe.users {
        out.user(name, user);
    }
    if !recipe.suites.is_empty() || !recipe.suites_comments.is_empty() {
        out.blank();
        out.line("[debian]");
        out.comments(&recipe.suites_comments);
        if !recipe.suites.is_empty() {
            out.pair("suites", &Toml::texts(&recipe.suites));
        }
    }
    if let Some(owner) = &recipe.owner {
        out.blank();
        out.line("[defaults]");
        out.line("# of everything copied, in all images");
        out.pair("owner", &Toml::text(owner));
    }
    for (name, settings) in &recipe.variants {
        out.blank();
        out.line(&format!("[variants.{}]", key(name)));
        out.settings(settings, &format!("variants.{}", key(name)));
    }
    for draft in &recipe.images {
        out.image(draft);
    }
    out.0
}

#[derive(Default)]
struct Text(String);

/// A key that may stand without quotes.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare { name.to_owned() } else { quoted_whole(name) }
}

fn value(value: &Toml) -> String {
    match value {
        Toml::Text(text) => quoted_whole(text),
        Toml::Number(number) => number.to_string(),
        Toml::False => "false".to_owned(),
        Toml::True => "true".to_owned(),
        Toml::List(list) => format!("[{}]", list.iter().map(self::value).collect::<Vec<_>>().join(", ")),
        Toml::Table(pairs) if pairs.is_empty() => "{}".to_owned(),
        Toml::Table(pairs) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(name, item)| format!("{} = {}", key(name), self::value(item))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

impl Text {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn blank(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with("\n\n") {
            self.0.push('\n');
        }
    }

    fn comments(&mut self, comments: &[String]) {
        // Where something comes from, on as few lines as it takes; then what is said about it.
        let (places, said): (Vec<&String>, Vec<&String>) = comments.iter().partition(|comment| !comment.contains(' '));
        let mut line = String::new();
        for place in places {
            if !line.is_empty() && line.len() + place.len() > WIDTH {
                self.line(&format!("# {line}"));
                line.clear();
            }
            line = if line.is_empty() { place.clone() } else { format!("{line}, {place}") };
        }
        if !line.is_empty() {
            self.line(&format!("# {line}"));
        }
        for line in said.into_iter().flat_map(|comment| comment.lines()) {
            let safe: String = line.chars().map(|c| if is_unseen(c) { ' ' } else { c }).collect();
            self.line(format!("# {safe}").trim_end());
        }
    }

    fn pair(&mut self, name: &str, item: &Toml) {
        let whole = format!("{name} = {}", value(item));
        match item {
            Toml::List(list) if whole.chars().count() > WIDTH => {
                self.line(&format!("{name} = ["));
                let mut line = String::new();
                for item in list {
                    let item = format!("{}, ", value(item));
                    if !line.is_empty() && line.len() + item.len() > WIDTH - 4 {
                        self.line(&format!("    {}", line.trim_end()));
                        line.clear();
                    }
                    line.push_str(&item);
                }
                self.line(&format!("    {}", line.trim_end()));
                self.line("]");
            }
            _ => self.line(&whole),
        }
    }

    fn user(&mut self, name: &str, user: &User) {
        self.blank();
        self.comments(&user.comments);
        self.line(&format!("[users.{}]", key(name)));
        self.pair("uid", &Toml::Number(user.uid.into()));
        self.pair("gid", &Toml::Number(user.gid.into()));
        self.pair("home", &Toml::text(&user.home));
        self.pair("shell", &Toml::text(&user.shell));
        if !user.groups.is_empty() {
            self.pair("groups", &Toml::texts(&user.groups));
        }
        if user.create_home {
            self.pair("create_home", &Toml::True);
        }
        if !user.comment.is_empty() {
            self.pair("comment", &Toml::text(&user.comment));
        }
    }

    /// Plain keys first: a key after the header of a table would be the table's.
    fn settings(&mut self, settings: &BTreeMap<Key, Setting>, table: &str) {
        let large = |setting: &Setting| match &setting.value {
            Toml::Table(pairs) => pairs.len() > 2 || value(&setting.value).chars().count() > 90,
            _ => false,
        };
        for (name, setting) in settings {
            if !(matches!(name, Key::Env | Key::Labels) && large(setting)) {
                self.comments(&setting.comments);
                self.pair(name.word(), &setting.value);
            }
        }
        for (name, setting) in settings {
            if let Toml::Table(pairs) = &setting.value
                && matches!(name, Key::Env | Key::Labels)
                && large(setting)
            {
                self.blank();
                self.line(&format!("[{table}.{}]", name.word()));
                self.comments(&setting.comments);
                for (name, item) in pairs {
                    self.pair(&key(name), item);
                }
            }
        }
    }

    fn image(&mut self, draft: &Draft) {
        self.blank();
        self.comments(&draft.comments);
        let table = format!("images.{}", key(&draft.name));
        self.line(&format!("[{table}]"));
        self.settings(&draft.settings, &table);
        self.items(&draft.items, &table);
        for (variant, overlay) in &draft.variants {
            if overlay.settings.is_empty() && overlay.items.is_empty() {
                continue;
            }
            let table = format!("{table}.{}", key(variant));
            self.blank();
            self.line(&format!("[{table}]"));
            self.settings(&overlay.settings, &table);
            self.items(&overlay.items, &table);
        }
    }

    fn items(&mut self, items: &[Item], table: &str) {
        for item in items {
            match item {
                Item::Comment(lines) => {
                    self.blank();
                    self.comments(lines);
                }
                Item::Layer(layer) => {
                    self.blank();
                    self.comments(&layer.comments);
                    self.line(&format!("[[{table}.layers]]"));
                    self.layer(layer);
                }
            }
        }
    }

    fn layer(&mut self, layer: &Layer) {
        if let Some(name) = &layer.name {
            self.pair("name", &Toml::text(name));
        }
        let (name, source) = source(layer);
        self.pair(name, &source);
        let (landing, exact) = match &layer.source {
            Source::Copy(items) | Source::Image { copy: items, .. } => {
                (true, items.iter().all(|item| item.how == How::Exact))
            }
            Source::Archive(_) | Source::Fetch(_) => (true, false),
            _ => (false, false),
        };
        // Exact paths need no `to`, unless modes are told from there.
        if let Some(to) = layer.to.as_ref().filter(|_| landing && !(exact && layer.modes.is_empty())) {
            self.pair("to", &Toml::text(to));
        }
        for (name, text) in [("owner", &layer.owner), ("mode", &layer.mode), ("dir_mode", &layer.dir_mode)] {
            if let Some(text) = text {
                self.pair(name, &Toml::text(text));
            }
        }
        if !layer.modes.is_empty() {
            let mut modes: Vec<(String, Toml)> = Vec::new();
            for (pattern, mode) in &layer.modes {
                // The later wins, in its place.
                modes.retain(|(known, _)| known != pattern);
                modes.push((pattern.clone(), Toml::text(mode)));
            }
            self.pair("modes", &Toml::Table(modes));
        }
        for (name, list) in [("include", &layer.include), ("exclude", &layer.exclude)] {
            if !list.is_empty() {
                self.pair(name, &Toml::texts(list));
            }
        }
    }
}

/// The key of a source, and what it holds.
fn source(layer: &Layer) -> (&'static str, Toml) {
    let map = |pairs: &[(String, String)]| {
        Toml::Table(pairs.iter().map(|(name, text)| (name.clone(), Toml::text(text))).collect())
    };
    match &layer.source {
        Source::Copy(items) => ("copy", copied(items, layer.to.as_deref().unwrap_or("/"))),
        Source::Image { image, copy } => {
            let copy = copied(copy, layer.to.as_deref().unwrap_or("/"));
            ("image", Toml::Table(vec![("image".to_owned(), Toml::text(image)), ("copy".to_owned(), copy)]))
        }
        Source::Files(files) => ("files", map(files)),
        Source::Symlinks(links) => ("symlinks", map(links)),
        Source::Caps(caps) => ("caps", map(caps)),
        Source::Dirs(dirs) => {
            let plain = dirs.iter().all(|(_, owner, mode)| owner.is_none() && mode.is_none());
            if plain {
                return ("dirs", Toml::texts(dirs.iter().map(|(path, ..)| path)));
            }
            let dir = |(path, owner, mode): &(String, Option<String>, Option<String>)| {
                let owner = owner.as_ref().map(|owner| ("owner".to_owned(), Toml::text(owner)));
                let mode = mode.as_ref().map(|mode| ("mode".to_owned(), Toml::text(mode)));
                (path.clone(), Toml::Table(owner.into_iter().chain(mode).collect()))
            };
            ("dirs", Toml::Table(dirs.iter().map(dir).collect()))
        }
        Source::Archive(paths) => ("archive", one_or_many(paths)),
        Source::Fetch(fields) => ("fetch", Toml::Table(fields.clone())),
        Source::Ca(paths) => ("ca", Toml::texts(paths)),
        Source::Remove(paths) => ("remove", Toml::texts(paths)),
        Source::Debian { packages, recommends, slim, suites } => {
            if !recommends && !slim && suites.is_empty() {
                return ("debian", Toml::texts(packages));
            }
            let mut table = vec![("packages".to_owned(), Toml::texts(packages))];
            if *recommends {
                table.push(("recommends".to_owned(), Toml::True));
            }
            if *slim {
                table.push(("slim".to_owned(), Toml::True));
            }
            if !suites.is_empty() {
                table.push(("suites".to_owned(), Toml::texts(suites)));
            }
            ("debian", Toml::Table(table))
        }
        Source::Python(python) => ("python", Toml::Table(packages(python))),
    }
}

fn packages(python: &Python) -> Vec<(String, Toml)> {
    let mut table = Vec::new();
    let mut put = |name: &str, value: Toml| table.push((name.to_owned(), value));
    if !python.requirements.is_empty() {
        put("requirements", one_or_many(&python.requirements));
    }
    if let Some(lock) = &python.uv_lock {
        put("uv_lock", Toml::text(lock));
    }
    if !python.wheels.is_empty() {
        put("wheels", one_or_many(&python.wheels));
    }
    for (name, list) in [("extras", &python.extras), ("groups", &python.groups)] {
        if !list.is_empty() {
            put(name, Toml::texts(list));
        }
    }
    if let Some(index) = &python.index {
        put("index", Toml::text(index));
    }
    match (&python.target, &python.venv) {
        (Some(target), _) => put("target", Toml::text(target)),
        (None, Some(venv)) => put("venv", Toml::text(venv)),
        (None, None) => {}
    }
    table
}

fn one_or_many(list: &[String]) -> Toml {
    match list {
        [one] => Toml::text(one),
        list => Toml::texts(list),
    }
}

fn copied(items: &[Copied], to: &str) -> Toml {
    let item = |item: &Copied| {
        let here = match item.how {
            How::Name => split(&item.dest).0 == to,
            How::Contents => item.dest == to,
            How::Exact => false,
        };
        match (here, item.how) {
            (true, How::Name) => Toml::text(&item.src),
            (true, _) if item.src == "." || item.src.ends_with('/') => Toml::text(&item.src),
            (true, _) => Toml::text(format!("{}/", item.src)),
            (false, _) => Toml::Table(vec![
                ("src".to_owned(), Toml::text(&item.src)),
                ("dest".to_owned(), Toml::text(&item.dest)),
            ]),
        }
    };
    match items {
        [Copied { how: How::Exact, .. }] => item(&items[0]),
        items => Toml::List(items.iter().map(item).collect()),
    }
}
