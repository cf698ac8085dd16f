//! A recipe as it is resolved: merged, filled in, and a recipe again.
//!
//! What is written stands there as it was written, in the place where it came to hold; only what had a placeholder or was
//! inherited through the recipe is written from what it came to. So keys need no writer each: a new one is merged by its kind.

use std::collections::{BTreeMap, BTreeSet};

use super::base::Base;
use super::document::{Node, Table, Value};
use super::image::{Image, Labels};
use super::layer::Source;
use super::problems::quoted_whole;
use super::template::escaped;
use super::vocabulary::{self, Kind};
use super::{At, Recipe, Span};
use crate::oci::Reference;

/// A value that no recipe can say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("variable {name} of image {image} has a `}}` inside of a `${{…}}`, where no recipe can write one")]
pub struct Unprintable {
    image: String,
    name: String,
}

/// Keys and values, in order.
type Entries = Vec<(String, Node)>;

impl Recipe {
    /// These images, and what they stand on or copy from, as a recipe in which nothing is open but what is only known of a
    /// base (`${PATH}`) or an architecture (`{arch}`). It makes the same images, beside the file that this one was read from.
    /// Of a base all of whose tags move it cannot say so: images on top name one of them here, and only its repository there
    /// ([`Image::called`]).
    ///
    /// # Errors
    /// Where a value came from outside that cannot be written.
    pub fn resolved(&self, chosen: &[&Image]) -> Result<String, Unprintable> {
        let images = self.with_needs(chosen);
        let mut out = "recipe = 1\n".to_owned();
        let project = ["name", "context"].map(|key| Some((key.to_owned(), self.table("project")?.get(key)?.clone())));
        section(&mut out, "[project]", &project.into_iter().flatten().collect::<Vec<_>>());
        for (name, node) in self.table("users").into_iter().flat_map(Table::iter) {
            section(&mut out, &format!("[users.{}]", key(&name.value)), &entries(node.table()));
        }
        for name in ["debian", "python", "limits"] {
            section(&mut out, &format!("[{name}]"), &entries(self.table(name)));
        }
        let variants: BTreeSet<&str> = images.iter().filter_map(|image| image.name.variant.as_deref()).collect();
        for variant in variants {
            out.push_str(&format!("\n[variants.{}]\n", key(variant)));
        }
        let mut begun = BTreeSet::new();
        for image in &images {
            let name = &image.name.image;
            let all: Vec<&str> = images
                .iter()
                .filter(|other| other.name.image == *name)
                .filter_map(|other| other.name.variant.as_deref())
                .collect();
            let mut header = format!("images.{}", key(name));
            if let Some(variant) = &image.name.variant {
                if begun.insert(name) {
                    let list: Vec<String> = all.iter().map(|variant| quoted_whole(variant)).collect();
                    out.push_str(&format!("\n[{header}]\nvariants = [{}]\n", list.join(", ")));
                }
                header = format!("{header}.{}", key(variant));
            }
            let (layers, settings): (Entries, Entries) =
                self.settings_of(image)?.into_iter().partition(|(key, _)| key == "layers");
            out.push_str(&format!("\n[{header}]\n"));
            lines(&mut out, &settings);
            for layer in layers.iter().flat_map(|(_, node)| node.list().unwrap_or_default()) {
                out.push_str(&format!("\n[[{header}.layers]]\n"));
                lines(&mut out, &entries(layer.table()));
            }
        }
        Ok(out)
    }

    fn table(&self, name: &str) -> Option<&Table> {
        self.document.get(name)?.table()
    }

