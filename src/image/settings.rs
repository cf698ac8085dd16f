//! What an image says about how it is started: changes to what its base says, as Docker applies them.

use std::collections::BTreeMap;

use crate::oci::config::Empty;
use crate::oci::{ContainerConfig, Healthcheck, History};

/// One setting over what the base has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The base's holds.
    #[default]
    Inherit,
    /// The base's is taken away.
    Clear,
    /// This holds.
    Set(T),
}

/// Settings of an image, all resolved: numeric users, expanded environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `uid:gid`.
    pub user: Change<String>,
    /// An absolute path.
    pub workdir: Change<String>,
    /// Variables: `Some` sets, `None` takes away. New ones come after the base's, in the order of their names.
    pub env: BTreeMap<String, Option<String>>,
    /// What is executed. Setting it takes an inherited `cmd` away.
    pub entrypoint: Change<Vec<String>>,
    /// Arguments.
    pub cmd: Change<Vec<String>>,
    /// Labels: `Some` sets, `None` takes away.
    pub labels: BTreeMap<String, Option<String>>,
    /// Ports (`8080/tcp`), added to the base's; `Clear` leaves none.
    pub ports: Change<Vec<String>>,
    /// Volumes, added to the base's; `Clear` leaves none.
    pub volumes: Change<Vec<String>>,
    /// Health check. `Clear` takes the base's away.
    pub healthcheck: Change<Healthcheck>,
    /// Docker's shell.
    pub shell: Change<Vec<String>>,
    /// Signal that asks for an end.
    pub stop_signal: Change<String>,
}

impl Settings {
    /// Changes a base's config; gives one history line for each thing that changes, without times.
    pub fn apply(&self, config: &mut ContainerConfig) -> Vec<History> {
        let mut steps = Vec::new();
        let mut step = |text: String| {
            steps.push(History { created_by: Some(text), empty_layer: true, ..History::default() });
        };
        let json = |list: &[String]| serde_json::to_string(list).unwrap_or_default();

        for (name, value) in &self.env {
            // Where a base has a name twice, the last one holds, as it does for programs.
            let is_it = |line: &String| line.split('=').next() == Some(name);
            while config.env.iter().filter(|line| is_it(line)).count() > 1 {
                if let Some(first) = config.env.iter().position(is_it) {
                    config.env.remove(first);
                }
            }
            let at = config.env.iter().position(is_it);
            match (value, at) {
                (Some(value), Some(at)) => {
                    let line = format!("{name}={value}");
                    if config.env[at] != line {
                        step(format!("ENV {line}"));
                        config.env[at] = line;
                    }
                }
                (Some(value), None) => {
                    step(format!("ENV {name}={value}"));
                    config.env.push(format!("{name}={value}"));
                }
                (None, Some(at)) => {
                    step(format!("ENV {name} (taken away)"));
                    config.env.remove(at);
                }
                (None, None) => {}
            }
        }
        for (name, value) in &self.labels {
            match value {
                Some(value) => {
                    if config.labels.insert(name.clone(), value.clone()).as_ref() != Some(value) {
                        step(format!("LABEL {name}={value}"));
                    }
                }
                None => {
                    if config.labels.remove(name).is_some() {
                        step(format!("LABEL {name} (taken away)"));
                    }
                }
            }
        }
        let mut set = |what: &str, place: &mut BTreeMap<String, Empty>, change: &Change<Vec<String>>| match change {
            Change::Inherit => {}
            Change::Clear => {
                if !place.is_empty() {
                    place.clear();
                    step(format!("{what} (taken away)"));
                }
            }
            Change::Set(list) => {
                for item in list {
                    if place.insert(item.clone(), Empty {}).is_none() {
                        step(format!("{what} {item}"));
                    }
                }
            }
        };
        set("EXPOSE", &mut config.exposed_ports, &self.ports);
        set("VOLUME", &mut config.volumes, &self.volumes);

        let mut one = |what: &str, place: &mut Option<String>, change: &Change<String>| {
            if change_one(place, change) {
                step(match place {
                    Some(value) => format!("{what} {value}"),
                    None => format!("{what} (taken away)"),
                });
            }
        };
        one("WORKDIR", &mut config.working_dir, &self.workdir);
        one("USER", &mut config.user, &self.user);
        one("STOPSIGNAL", &mut config.stop_signal, &self.stop_signal);

        let mut list = |what: &str, place: &mut Option<Vec<String>>, change: &Change<Vec<String>>| {
            if change_one(place, change) {
                step(match place {
                    Some(value) => format!("{what} {}", json(value)),
                    None => format!("{what} (taken away)"),
                });
            }
        };
        list("SHELL", &mut config.shell, &self.shell);
        // As in Docker: arguments that were meant for another program do not reach this one. Where it is the same program
        // (`[defaults]` says it for all images), they were meant for it.
        let same = matches!(&self.entrypoint, Change::Set(new) if config.entrypoint.as_ref() == Some(new));
        let cmd = match (&self.entrypoint, &self.cmd) {
            (Change::Set(_) | Change::Clear, Change::Inherit) if !same => &Change::Clear,
            (_, cmd) => cmd,
        };
        list("ENTRYPOINT", &mut config.entrypoint, &self.entrypoint);
        list("CMD", &mut config.cmd, cmd);

        match &self.healthcheck {
            Change::Inherit => {}
            Change::Clear => {
                if config.healthcheck.take().is_some() {
                    step("HEALTHCHECK NONE".to_owned());
                }
            }
            Change::Set(check) => {
                if config.healthcheck.as_ref() != Some(check) {
                    step(format!("HEALTHCHECK {}", json(&check.test)));
                    config.healthcheck = Some(check.clone());
                }
            }
        }
        steps
    }
}

