//! Image configs (image-spec, config.md), with what Docker adds to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::null_is_default;
use super::shape::{MAP, Shape, Shaped, UNKNOWN};
use super::{DiffId, Platform};

/// What an image is when it runs, and which layers it is made of. Its digest is the image ID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When the image was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// CPU architecture, in Go's names.
    pub architecture: String,
    /// Operating system.
    pub os: String,
    /// Variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How a container of it is started.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: ContainerConfig,
    /// The layers, by the digests of their uncompressed tars.
    pub rootfs: RootFs,
    /// One line for each layer, and one for each step that made none.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// `author`, `os.version`, `os.features` and what nobody knows yet, kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The layers of an image, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Diff IDs, lowest first.
    #[serde(deserialize_with = "null_is_default")]
    pub diff_ids: Vec<DiffId>,
}

/// One step of an image's making.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the step made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// `author` and others, kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// How a container is started (config.md, "config"; `Healthcheck`, `OnBuild`, `Shell` and others are Docker's).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// User and group, `uid:gid` or names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Ports, `8080/tcp`; the values are empty objects.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// Environment, `NAME=value`, in the order in which it was set.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What is executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Arguments to it, or what is executed where there is no entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that should be volumes.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    /// Working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Labels.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Signal that asks the container to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Docker's health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Docker's shell for the shell form of commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// `OnBuild`, `ArgsEscaped`, `Memory` and what nobody knows yet, kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl ContainerConfig {
    /// Where programs are looked for, where the image says so: the `PATH` that was set last.
    pub fn path(&self) -> Option<&str> {
        self.env.iter().rev().find_map(|variable| variable.strip_prefix("PATH="))
    }
}

/// The empty object that Go writes for members of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Docker's health check. Durations are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", …]` or `["NONE"]`.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between two checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// Time after which a check has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Time at the start in which failures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<u64>,
    /// Time between two checks during the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<u64>,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u64>,
    /// What nobody knows yet, kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Shaped for ImageConfig {
    const SHAPE: &'static Shape = &Shape::Structure(&[
        ("architecture", UNKNOWN),
        ("author", UNKNOWN),
        ("comment", UNKNOWN),
        ("config", SETTINGS),
        ("container", UNKNOWN),
        ("container_config", SETTINGS),
        ("created", UNKNOWN),
        ("docker_version", UNKNOWN),
        ("history", &Shape::List(HISTORY)),
        ("id", UNKNOWN),
        ("os", UNKNOWN),
        ("os.features", UNKNOWN),
        ("os.version", UNKNOWN),
        ("parent", UNKNOWN),
        ("rootfs", &Shape::Structure(&[("diff_ids", UNKNOWN), ("type", UNKNOWN)])),
        ("variant", UNKNOWN),
    ]);
}

const HISTORY: &Shape = &Shape::Structure(&[
    ("author", UNKNOWN),
    ("comment", UNKNOWN),
    ("created", UNKNOWN),
    ("created_by", UNKNOWN),
    ("empty_layer", UNKNOWN),
]);

/// What the image specification and Docker know of.
const SETTINGS: &Shape = &Shape::Structure(&[
    ("ArgsEscaped", UNKNOWN),
    ("AttachStderr", UNKNOWN),
    ("AttachStdin", UNKNOWN),
    ("AttachStdout", UNKNOWN),
    ("Cmd", UNKNOWN),
    ("CpuShares", UNKNOWN),
    ("Domainname", UNKNOWN),
    ("Entrypoint", UNKNOWN),
    ("Env", UNKNOWN),
    ("ExposedPorts", MAP),
    ("Healthcheck", HEALTHCHECK),
    ("Hostname", UNKNOWN),
    ("Image", UNKNOWN),
    ("Labels", MAP),
    ("MacAddress", UNKNOWN),
    ("Memory", UNKNOWN),
    ("MemorySwap", UNKNOWN),
    ("NetworkDisabled", UNKNOWN),
    ("OnBuild", UNKNOWN),
    ("OpenStdin", UNKNOWN),
    ("Shell", UNKNOWN),
    ("StdinOnce", UNKNOWN),
    ("StopSignal", UNKNOWN),
    ("StopTimeout", UNKNOWN),
    ("Tty", UNKNOWN),
    ("User", UNKNOWN),
    ("Volumes", MAP),
    ("WorkingDir", UNKNOWN),
]);

const HEALTHCHECK: &Shape = &Shape::Structure(&[
    ("Interval", UNKNOWN),
    ("Retries", UNKNOWN),
    ("StartInterval", UNKNOWN),
    ("StartPeriod", UNKNOWN),
    ("Test", UNKNOWN),
    ("Timeout", UNKNOWN),
]);

impl ImageConfig {
    /// An image of no layers for that platform.
    pub fn scratch(platform: &Platform) -> Self {
        ImageConfig {
            created: None,
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            config: ContainerConfig::default(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
            history: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// The platform that the config names.
    pub fn platform(&self) -> Platform {
        let mut platform = Platform::linux(&self.architecture);
        platform.os = self.os.clone();
        platform.variant = self.variant.clone().filter(|variant| !variant.is_empty());
        platform
    }
}

/// Whether a key of `ExposedPorts` is a port, or a range of some, with a protocol or without (image-spec, config.md).
pub fn is_port(text: &str) -> bool {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let is_number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse().is_ok_and(|number: u16| number > 0);
    is_number(first) && is_number(last) && matches!(protocol, "tcp" | "udp" | "sctp")
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    #[test]
    fn what_is_unknown_survives() {
        let text = br#"{"architecture":"amd64","config":{"ArgsEscaped":true,"Env":["A=1"],"Healthcheck":{"Interval":30000000000,"Test":["CMD","x"],"X":1},"OnBuild":["RUN y"],"Shell":["/bin/ash","-c"]},"history":[{"author":"z","created_by":"x","empty_layer":true}],"moby.buildkit.buildinfo.v1":"e30=","os":"linux","os.features":["a"],"rootfs":{"diff_ids":[],"type":"layers"}}"#;
        let config: ImageConfig = json::document(text).unwrap();
        assert_eq!(String::from_utf8(json::canonical(&config).unwrap()).unwrap(), std::str::from_utf8(text).unwrap());
        assert_eq!(config.config.shell.as_deref(), Some(&["/bin/ash".to_owned(), "-c".to_owned()][..]));
    }

    #[test]
    fn null_is_absent() {
        let text = br#"{"architecture":"amd64","config":{"Cmd":null,"Env":null,"ExposedPorts":null,"Labels":null,"Volumes":null},"history":null,"os":"linux","rootfs":{"diff_ids":null,"type":"layers"}}"#;
        let config: ImageConfig = json::document(text).unwrap();
        assert_eq!(config.config, ContainerConfig::default());
    }
}
