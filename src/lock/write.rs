//! The lock's text: TOML, sorted, a line for each package, for people who review changes.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{DebPin, DebianPins, FetchPin, ImagePin, Lock, PythonPins, VERSION, ViewPin, WheelPin};

/// What every lock begins with.
const HEAD: &str = "\
# What the recipe's names came to. Written by `lapstrake lock`; commit it beside the recipe.
# It names files and digests and never hosts: mirrors, indexes and registries come from each machine's configuration.
";

impl Lock {
    /// Its text. The same lock is the same text.
    pub fn text(&self) -> String {
        let mut lock = self.clone();
        lock.sort();
        let mut out = HEAD.to_owned();
        let _ = writeln!(out, "lock    = {VERSION}\nformat  = {}\neffects = {}", lock.format, lock.effects);
        for pin in &lock.images {
            image(pin, &mut out);
        }
        for pins in &lock.debian {
            debian("debian", pins, &mut out);
        }
        for pins in &lock.compilers {
            debian("compiler", pins, &mut out);
        }
        for pins in &lock.python {
            python(pins, &mut out);
        }
        for pin in &lock.fetch {
            fetch(pin, &mut out);
        }
        for pin in &lock.views {
            view(pin, &mut out);
        }
        out
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A list with one item a line.
fn list<'a>(name: &str, items: impl Iterator<Item = &'a str>, out: &mut String) {
    let _ = writeln!(out, "{name} = [");
    for item in items {
        let _ = writeln!(out, "  {},", quoted(item));
    }
    let _ = writeln!(out, "]");
}

fn image(pin: &ImagePin, out: &mut String) {
    let _ = writeln!(out, "\n[[image]]\nname     = {}\nplatform = {}", quoted(&pin.name), quoted(&pin.platform));
    let _ = writeln!(out, "manifest = \"{}\"\nconfig   = \"{}\"", pin.manifest, pin.config);
    if !pin.seal().is_empty() {
        let _ = writeln!(out, "seal     = \"{}\"", pin.seal());
    }
    image_seal(pin, out);
}

/// The part of an entry that its seal is over.
pub(super) fn image_seal(pin: &ImagePin, out: &mut String) {
    known("image", &pin.python, &pin.knowledge, &pin.texts, out);
    table("image.files", &pin.files, out);
}

fn view(pin: &ViewPin, out: &mut String) {
    let _ = writeln!(out, "\n[[view]]\nlayer    = {}\nplatform = {}", quoted(&pin.layer), quoted(&pin.platform));
    let _ = writeln!(out, "seal     = \"{}\"", pin.seal());
    view_seal(pin, out);
}

/// The part of an entry that its seal is over.
pub(super) fn view_seal(pin: &ViewPin, out: &mut String) {
    known("view", &pin.python, &pin.knowledge, &pin.texts, out);
    table("view.files", &pin.files, out);
}

fn known(of: &str, python: &str, knowledge: &[String], texts: &BTreeMap<String, String>, out: &mut String) {
    if !python.is_empty() {
        let _ = writeln!(out, "python   = {}", quoted(python));
    }
    if !knowledge.is_empty() {
        list("knowledge", knowledge.iter().map(String::as_str), out);
    }
    table(&format!("{of}.texts"), texts, out);
}

/// A table of texts, where there are any.
fn table(name: &str, texts: &BTreeMap<String, String>, out: &mut String) {
    if !texts.is_empty() {
        let _ = writeln!(out, "[{name}]");
        for (path, text) in texts {
            let _ = writeln!(out, "{} = {}", quoted(path), quoted(text));
        }
    }
}

fn debian(table: &str, pins: &DebianPins, out: &mut String) {
    let _ = writeln!(out, "\n[[{table}]]\nplatform = {}", quoted(&pins.platform));
    list("layers", pins.layers.iter().map(String::as_str), out);
    list("asked", pins.asked.lines(), out);
    let _ = writeln!(out, "seal = \"{}\"", pins.seal());
    debian_seal(pins, out);
}

/// The part of an entry that its seal is over.
pub(super) fn debian_seal(pins: &DebianPins, out: &mut String) {
    if !pins.archives.is_empty() {
        let archives: Vec<String> =
            pins.archives.iter().map(|(name, date)| format!("{} = {}", quoted(name), quoted(date))).collect();
        let _ = writeln!(out, "archives = {{ {} }}", archives.join(", "));
    }
    if !pins.accounts.is_empty() {
        let accounts: Vec<String> = pins.accounts.iter().map(|(name, id)| format!("{} = {id}", quoted(name))).collect();
        let _ = writeln!(out, "accounts = {{ {} }}", accounts.join(", "));
    }
    if !pins.skipped.is_empty() {
        list("skipped", pins.skipped.iter().map(String::as_str), out);
    }
    let _ = writeln!(out, "packages = [");
    for DebPin { name, version, architecture, archive, path, size, sha256 } in &pins.packages {
        let _ = writeln!(
            out,
            "  {{ name = {}, version = {}, architecture = {}, archive = {}, path = {}, size = {size}, sha256 = {} }},",
            quoted(name),
            quoted(version),
            quoted(architecture),
            quoted(archive),
            quoted(path),
            quoted(&sha256.hex()),
        );
    }
    let _ = writeln!(out, "]");
}

fn python(pins: &PythonPins, out: &mut String) {
    let _ = writeln!(out, "\n[[python]]\nplatform = {}", quoted(&pins.platform));
    list("layers", pins.layers.iter().map(String::as_str), out);
    list("asked", pins.asked.lines(), out);
    let _ = writeln!(out, "seal = \"{}\"", pins.seal());
    python_seal(pins, out);
}

/// The part of an entry that its seal is over.
pub(super) fn python_seal(pins: &PythonPins, out: &mut String) {
    let _ = writeln!(out, "wheels = [");
    for WheelPin { name, version, index, file, size, sha256, requested } in &pins.wheels {
        let requested = if *requested { ", requested = true" } else { "" };
        let _ = writeln!(
            out,
            "  {{ name = {}, version = {}, index = {}, file = {}, size = {size}, sha256 = {}{requested} }},",
            quoted(name),
            quoted(version),
            quoted(index),
            quoted(file),
            quoted(&sha256.hex()),
        );
    }
    let _ = writeln!(out, "]");
}

fn fetch(pin: &FetchPin, out: &mut String) {
    let FetchPin { name, platform, size, sha256 } = pin;
    let _ = writeln!(out, "\n[[fetch]]\nname     = {}\nplatform = {}", quoted(name), quoted(platform));
    let _ = writeln!(out, "size     = {size}\nsha256   = \"{}\"", sha256.hex());
}
