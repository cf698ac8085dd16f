//! Which objects of a document are structures, and which are maps.
//!
//! Programs written in Go (Docker, containerd, podman, skopeo) take a key for the field of a structure whatever its case, and
//! of several the last: `User` and `user` are one to them. Keys of maps (labels, annotations) they compare to the byte. A
//! document in which the two ways of reading differ is refused.

use serde::de::DeserializeOwned;

/// What a value of a document is.
#[derive(Debug)]
pub enum Shape {
    /// An object whose keys are data, with values of that shape.
    Map(&'static Shape),
    /// A list of values of that shape.
    List(&'static Shape),
    /// A structure with these fields, and maybe others. Values that are no objects are of this shape, too, as far as no more
    /// needs to be known of them.
    Structure(&'static [(&'static str, &'static Shape)]),
}

/// Something that is read from a document.
pub trait Shaped: DeserializeOwned {
    /// What is known of its structure.
    const SHAPE: &'static Shape;
}

impl<T: Shaped> Shaped for Vec<T> {
    const SHAPE: &'static Shape = &Shape::List(T::SHAPE);
}

/// Something of which nothing is known: text, a number, or an object that may be a structure.
pub const UNKNOWN: &Shape = &Shape::Structure(&[]);

/// Labels, annotations, and sets of names.
pub const MAP: &Shape = &Shape::Map(UNKNOWN);

/// A value in which every key is data, however deep.
pub static EXACT: Shape = Shape::Map(&EXACT);

impl Shape {
    /// What the items of a list are, where this is one.
    pub(super) fn item(&'static self) -> &'static Shape {
        match self {
            Shape::List(item) => item,
            other => other,
        }
    }

    /// What the value of that key is.
    pub(super) fn member(&'static self, key: &str) -> &'static Shape {
        match self {
            Shape::Map(value) => value,
            Shape::List(item) => item.member(key),
            Shape::Structure(fields) => {
                fields.iter().find(|(name, _)| *name == key).map_or(UNKNOWN, |(_, shape)| *shape)
            }
        }
    }

    /// Whether keys are data, and are what they are to the byte.
    pub(super) fn is_map(&self) -> bool {
        matches!(self, Shape::Map(_))
    }

    /// The field that others take a key for which is written otherwise.
    pub(super) fn meant(&self, key: &str) -> Option<&'static str> {
        match self {
            Shape::Map(_) => None,
            Shape::List(item) => item.meant(key),
            Shape::Structure(fields) => {
                let mut names = fields.iter().map(|(name, _)| *name);
                if names.clone().any(|name| name == key) {
                    return None;
                }
                let folded = folded(key);
                names.find(|name| self::folded(name) == folded)
            }
        }
    }
}

/// A key as Go compares it with the names of fields, which are ASCII: these two characters are the only others that fold to some.
pub(super) fn folded(key: &str) -> String {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Descriptor, ImageConfig, Index, Manifest, json};
    use super::*;
    use serde_json::{Value, json};

    /// All documents that have one key of a structure (or of a map) in another case.
    fn in_another_case(value: &Value, shape: &'static Shape, of_maps: bool) -> Vec<Value> {
        let mut found = Vec::new();
        match value {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    for other in in_another_case(item, shape.item(), of_maps) {
                        let mut changed = items.clone();
                        changed[at] = other;
                        found.push(Value::Array(changed));
                    }
                }
            }
            Value::Object(fields) => {
                for (key, inner) in fields {
                    let mut changed = fields.clone();
                    if shape.is_map() == of_maps {
                        let other: String = match key.chars().any(|c| c.is_ascii_lowercase()) {
                            true => key.to_ascii_uppercase(),
                            false => key.to_ascii_lowercase(),
                        };
                        changed.remove(key);
                        changed.insert(other, inner.clone());
                        found.push(Value::Object(changed));
                    }
                    for other in in_another_case(inner, shape.member(key), of_maps) {
                        let mut changed = fields.clone();
                        changed.insert(key.clone(), other);
                        found.push(Value::Object(changed));
                    }
                }
            }
            _ => {}
        }
        found
    }

    /// Whether every key of a structure must be written as it is, and every key of a map may be anything.
    fn holds<T: Shaped>(document: &Value) {
        let read = |document: &Value| json::document::<T>(&serde_json::to_vec(document).unwrap()).map(|_| ());
        read(document).unwrap();
        let [structures, maps] = [false, true].map(|of_maps| in_another_case(document, T::SHAPE, of_maps));
        assert!(!structures.is_empty() && !maps.is_empty());
        for other in structures {
            let error = read(&other).expect_err(&other.to_string());
            assert!(crate::shown::with_causes(&error).contains("whatever its case"), "{error:?}");
        }
        for other in maps {
            read(&other).unwrap_or_else(|error| panic!("{other}: {error:?}"));
        }
    }

    fn descriptor() -> Value {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2, "data": "e30=",
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "urls": ["https://example.com/x"], "annotations": { "a": "b" }, "artifactType": "x/y",
            "platform": {
                "architecture": "arm", "os": "linux", "os.version": "1", "os.features": ["x"], "variant": "v7",
                "features": ["y"],
            },
        })
    }

    #[test]
    fn every_field_is_known_by_its_one_name() {
        holds::<Descriptor>(&descriptor());
        holds::<Manifest>(&json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": "x/y",
            "config": descriptor(), "layers": [descriptor()], "subject": descriptor(), "annotations": { "a": "b" },
        }));
        holds::<Index>(&json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "artifactType": "x/y",
            "manifests": [descriptor()], "subject": descriptor(), "annotations": { "a": "b" },
        }));
        let settings = json!({
            "Hostname": "", "Domainname": "", "User": "1", "AttachStdin": false, "AttachStdout": false,
            "AttachStderr": false, "ExposedPorts": { "80/tcp": {} }, "Tty": false, "OpenStdin": false, "StdinOnce": false,
            "Env": ["A=1"], "Cmd": ["x"], "ArgsEscaped": true, "Image": "", "Volumes": { "/data": {} },
            "WorkingDir": "/", "Entrypoint": ["y"], "NetworkDisabled": false, "MacAddress": "", "OnBuild": [],
            "Labels": { "a": "b" }, "StopSignal": "SIGTERM", "StopTimeout": 1, "Shell": ["sh"], "Memory": 1,
            "MemorySwap": 1, "CpuShares": 1,
            "Healthcheck": {
                "Test": ["NONE"], "Interval": 1, "Timeout": 1, "StartPeriod": 1, "StartInterval": 1, "Retries": 1,
            },
        });
        holds::<ImageConfig>(&json!({
            "created": "1980-01-02T00:00:00Z", "author": "a", "architecture": "arm64", "os": "linux", "os.version": "1",
            "os.features": [], "variant": "v8", "config": settings, "container_config": settings, "container": "c",
            "docker_version": "1", "id": "i", "parent": "p", "comment": "c",
            "rootfs": { "type": "layers", "diff_ids": [] },
            "history": [
                { "created": "", "created_by": "x", "author": "a", "comment": "c", "empty_layer": true },
            ],
        }));
    }

    #[test]
    fn keys_that_fold_alike_are_one() {
        let config = |settings: &str| {
            format!(
                r#"{{"architecture":"a","os":"b","rootfs":{{"type":"layers","diff_ids":[]}},"config":{{{settings}}}}}"#
            )
        };
        let read = |settings: &str| json::document::<ImageConfig>(config(settings).as_bytes());
        for settings in [
            r#""User":"5","user":"0""#,
            r#""user":"0","User":"5""#,
            r#""env":[]"#,
            r#""U\u017fer":"0""#,
            r#""\u212aey":1,"key":2"#,
            r#""New":1,"NEW":2"#,
            r#""Deep":{"A":1,"a":2}"#,
            r#""OnBuild":[{"A":1,"a":2}]"#,
            r#""ExposedPorts":{"80/tcp":{"A":1,"a":2}}"#,
        ] {
            assert!(read(settings).is_err(), "{settings}");
        }
        for settings in [
            r#""Labels":{"A":"1","a":"2"},"Volumes":{"/a":{},"/A":{}},"ExposedPorts":{"80/tcp":{},"80/TCP":{}}"#,
            r#""Deep":[{"A":1},{"a":2}],"new":1"#,
        ] {
            read(settings).unwrap();
        }
        assert!(json::parse::<Value>(br#"{"A":1,"a":{"b":1,"B":2}}"#).is_ok(), "where nothing is known of structures");
    }

    /// What tools write that are much used is read: fields of theirs that nobody else knows, and empty lists as `null`.
    #[test]
    fn what_tools_write_is_read() {
        for text in [
            // Docker 19, with `container_config`.
            r##"{"architecture":"amd64","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["PATH=/bin"],"Cmd":["bash"],"ArgsEscaped":true,"Image":"sha256:ab","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null},"container":"ab","container_config":{"Hostname":"ab","Cmd":["/bin/sh","-c","#(nop) "],"Labels":{}},"created":"2020-01-01T00:00:00Z","docker_version":"19.03.12","history":[{"created":"2020-01-01T00:00:00Z","created_by":"/bin/sh -c #(nop) ADD","empty_layer":true}],"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"##,
            // BuildKit.
            r##"{"architecture":"arm64","config":{"Env":["PATH=/bin"],"Cmd":["x"],"ArgsEscaped":true,"OnBuild":null},"created":"2024-01-01T00:00:00Z","history":[{"created":"2024-01-01T00:00:00Z","created_by":"COPY x","comment":"buildkit.dockerfile.v0"}],"moby.buildkit.buildinfo.v1":"e30=","moby.buildkit.cache.v0":{"layers":[{"blob":"b","parent":-1}],"records":[{"digest":"d"}]},"os":"linux","rootfs":{"type":"layers","diff_ids":null},"variant":"v8"}"##,
            // Jib, buildah, kaniko.
            r##"{"created":"1970-01-01T00:00:00Z","architecture":"amd64","os":"linux","config":{"Env":[],"Entrypoint":["java"],"ExposedPorts":{},"Labels":{},"WorkingDir":"","User":""},"history":[{"created":"1970-01-01T00:00:00Z","author":"Jib","created_by":"jib-maven-plugin:3","comment":"classes"}],"rootfs":{"type":"layers","diff_ids":[]}}"##,
            r##"{"created":"2024-01-01T00:00:00Z","author":"a","architecture":"amd64","os":"linux","config":{"Cmd":["sh"],"Labels":{"io.buildah.version":"1.33.7"}},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created":"2024-01-01T00:00:00Z","created_by":"/bin/sh"}]}"##,
            r##"{"architecture":"amd64","container":"x","created":"2024-01-01T00:00:00Z","docker_version":"1","history":[],"os":"linux","os.version":"","rootfs":{"type":"layers","diff_ids":[]},"config":{"Healthcheck":{"Test":["NONE"]},"StopTimeout":3,"Shell":["/bin/sh"],"NetworkDisabled":true,"MacAddress":""}}"##,
        ] {
            json::document::<ImageConfig>(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        }
    }
}
