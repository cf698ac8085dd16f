//! In which settings two images differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use super::image::Side;
use crate::logins::shown as said;
use crate::oci::{ContainerConfig, History};

/// One thing in which two images differ, as it is written in them; [`fmt::Display`] makes it fit for a terminal,
/// without logins.
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
        let side = |side: &Option<String>| side.as_deref().map_or_else(|| "-".to_owned(), said);
        write!(f, "{}\t{}\t{}", said(&self.of), side(&self.first), side(&self.second))
    }
}

/// What can be said of an image, by name.
pub(crate) type Facts = BTreeMap<String, String>;

fn between(first: &Facts, second: &Facts) -> Vec<Difference> {
    let keys: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let differs = |key: &&String| first.get(*key) != second.get(*key);
    keys.into_iter()
        .filter(differs)
        .map(|key| Difference { of: key.clone(), first: first.get(key).cloned(), second: second.get(key).cloned() })
        .collect()
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// In which settings they differ. The order of environment variables plays no part.
pub fn settings(first: &ContainerConfig, second: &ContainerConfig) -> Vec<Difference> {
    between(&facts(first), &facts(second))
}

/// All settings by what they are called (`env PATH`, `user`); those that say nothing are left out.
pub(crate) fn facts(config: &ContainerConfig) -> Facts {
    let mut facts = BTreeMap::new();
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
        facts.insert(format!("env {name}"), value.to_owned());
    }
    for (name, value) in &config.labels {
        facts.insert(format!("label {name}"), value.clone());
    }
    for (what, names) in [("port", &config.exposed_ports), ("volume", &config.volumes)] {
        for name in names.keys() {
            facts.insert(format!("{what} {name}"), "yes".to_owned());
        }
    }
    facts
}

/// In what their documents differ besides: annotations of the image, the format, the date. Of an image whose place keeps
/// no manifests, only the date is told.
pub fn of_documents(first: &Side<'_>, second: &Side<'_>, manifests: bool) -> Vec<Difference> {
    let facts = |side: &Side<'_>| {
        let mut facts = Facts::new();
        if manifests {
            for (key, value) in &side.manifest.annotations {
                facts.insert(format!("annotation {key}"), value.clone());
            }
            facts.insert("format".to_owned(), side.manifest.config.media_type.to_string());
        }
        if let Some(created) = &side.config.created {
            facts.insert("date".to_owned(), created.clone());
        }
        facts
    };
    between(&facts(first), &facts(second))
}

/// In what else their documents differ: whatever makes another digest, and nobody looks at first.
pub fn rest(first: &Side<'_>, second: &Side<'_>, manifests: bool) -> Vec<Difference> {
    let facts = |side: &Side<'_>| {
        let mut facts = Facts::new();
        let mut put = |of: String, value: String| drop(facts.insert(of, value));
        let config = side.config;
        for (key, value) in &config.config.extra {
            put(format!("setting {key}"), shown(value));
        }
        for (key, value) in &config.extra {
            put(format!("config {key}"), shown(value));
        }
        put("platform".to_owned(), config.platform().to_string());
        for (number, line) in config.history.iter().enumerate() {
            put(format!("history line {}", number + 1), history(line));
        }
        if manifests {
            for (key, value) in &side.manifest.extra {
                put(format!("manifest {key}"), shown(value));
            }
            for (number, layer) in side.manifest.layers.iter().enumerate() {
                for (key, value) in &layer.annotations {
                    put(format!("annotation {key} of layer {}", number + 1), value.clone());
                }
            }
        }
        facts
    };
    let mut found = between(&facts(first), &facts(second));
    let (env, other) = (&first.config.config.env, &second.config.config.env);
    let sorted = |env: &[String]| env.iter().cloned().collect::<BTreeSet<_>>();
    if env != other && sorted(env) == sorted(other) {
        let names = |env: &[String]| {
            let names: Vec<&str> = env.iter().map(|line| line.split('=').next().unwrap_or_default()).collect();
            names.join(" ")
        };
        found.push(Difference { of: "order of env".to_owned(), first: Some(names(env)), second: Some(names(other)) });
    }
    found
}

fn history(line: &History) -> String {
    let parts = [&line.created_by, &line.comment, &line.created];
    let told = parts.into_iter().flatten().cloned().collect::<Vec<_>>().join(", ");
    if line.empty_layer { format!("({told})") } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_compared_to_their_ends_and_shown_on_one_line() {
        let config = |end: &str| ContainerConfig {
            env: vec![format!("LONG={}{end}", "x".repeat(300)), "SAME=1".to_owned()],
            ..ContainerConfig::default()
        };
        let found = settings(&config("\u{1b}[1m"), &config("b"));
        let [difference] = &found[..] else { panic!("{found:?}") };
        assert_eq!(difference.of, "env LONG");
        assert!(difference.first.as_ref().is_some_and(|value| value.ends_with("\u{1b}[1m")));
        assert!(!difference.to_string().contains('\u{1b}'));
        assert!(settings(&config("a"), &config("a")).is_empty());
    }

    #[test]
    fn the_order_of_variables_and_ways_to_write_root_play_no_part() {
        let config = |user: Option<&str>, env: [&str; 2]| ContainerConfig {
            user: user.map(str::to_owned),
            env: env.map(str::to_owned).to_vec(),
            ..ContainerConfig::default()
        };
        let one = config(None, ["A=1", "B=2"]);
        assert!(settings(&one, &config(Some("0:0"), ["B=2", "A=1"])).is_empty());
        let other = settings(&one, &config(Some("7"), ["B=2", "A="]));
        let told: Vec<String> = other.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["env A\t1\t", "user\t-\t7"]);
    }
}