    /// Everything that holds for an image, in the order of the vocabulary.
    fn settings_of(&self, image: &Image) -> Result<Entries, Unprintable> {
        let of = |table: Option<&'_ Table>, name: &str| table?.get(name)?.table().cloned();
        let own = of(self.table("images"), &image.name.image);
        let mut sections = vec![self.table("project").cloned(), self.table("defaults").cloned(), own.clone()];
        if let Some(variant) = &image.name.variant {
            sections.extend([of(self.table("variants"), variant), of(own.as_ref(), variant)]);
        }
        let mut merged = Entries::new();
        for (key, node) in sections.iter().flatten().flat_map(Table::iter) {
            if let Some(known) = vocabulary::IMAGE.key(&key.value).filter(|known| known.name != "variants") {
                merge(&mut merged, known, node);
            }
        }
        let mut set = |key: &str, value: Option<Value>| {
            merged.retain(|(name, _)| name != key);
            merged.extend(value.map(|value| (key.to_owned(), node(value))));
        };
        set("from", Some(Value::String(base(&image.from.value))));
        set("env", environment(image)?);
        set("labels", labels(&image.labels));
        set("annotations", labels(&image.annotations));
        set("repository", image.repository.as_ref().map(|name| Value::String(escaped(&name.value.to_string()))));
        let mut tags: Vec<String> = image.tags.iter().map(|tag| tag.value.clone()).collect();
        // Filled in, none moves any more: the one that images on top name comes first.
        if let Some(named) = image.called.as_ref().and_then(Reference::tag) {
            tags.sort_by_key(|tag| tag != named);
        }
        set("tags", image.publish.then(|| texts(tags.into_iter())));
        let platforms = image.platforms.as_ref();
        set("platforms", platforms.map(|list| texts(list.iter().map(|platform| platform.value.to_string()))));
        set("created", image.created.map(|date| Value::String(date.value.to_string())));
        for (layer, node) in image.layers.iter().zip(layers_mut(&mut merged)) {
            for source in &layer.sources {
                if let Source::Image(items) = &source.value {
                    name_bases(node, items.iter().map(|item| base(&item.value.from.value)));
                }
            }
        }
        merged.sort_by_key(|(name, _)| vocabulary::IMAGE.keys().position(|key| key.name == name));
        Ok(merged)
    }
}

/// As [`super::section::Section::under`] does it.
fn merge(below: &mut Entries, key: &vocabulary::Key, over: &Node) {
    let Some((_, there)) = below.iter_mut().find(|(name, _)| name == key.name) else {
        below.push((key.name.to_owned(), over.clone()));
        return;
    };
    match (&mut there.value, &over.value, &key.kind) {
        (Value::Table(there), Value::Table(over), Kind::Map { .. }) => {
            for (key, node) in over.iter() {
                there.remove(&key.value);
                there.set(key.clone(), node.clone());
            }
        }
        (Value::List(there), Value::List(over), _) if matches!(key.name, "exclude" | "layers") => {
            there.extend(over.iter().cloned());
        }
        _ => *there = over.clone(),
    }
}

fn layers_mut(entries: &mut Entries) -> impl Iterator<Item = &mut Node> {
    entries.iter_mut().filter(|(key, _)| key == "layers").flat_map(|(_, node)| match &mut node.value {
        Value::List(layers) => layers.as_mut_slice(),
        _ => &mut [],
    })
}

/// Puts what the images of a layer came to in the place of what is written.
fn name_bases(layer: &mut Node, names: impl Iterator<Item = String>) {
    let Value::Table(layer) = &mut layer.value else { return };
    let Some(image) = layer.get_mut("image") else { return };
    let items = match &mut image.value {
        Value::List(items) => items.as_mut_slice(),
        _ => std::slice::from_mut(image),
    };
    for (item, name) in items.iter_mut().zip(names) {
        if let Value::Table(item) = &mut item.value {
            item.set(At::new("image".to_owned(), NOWHERE), node(Value::String(name)));
        }
    }
}

fn base(base: &Base) -> String {
    match base {
        Base::Scratch => "scratch".to_owned(),
        Base::Image(name) => name.image.clone(),
        Base::Place(place) => place.text(),
    }
}

fn environment(image: &Image) -> Result<Option<Value>, Unprintable> {
    let mut written = BTreeMap::new();
    for (name, value) in &image.env.0 {
        let text = match &value.value {
            None => Value::Bool(false),
            Some(value) => Value::String(
                value.text().ok_or_else(|| Unprintable { image: image.name.to_string(), name: name.clone() })?,
            ),
        };
        written.insert(name.clone(), text);
    }
    Ok(map(written))
}