/// Whether anything changed.
fn change_one<T: Clone + PartialEq>(place: &mut Option<T>, change: &Change<T>) -> bool {
    let new = match change {
        Change::Inherit => return false,
        Change::Clear => None,
        Change::Set(value) => Some(value.clone()),
    };
    let changed = *place != new;
    *place = new;
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn an_entrypoint_takes_the_inherited_command_away() {
        let base = ContainerConfig {
            entrypoint: Some(words("/tini --")),
            cmd: Some(words("bash")),
            ..ContainerConfig::default()
        };
        let apply = |settings: Settings| {
            let mut config = base.clone();
            settings.apply(&mut config);
            (config.entrypoint, config.cmd)
        };
        assert_eq!(apply(Settings::default()), (Some(words("/tini --")), Some(words("bash"))));
        let entrypoint = Change::Set(words("/app"));
        assert_eq!(
            apply(Settings { entrypoint: entrypoint.clone(), ..Settings::default() }),
            (Some(words("/app")), None)
        );
        let cmd = Change::Set(words("serve"));
        assert_eq!(
            apply(Settings { entrypoint, cmd: cmd.clone(), ..Settings::default() }),
            (Some(words("/app")), Some(words("serve")))
        );
        assert_eq!(apply(Settings { cmd, ..Settings::default() }), (Some(words("/tini --")), Some(words("serve"))));
    }

    #[test]
    fn what_is_inherited_keeps_its_place_and_new_variables_come_sorted() {
        let mut config = ContainerConfig { env: words("PATH=/bin B=1"), ..ContainerConfig::default() };
        config.labels.insert("keep".to_owned(), "1".to_owned());
        config.exposed_ports.insert("80/tcp".to_owned(), Empty {});
        let some = |text: &str| Some(text.to_owned());
        let settings = Settings {
            env: [("Z".to_owned(), some("26")), ("A".to_owned(), some("1")), ("PATH".to_owned(), some("/x"))].into(),
            labels: [("keep".to_owned(), some("1")), ("gone".to_owned(), None)].into(),
            ports: Change::Set(words("8080/tcp")),
            user: Change::Set("1001:1001".to_owned()),
            ..Settings::default()
        };
        let steps = settings.apply(&mut config);
        assert_eq!(config.env, words("PATH=/x B=1 A=1 Z=26"));
        assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["80/tcp", "8080/tcp"]);
        let steps: Vec<_> = steps.into_iter().map(|step| step.created_by.unwrap()).collect();
        assert_eq!(steps, ["ENV A=1", "ENV PATH=/x", "ENV Z=26", "EXPOSE 8080/tcp", "USER 1001:1001"]);
        assert!(settings.apply(&mut config).is_empty(), "what is so already is no step");
    }
}
