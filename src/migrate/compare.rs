//! Whether two images are alike: their settings, and what stands at each path.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::oci::ContainerConfig;
use crate::shown::Shown;
use crate::tree::{Node, NodeKind, Rootfs, TreePath};

/// One thing in which two images differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `env PATH`, or a path from the root.
    pub of: String,
    /// What the first has; nothing where it has none.
    pub first: Option<String>,
    /// What the second has.
    pub second: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
        write!(f, "{}\t{}\t{}", self.of, side(&self.first), side(&self.second))
    }
}

/// In which settings they differ. The order of environment variables plays no part.
pub fn settings(first: &ContainerConfig, second: &ContainerConfig) -> Vec<Difference> {
    let (first, second) = (facts(first), facts(second));
    let keys: std::collections::BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let differs = |key: &&String| first.get(*key) != second.get(*key);
    keys.into_iter()
        .filter(differs)
        .map(|key| Difference { of: key.clone(), first: first.get(key).cloned(), second: second.get(key).cloned() })
        .collect()
}

fn facts(config: &ContainerConfig) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let shown = |value: &Value| match value {
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    };
    let mut put = |key: String, value: Value| {
        let empty = value.is_null() || value == json!("") || value == json!([]);
        if !empty {
            facts.insert(key, shown(&value));
        }
    };
    // Root is who nobody else is.
    let user = config.user.clone().filter(|user| !matches!(user.as_str(), "0" | "0:0" | "root" | "root:root"));
    put("user".to_owned(), json!(user));
    put("workdir".to_owned(), json!(config.working_dir.clone().filter(|directory| directory != "/")));
    put("entrypoint".to_owned(), json!(config.entrypoint));
    put("cmd".to_owned(), json!(config.cmd));
    put("stop signal".to_owned(), json!(config.stop_signal));
    put("shell".to_owned(), json!(config.shell));
    put("healthcheck".to_owned(), json!(config.healthcheck));
    for line in &config.env {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        facts.insert(format!("env {}", clean(name)), clean(value));
    }
    for (name, value) in &config.labels {
        facts.insert(format!("label {}", clean(name)), clean(value));
    }
    for (what, names) in [("port", &config.exposed_ports), ("volume", &config.volumes)] {
        for name in names.keys() {
            facts.insert(format!("{what} {}", clean(name)), "yes".to_owned());
        }
    }
    facts
}

fn clean(text: &str) -> String {
    Shown::new(text.as_bytes()).as_str().trim_matches('`').to_owned()
}

/// At which paths they differ in kind, mode, owner or the target of a symlink; paths below `ignored` are passed over.
pub fn files(first: &Rootfs, second: &Rootfs, ignored: &[TreePath]) -> Vec<Difference> {
    let wanted = |path: &TreePath| {
        let path = path.to_string();
        !ignored.iter().any(|prefix| {
            let prefix = prefix.to_string();
            path == prefix || path.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let mut paths: BTreeMap<&TreePath, (Option<&Node>, Option<&Node>)> = BTreeMap::new();
    for (path, node) in first.iter().filter(|(path, _)| wanted(path)) {
        paths.entry(path).or_default().0 = Some(node);
    }
    for (path, node) in second.iter().filter(|(path, _)| wanted(path)) {
        paths.entry(path).or_default().1 = Some(node);
    }
    let mut found: Vec<Difference> = Vec::new();
    let mut absent: Option<(String, bool)> = None;
    for (path, (first, second)) in paths {
        let path = path.to_string();
        // A directory that one lacks stands for all that is in it.
        if let Some((above, in_first)) = &absent
            && path.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with('/'))
            && in_first == &first.is_some()
            && first.is_some() != second.is_some()
        {
            continue;
        }
        let (first, second) = (first.map(line), second.map(line));
        if first == second {
            continue;
        }
        if first.is_none() || second.is_none() {
            absent = Some((path.clone(), first.is_some()));
        }
        found.push(Difference { of: clean(&path), first, second });
    }
    found
}

fn line(node: &Node) -> String {
    let kind = match &node.kind {
        NodeKind::Directory => "directory",
        NodeKind::File(_) => "file",
        NodeKind::Symlink(target) => {
            return format!("symlink to {}", clean(&String::from_utf8_lossy(target)));
        }
        NodeKind::Special => "special",
    };
    format!("{kind} {:04o} {}", node.mode, node.owner)
}