fn labels(labels: &Labels) -> Option<Value> {
    let written = |value: &Option<super::PerArch<String>>| match value {
        None => Value::Bool(false),
        Some(value) => Value::String(value.text()),
    };
    map(labels.iter().map(|(key, value)| (key.clone(), written(&value.value))).collect())
}

fn map(values: BTreeMap<String, Value>) -> Option<Value> {
    if values.is_empty() {
        return None;
    }
    let mut table = Table::default();
    for (key, value) in values {
        table.set(At::new(key, NOWHERE), node(value));
    }
    Some(Value::Table(table))
}

fn texts(texts: impl Iterator<Item = String>) -> Value {
    Value::List(texts.map(|text| node(Value::String(text))).collect())
}

/// What is made here is written nowhere.
const NOWHERE: Span = Span::NOWHERE;

fn node(value: Value) -> Node {
    Node { span: NOWHERE, value }
}

fn entries(table: Option<&Table>) -> Entries {
    table.into_iter().flat_map(Table::iter).map(|(key, node)| (key.value.clone(), node.clone())).collect()
}

fn section(out: &mut String, header: &str, entries: &[(String, Node)]) {
    if !entries.is_empty() {
        out.push_str(&format!("\n{header}\n"));
        lines(out, entries);
    }
}

fn lines(out: &mut String, entries: &[(String, Node)]) {
    for (name, node) in entries {
        out.push_str(&format!("{} = {}\n", key(name), inline(&node.value)));
    }
}

/// A value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted_whole(text),
        Value::Integer(Some(number)) => number.to_string(),
        // No key takes one: a recipe with it was refused.
        Value::Integer(None) | Value::Float => "0".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Date(date) => date.to_string(),
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(|node| inline(&node.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let items: Vec<String> =
                table.iter().map(|(name, node)| format!("{} = {}", key(&name.value), inline(&node.value))).collect();
            match items.is_empty() {
                true => "{}".to_owned(),
                false => format!("{{ {} }}", items.join(", ")),
            }
        }
    }
}

/// A key, bare where it can be.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare { name.to_owned() } else { quoted_whole(name) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Inputs;
    use super::super::parse;
    use super::super::tests::{good_recipes, inputs};

    /// Breaks when a key is lost, comes to something else, or needs something from outside again.
    #[test]
    fn what_is_printed_is_a_recipe_that_comes_to_itself() {
        let spans = regex::Regex::new(r"span: Span \{[^}]*\}").unwrap();
        for (name, text) in good_recipes() {
            let recipe = parse("r.toml", text, &inputs()).unwrap();
            let all: Vec<_> = recipe.images.iter().collect();
            let printed = recipe.resolved(&all).unwrap();
            let again = parse("r.toml", &printed, &Inputs::default())
                .unwrap_or_else(|error| panic!("{name}: {error}\n{printed}"));
            assert_eq!(again.resolved(&again.images.iter().collect::<Vec<_>>()).unwrap(), printed, "{name}");
            // Where all tags move, nothing says so in what is printed.
            let moving = recipe.images.iter().filter(|image| {
                image.called.as_ref().is_some_and(|called| called.tag().is_none() && !image.tags.is_empty())
            });
            let moving: BTreeSet<String> = moving.map(|image| image.name.to_string()).collect();
            let shown = |recipe: &super::Recipe| {
                let mut images: Vec<String> = recipe
                    .images
                    .iter()
                    .map(|image| {
                        let called = image.called.clone().filter(|_| !moving.contains(&image.name.to_string()));
                        let image = super::Image { called, ..image.clone() };
                        spans.replace_all(&format!("{image:#?}"), "").into_owned()
                    })
                    .collect();
                images.sort();
                (images, recipe.users.len(), spans.replace_all(&format!("{:#?}", recipe.debian), "").into_owned())
            };
            let (before, after) = (shown(&recipe), shown(&again));
            for (before, after) in before.0.iter().zip(&after.0) {
                assert_eq!(before, after, "{name}\n{printed}");
            }
            assert_eq!(before, after, "{name}");
        }
    }
}
