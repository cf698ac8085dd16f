//! Bases, archives and recipes that mean harm, through the binary: refused with one message, and nothing left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::fake_registry::{FakeRegistry, Fault, on};
use super::support::{BINARY, Base, Project, Stored, Tar, gzip, sha256};

/// What is wrong with the run; nothing where it was refused as it must be.
fn unfit(project: &Project, place: &str) -> Option<String> {
    let run = project.run(&["build", "-o", "oci:out"]);
    let left =
        |directory: &str| fs::read_dir(project.path(directory)).is_ok_and(|mut entries| entries.next().is_some());
    let told = &run.stderr;
    let wrong = match run.code {
        Some(0) => "it is taken",
        Some(1 | 3 | 4 | 5) => match () {
            () if project.path("out").exists() => "it leaves an output",
            () if left("tmp") => "it leaves a temporary file",
            () if !told.contains("error[L") || told.contains("panicked") => "it says no error",
            () if !told.contains(place) => "it does not say where",
            () if told.contains(|c: char| c.is_control() && c != '\n') => "a control character is shown",
            () => return None,
        },
        _ => "it ends in another way",
    };
    let _ = fs::remove_dir_all(project.path("out"));
    Some(format!("{wrong} ({:?}): {told}", run.code))
}

#[track_caller]
fn all_refused(faults: Vec<(&str, Option<String>)>) {
    let wrong: Vec<String> =
        faults.into_iter().filter_map(|(what, fault)| fault.map(|fault| format!("{what}: {fault}"))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A member as no good program writes it.
fn raw(name: &[u8], kind: u8, link: &[u8], data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.as_mut_bytes()[156] = kind;
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(data.len() as u64);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), data].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn ended(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

/// Tars that are to be refused wherever they come from.
fn tars() -> Vec<(&'static str, Vec<u8>)> {
    let file = || raw(b"f", b'0', b"", b"abc");
    let long = |name: &[u8]| raw(b"././@LongLink", b'L', b"", &[name, b"\0"].concat());
    vec![
        ("a path that climbs", ended(&[raw(b"../x", b'0', b"", b"x")])),
        ("a path that climbs back", ended(&[raw(b"a/../../x", b'0', b"", b"x")])),
        ("a path that ends in ..", ended(&[raw(b"a/..", b'5', b"", b"")])),
        ("an absolute path that climbs", ended(&[raw(b"/../etc/x", b'0', b"", b"x")])),
        ("a root that is a link", ended(&[raw(b"./", b'2', b"/etc", b"")])),
        ("a root that is a file", ended(&[raw(b".", b'0', b"", b"x")])),
        ("a hard link that climbs", ended(&[raw(b"h", b'1', b"../../etc/passwd", b"")])),
        ("a hard link to nothing", ended(&[raw(b"h", b'1', b"gone", b"")])),
        ("a hard link to itself", ended(&[raw(b"h", b'1', b"h", b"")])),
        ("a hard link to what comes later", ended(&[raw(b"h", b'1', b"f", b""), file()])),
        ("a hard link to a directory", ended(&[raw(b"d/", b'5', b"", b""), raw(b"h", b'1', b"d", b"")])),
        ("two sizes", ended(&[raw(b"x", b'x', b"", b"9 size=2\n"), file()])),
        ("a PAX record of no length", ended(&[raw(b"x", b'x', b"", b"0 path=y\n"), file()])),
        ("a PAX record past its end", ended(&[raw(b"x", b'x', b"", b"99 path=y\n"), file()])),
        ("a PAX record without =", ended(&[raw(b"x", b'x', b"", b"8 pathy\n"), file()])),
        ("a PAX path with NUL", ended(&[raw(b"x", b'x', b"", b"12 path=y\0z\n"), file()])),
        ("two long names", ended(&[long(b"a"), long(b"b"), file()])),
        ("a block of zeros in the middle", ended(&[file(), vec![0; 512], raw(b"g", b'0', b"", b"x")])),
        ("a second archive", [ended(&[file()]), ended(&[raw(b"g", b'0', b"", b"x")])].concat()),
        ("no end", file()),
        ("an end in the middle", file()[..600].to_vec()),
        ("a component of 256 bytes", ended(&[long(&[b'n'; 256]), file()])),
        ("a path of 4096 bytes", ended(&[long(&b"abcdefg/".repeat(513)), file()])),
        ("user -1", ended(&[raw(b"x", b'x', b"", b"10 uid=-1\n"), file()])),
        ("user 2^32", ended(&[raw(b"x", b'x', b"", b"18 uid=4294967296\n"), file()])),
        ("a sparse file", ended(&[raw(b"f", b'S', b"", b"")])),
    ]
}

#[test]
fn hostile_tars_are_refused_as_layers_of_a_base() {
    let project =
        Project::new("[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\nfiles = { \"/etc/x\" = \"\" }\n");
    let mut faults = Vec::new();
    let whiteouts = [
        ("a deletion of nothing", ended(&[raw(b"d/.wh.", b'0', b"", b"")])),
        ("a deletion of .", ended(&[raw(b"d/.wh..", b'0', b"", b"")])),
        ("a deletion of ..", ended(&[raw(b"d/.wh...", b'0', b"", b"")])),
    ];
    for (what, tar) in tars().into_iter().chain(whiteouts) {
        let _ = fs::remove_dir_all(project.path("ctx/base"));
        Base::of(tar).layout(&project.path("ctx/base"));
        faults.push((what, unfit(&project, "base")));
    }
    all_refused(faults);
}

#[test]
fn hostile_tars_are_refused_as_archives() {
    let project = Project::new("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\narchive = \"a.tar\"\n");
    let mut faults = Vec::new();
    let more = [
        (
            "a file through a link of the archive",
            ended(&[raw(b"l", b'2', b"/etc", b""), raw(b"l/passwd", b'0', b"", b"root::0:0:::\n")]),
        ),
        ("a deletion", ended(&[raw(b".wh.etc", b'0', b"", b"")])),
        ("gzip with junk behind it", [gzip(&Tar::new().file("f", 0o644, "x").end()), b"junk".to_vec()].concat()),
        ("gzip that is cut", gzip(&Tar::new().file("f", 0o644, "x").end())[..40].to_vec()),
        // A frame whose window has 2 GiB.
        ("zstd with a large window", vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00]),
        ("nothing", Vec::new()),
        ("a zip file", b"PK\x03\x04".to_vec()),
    ];
    for (what, tar) in tars().into_iter().chain(more) {
        project.write("ctx/a.tar", tar);
        faults.push((what, unfit(&project, "a.tar")));
    }
    all_refused(faults);
}

/// Calls that make or write what has a name.
const WRITING: &str =
    "open,openat,openat2,creat,mkdir,mkdirat,symlink,symlinkat,link,linkat,mknod,mknodat,rename,renameat,renameat2";

/// Would fail if what an archive or a layer of a base holds were ever unpacked: then its links could be followed, and changed
/// meanwhile.
#[test]
fn nothing_is_unpacked_to_disk() {
    let project = Project::new(
        "[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\narchive = \"a.tar\"\nto = \"/opt\"\n\
         [[images.app.layers]]\nimage = { image = \"oci:base\", copy = \"/outside\" }\nto = \"/copied\"\n",
    );
    fs::create_dir(project.path("elsewhere")).unwrap();
    let outside = project.path("elsewhere").display().to_string();
    let members = |directory: &str| {
        let tar = Tar::new().dir(directory, 0o755, 0, 0).file(&format!("{directory}unpacked"), 0o4755, "x");
        tar.hard(&format!("{directory}unpacked-too"), &format!("{directory}unpacked")).link("unpacked-link", &outside)
    };
    let through = members("outside/").file("unpacked-link/unpacked", 0o644, "x").end();
    Base::of(through).layout(&project.path("ctx/base"));
    project.write("ctx/a.tar", members("d/").end());
    let trace = project.path("trace");
    fs::create_dir(&trace).unwrap();
    let (calls, output) = (format!("trace={WRITING}"), trace.join("of"));
    let before = ["-ff", "-qq", "-y", "-s", "4096", "-e", &calls, "-o", output.to_str().unwrap(), BINARY];
    project.end(project.wrapped("strace", &before, &["build", "-o", "oci:out", "--cache-dir", "cache"])).ok();
    let image = project.layout("out").image("app");
    assert!(
        image.top().contains("copied/outside/unpacked") && image.listings()[1].contains("opt/d/unpacked"),
        "{}",
        image.top()
    );
    let root = fs::canonicalize(project.root()).unwrap().display().to_string();
    let mut written = 0;
    for file in fs::read_dir(&trace).unwrap() {
        for line in fs::read_to_string(file.unwrap().path()).unwrap().lines().filter(|line| line.contains('(')) {
            let is_open = line.starts_with("open");
            let writes = !is_open || ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| line.contains(flag));
            if line.contains(" = -1 ") || !writes {
                continue;
            }
            written += 1;
            let is_ours = ["cache", "tmp", "out"].iter().any(|name| {
                ["/", "\"", ">"].iter().any(|end| {
                    line.contains(&format!("{root}/{name}{end}")) || line.contains(&format!("\"{name}{end}"))
                })
            });
            let is_node = ["symlink", "link", "mknod"].iter().any(|call| line.starts_with(call));
            assert!(is_ours && !is_node && !line.contains("unpacked"), "{line}");
        }
    }
    assert!(written > 10, "{written} calls");
    assert_eq!(fs::read_dir(project.path("elsewhere")).unwrap().count(), 0);
    for entry in walkdir::WalkDir::new(project.root()).into_iter().map(Result::unwrap) {
        assert!(!entry.file_name().to_string_lossy().contains("unpacked"), "{}", entry.path().display());
    }
}

/// Would fail if what a server says of another place could put lines into a request.
#[test]
fn line_breaks_in_a_redirect_reach_no_request() {
    let registry = FakeRegistry::plain();
    super::pinned_bases::push(&registry, "library/base", "1", &Base::debian());
    let project = Project::new(&format!(
        "[images.app]\nfrom = \"{}/library/base:1\"\n[[images.app.layers]]\nfiles = {{ \"/opt/x\" = \"x\" }}\n",
        registry.name()
    ));
    for (number, location) in [
        "/v2/elsewhere\r\nX-Injected: 1",
        "/v2/elsewhere\r\n X-Injected: 1",
        "/v2/elsewhere\nX-Injected: 1",
        "/v2/elsewhere%0d%0aX-Injected:%201",
        "/v2/elsewhere%20HTTP/1.1%0d%0aX-Injected:%201%0d%0a%0d%0aGET%20/v2/other",
    ]
    .iter()
    .enumerate()
    {
        registry.clear_log();
        registry
            .fault(on("GET", "/blobs/"), Fault::Status(307, vec![("Location", (*location).to_owned())], String::new()));
        project.run(&["build", "-o", "oci:out", "--cache-dir", &format!("cache-{number}")]);
        let log = registry.log();
        assert!(log.iter().any(|logged| logged.status == 307), "{location}: {log:?}");
        let followed = log.iter().any(|logged| logged.target.starts_with("/v2/elsewhere"));
        assert!(followed || !location.contains('%'), "{location}: {log:?}");
        for logged in &log {
            assert!(!logged.headers.keys().any(|name| name.eq_ignore_ascii_case("x-injected")), "{logged:?}");
            assert!(!logged.target.contains(char::is_whitespace), "{logged:?}");
            let known = ["/v2/", "/token"].iter().any(|start| logged.target.starts_with(start));
            assert!(known && logged.target != "/v2/other", "{logged:?}");
        }
    }
}

/// A layout whose documents were changed, each below a digest that is right.
fn changed(directory: &Path, change: &dyn Fn(&mut Value, &mut Value)) {
    let _ = fs::remove_dir_all(directory);
    let mut blobs = BTreeMap::new();
    let mut base = Base::debian();
    base.layers[0].1 = Stored::Gzip;
    let descriptor = base.blobs(&mut blobs);
    let parsed = |descriptor: &Value, blobs: &BTreeMap<String, Vec<u8>>| -> Value {
        serde_json::from_slice(&blobs[descriptor["digest"].as_str().unwrap()]).unwrap()
    };
    let mut manifest = parsed(&descriptor, &blobs);
    let mut config = parsed(&manifest["config"], &blobs);
    change(&mut manifest, &mut config);
    let config = serde_json::to_vec(&config).unwrap();
    manifest["config"]["digest"] = json!(sha256(&config));
    manifest["config"]["size"] = json!(config.len());
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let mut descriptor = descriptor;
    descriptor["digest"] = json!(sha256(&manifest));
    descriptor["size"] = json!(manifest.len());
    blobs.extend([(sha256(&config), config), (sha256(&manifest), manifest)]);
    fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
    for (digest, bytes) in blobs {
        fs::write(directory.join("blobs/sha256").join(&digest[7..]), bytes).unwrap();
    }
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(directory.join("index.json"), json!({ "schemaVersion": 2, "manifests": [descriptor] }).to_string())
        .unwrap();
}

#[test]
fn images_that_contradict_themselves_are_refused() {
    let project = Project::new("[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"\" }\n");
    type Change = fn(&mut Value, &mut Value);
    let cases: Vec<(&str, Change)> = vec![
        ("a manifest that is an index", |m, _| m["manifests"] = json!([])),
        ("another media type inside", |m, _| m["mediaType"] = json!("application/vnd.oci.image.index.v1+json")),
        ("schema version 1", |m, _| m["schemaVersion"] = json!(1)),
        ("a layer too many", |m, _| {
            let layer = m["layers"][0].clone();
            m["layers"].as_array_mut().unwrap().push(layer);
        }),
        ("a digest with a path", |m, _| m["layers"][0]["digest"] = json!("sha256:../../../../etc/passwd")),
        ("a digest in capitals", |m, _| m["layers"][0]["digest"] = json!(format!("sha256:{}", "A".repeat(64)))),
        ("a digest of md5", |m, _| m["layers"][0]["digest"] = json!(format!("md5:{}", "a".repeat(32)))),
        ("a negative size", |m, _| m["layers"][0]["size"] = json!(-1)),
        ("another size", |m, _| m["layers"][0]["size"] = json!(7)),
        ("another diff ID", |_, c| c["rootfs"]["diff_ids"] = json!([format!("sha256:{}", "a".repeat(64))])),
        ("no diff ID", |_, c| c["rootfs"]["diff_ids"] = json!([])),
        ("a history of more layers", |_, c| c["history"] = json!([{ "created_by": "a" }, { "created_by": "b" }])),
        ("a history of no layer", |_, c| c["history"] = json!([{ "created_by": "a", "empty_layer": true }])),
        ("an environment without =", |_, c| c["config"]["Env"] = json!(["PATH"])),
        ("an environment without a name", |_, c| c["config"]["Env"] = json!(["=x"])),
        ("an environment of numbers", |_, c| c["config"]["Env"] = json!([1])),
        ("a command with NUL", |_, c| c["config"]["Cmd"] = json!(["a\0b"])),
        ("another kind of root", |_, c| c["rootfs"]["type"] = json!("snapshots")),
        ("a relative workdir", |_, c| c["config"]["WorkingDir"] = json!("app")),
        ("a workdir outside", |_, c| c["config"]["WorkingDir"] = json!("/a/../../x")),
        ("a volume outside", |_, c| c["config"]["Volumes"] = json!({ "../x": {} })),
        ("a volume of two lines", |_, c| c["config"]["Volumes"] = json!({ "x\n": {} })),
        ("a port that is none", |_, c| c["config"]["ExposedPorts"] = json!({ "99999/tcp": {} })),
        ("a port of two lines", |_, c| c["config"]["ExposedPorts"] = json!({ "80/tcp\n": {} })),
        ("a user of two lines", |_, c| c["config"]["User"] = json!("app\n::error::injected\u{1b}]0;x\u{7}")),
        ("a user of three parts", |_, c| c["config"]["User"] = json!("a:b:c")),
    ];
    let mut faults = Vec::new();
    for (what, change) in cases {
        changed(&project.path("ctx/base"), &change);
        faults.push((what, unfit(&project, "base")));
    }
    all_refused(faults);
    changed(&project.path("ctx/base"), &|_, _| {});
    project.run(&["build", "-o", "oci:out"]).ok();
}

/// Programs written in Go take keys whatever their case, and the last of several: they would see another image. Nor is what
/// stands beside a digest believed.
#[test]
fn images_that_others_read_otherwise_are_no_images() {
    let project = Project::new("[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"\" }\n");
    type Change = fn(&mut Value, &mut Value);
    let cases: Vec<(&str, Change)> = vec![
        ("a user in two cases", |_, c| {
            c["config"]["User"] = json!("5");
            c["config"]["user"] = json!("0");
        }),
        ("a variable in another case", |_, c| c["config"]["env"] = json!(["LD_PRELOAD=/evil"])),
        ("a command that folds", |_, c| c["config"]["\u{17f}hell"] = json!(["/evil"])),
        ("a key that nobody knows, in two cases", |_, c| {
            c["config"]["New"] = json!(1);
            c["config"]["nEW"] = json!(2);
        }),
        ("a health check in another case", |_, c| c["config"]["Healthcheck"] = json!({ "test": ["CMD", "/evil"] })),
        ("settings in another case", |_, c| c["Config"] = json!({ "User": "0" })),
        ("a root in another case", |_, c| c["RootFS"] = json!({ "type": "layers", "diff_ids": [] })),
        ("diff IDs in another case", |_, c| c["rootfs"]["Diff_IDs"] = json!([])),
        ("a history in another case", |_, c| c["History"] = json!([])),
        ("a line of history in another case", |_, c| {
            c["history"] = json!([{ "created_by": "a", "Empty_Layer": true }])
        }),
        ("layers in another case", |m, _| m["Layers"] = json!([])),
        ("a config in another case", |m, _| m["CONFIG"] = m["config"].clone()),
        ("a list of manifests in another case", |m, _| m["Manifests"] = json!([])),
        ("a media type in another case", |m, _| m["mediatype"] = json!("application/vnd.oci.image.index.v1+json")),
        ("a digest in another case", |m, _| m["layers"][0]["Digest"] = json!(format!("sha256:{}", "a".repeat(64)))),
        ("addresses in another case", |m, _| m["layers"][0]["Urls"] = json!(["http://example.com"])),
        ("data of a layer that is another", |m, _| m["layers"][0]["data"] = json!("AAAA")),
        ("data of a config that is another", |m, _| m["config"]["data"] = json!("e30=")),
        ("data that is no text", |m, _| m["layers"][0]["data"] = json!(7)),
    ];
    let mut faults = Vec::new();
    for (what, change) in cases {
        changed(&project.path("ctx/base"), &change);
        faults.push((what, unfit(&project, "base").or_else(|| unread(&project, "oci:ctx/base"))));
    }
    let places: Vec<(&str, Change)> = vec![
        ("manifests in another case", |i, _| i["Manifests"] = json!([])),
        ("a digest in another case", |i, _| i["manifests"][0]["DIGEST"] = json!(format!("sha256:{}", "a".repeat(64)))),
        ("a platform in another case", |i, _| {
            i["manifests"][0]["platform"] = json!({ "os": "linux", "architecture": "amd64", "OS": "windows" });
        }),
        ("layers beside manifests", |i, _| i["layerS"] = json!([])),
        ("data of a manifest that is another", |i, _| i["manifests"][0]["data"] = json!("AAAA")),
        ("a version in another case", |_, l| l["ImageLayoutVersion"] = json!("9")),
    ];
    for (what, change) in places {
        changed(&project.path("ctx/base"), &|_, _| {});
        let parsed = |name: &str| -> (std::path::PathBuf, Value) {
            let path = project.path("ctx/base").join(name);
            let value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path, value)
        };
        let ((index, mut listed), (layout, mut version)) = (parsed("index.json"), parsed("oci-layout"));
        change(&mut listed, &mut version);
        fs::write(index, listed.to_string()).unwrap();
        fs::write(layout, version.to_string()).unwrap();
        faults.push((what, unfit(&project, "base").or_else(|| unread(&project, "oci:ctx/base"))));
    }
    all_refused(faults);
    // Labels are data, and so is what is embedded as it is.
    changed(&project.path("ctx/base"), &|manifest, config| {
        config["config"]["Labels"] = json!({ "A": "1", "a": "2", "user": "3" });
        manifest["annotations"] = json!({ "Layers": "x", "layers": "y" });
    });
    project.run(&["build", "-o", "oci:out"]).ok();
    assert_eq!(project.layout("out").image("app").settings()["Labels"]["a"], "2");
    project.sound(&format!("oci:{}", project.path("out").display()));
}

/// What is wrong where a place is copied or validated; nothing where both refuse it.
fn unread(project: &Project, place: &str) -> Option<String> {
    for arguments in [vec!["inspect", "--validate", place], vec!["copy", place, "oci:copied"]] {
        let run = project.run(&arguments);
        if run.code != Some(1) || !run.stderr.contains("error[L0502]") || project.path("copied").exists() {
            let _ = fs::remove_dir_all(project.path("copied"));
            return Some(format!("{arguments:?} ({:?}): {}", run.code, run.stderr));
        }
    }
    None
}

#[test]
fn archives_of_docker_that_others_read_otherwise_are_no_images() {
    let project = Project::new(
        "[images.app]\nfrom = \"docker-archive:base.tar\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"\" }\n",
    );
    let layer = Tar::new().dir("etc/", 0o755, 0, 0).end();
    let saved = |change: &dyn Fn(&mut Value, &mut Value)| {
        let mut listed = json!({ "Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l/layer.tar"] });
        let mut config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [sha256(&layer)] },
        });
        change(&mut listed, &mut config);
        let tar = Tar::new().file("c.json", 0o644, &config.to_string()).file("l/layer.tar", 0o644, &layer);
        let tar = tar.file("d.json", 0o644, "{}").file("manifest.json", 0o644, &json!([listed]).to_string());
        project.write("ctx/base.tar", tar.end());
    };
    type Change = fn(&mut Value, &mut Value);
    let cases: Vec<(&str, Change)> = vec![
        ("a config in another case", |l, _| l["config"] = json!("d.json")),
        ("layers in another case", |l, _| l["layers"] = json!([])),
        ("tags in another case", |l, _| l["repoTags"] = json!(["y:1"])),
        ("settings in another case", |_, c| c["Config"] = json!({})),
        ("a user in another case", |_, c| c["config"]["user"] = json!("0")),
        ("data of a layer's source that is no key of ours", |l, _| {
            l["LayerSources"] = json!({ "sha256:x": { "mediaType": "x/y", "mediatype": "z" } });
        }),
    ];
    let mut faults = Vec::new();
    for (what, change) in cases {
        saved(&change);
        faults.push((what, unfit(&project, "base.tar").or_else(|| unread(&project, "docker-archive:ctx/base.tar"))));
    }
    all_refused(faults);
    saved(&|_, _| {});
    project.run(&["build", "-o", "oci:out"]).ok();
}

/// Of what a base's manifest says of its layers, what they are is handed on: no logins, no bytes, nothing unknown.
#[test]
fn nothing_unknown_of_a_base_s_layers_is_handed_on() {
    let project = Project::new("[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"\" }\n");
    changed(&project.path("ctx/base"), &|manifest, _| {
        manifest["layers"][0]["urls"] = json!(["http://u:pw@example.com/x", "file:///etc/passwd"]);
        manifest["layers"][0]["new"] = json!({ "a": 1 });
        manifest["layers"][0]["annotations"] = json!({ "of": "somebody" });
    });
    project.run(&["build", "-o", "oci:out"]).ok();
    let manifest = project.layout("out").image("app").manifest;
    let mut layer = manifest["layers"][0].as_object().unwrap().clone();
    assert_eq!(layer.remove("annotations"), Some(json!({ "of": "somebody" })));
    assert_eq!(layer.keys().collect::<Vec<_>>(), ["digest", "mediaType", "size"]);
}

/// A base whose layer says that it is the recipe's own is not believed: the next build would take it for that.
#[test]
fn a_base_s_layer_does_not_pass_for_one_of_the_recipe() {
    let recipe = "[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"\" }\n";
    let project = Project::new(recipe);
    changed(&project.path("ctx/base"), &|_, _| {});
    project.run(&["build", "-o", "oci:honest"]).ok();
    let honest = project.layout("honest").image("app");
    let notes = honest.manifest["layers"][1]["annotations"].clone();
    // The key is no secret: whoever knows the recipe can make the layer.
    changed(&project.path("ctx/base"), &|manifest, _| manifest["layers"][0]["annotations"] = notes.clone());
    project.run(&["build", "-o", "oci:out"]).ok();
    let out = project.layout("out").image("app");
    assert!(out.manifest["layers"][0].get("annotations").is_none(), "{}", out.manifest["layers"][0]);
    project.sound(&format!("oci:{}", project.path("out").display()));
    let run = project.run(&["build", "-o", "oci:again", "--cache-from", "oci:out", "--cache-dir", "empty"]).ok();
    assert_eq!(run.digests(), std::slice::from_ref(&out.digest));
    assert_eq!(out.layer_digests()[1], honest.layer_digests()[1]);
}

/// What no reader takes is not written, and what makes it too long is named.
#[test]
fn what_nobody_could_read_is_not_built() {
    let project = Project::new("[images.app]\nfrom = \"scratch\"\nports = [\"1-65535/tcp\", \"1-65535/udp\"]\n");
    let told = project.run(&["build", "-o", "oci:out"]).fails(3);
    assert!(told.contains("the list holds 65535 ports") && told.contains("expected 20000 at most"), "{told}");
    // Each list is short enough, and the image has them all.
    project.recipe(
        "[images.low]\nfrom = \"scratch\"\npublish = false\nports = [\"1-20000/tcp\"]\n\
         [images.app]\nfrom = \"low\"\nports = [\"1-20000/udp\"]\n",
    );
    let told = project.run(&["build", "-o", "oci:out"]).fails(3);
    assert!(told.contains("error[L0319]") && told.contains("the most of it is `ports`"), "{told}");
    assert!(!project.path("out").exists());
    project.recipe("[images.app]\nfrom = \"scratch\"\nports = [\"1-20000/udp\"]\n");
    project.run(&["build", "-o", "oci:out"]).ok();
    project.run(&["inspect", "oci:out"]).ok();
}

/// A layer may say where else it is; nobody is asked there.
#[test]
fn foreign_addresses_of_layers_are_not_called() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/layer", listener.local_addr().unwrap());
    let project = Project::new("[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"\" }\n");
    changed(&project.path("ctx/base"), &|manifest, _| {
        manifest["layers"][0]["urls"] = json!([url, "file:///etc/passwd"]);
    });
    let digest = {
        let index: Value = serde_json::from_slice(&fs::read(project.path("ctx/base/index.json")).unwrap()).unwrap();
        let blob = |digest: &Value| project.path("ctx/base/blobs/sha256").join(&digest.as_str().unwrap()[7..]);
        let manifest = fs::read(blob(&index["manifests"][0]["digest"])).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        blob(&manifest["layers"][0]["digest"])
    };
    fs::remove_file(digest).unwrap();
    assert_eq!(unfit(&project, "base"), None);
    assert!(listener.accept().is_err(), "somebody called");
}

/// Fails where a text from outside reaches a log as it is: it could move the cursor, name the window, or be a command to the
/// runner of a pipeline.
#[test]
fn what_is_quoted_commands_neither_a_terminal_nor_a_runner() {
    let project = Project::new("[images.app]\nfrom = \"oci:../base\"\n");
    let evil = "app\n::error title=x::injected\x1b]0;pwned\x07 ##[error]y\r\u{9b}2J\u{202e}";
    Base::debian().settings(json!({ "User": evil })).layout(&project.path("base"));
    let shown = r"app\n::error title=x::injected\u{1b}]0;pwned\u{7}";
    let fit = |said: &str, arguments: &[&str], runner: &str| {
        let ours = ["::error title=L", "::error file=lapstrake.toml,line=", "::warning title=lapstrake"];
        let mut lines = said.lines().filter(|line| !ours.iter().any(|ours| line.starts_with(ours)));
        assert!(
            lines.all(|line| !line.trim_start().starts_with("::")
                || line.starts_with("::group::")
                || line == "::endgroup::"),
            "{arguments:?} {runner}: {said}"
        );
        // Sections of GitLab are ours.
        let said = said.replace("\x1b[0K", "").replace("\r", if runner == "GITLAB_CI" { "" } else { "\r" });
        assert!(
            !said.contains(|c: char| c.is_control() && c != '\n' && c != '\t') && !said.contains('\u{202e}'),
            "{said:?}"
        );
        assert!(!said.contains("##["), "{said}");
    };
    let locks = [
        format!(
            "[[python]]\nplatform = \"linux/amd64\"\nlayers = [{0}]\nasked = [\"x\"]\nseal = \"0\"\nwheels = []\n",
            json!(evil)
        ),
        format!(
            "[[debian]]\nplatform = {0}\nlayers = [{0}]\nasked = [{0}]\nseal = \"0\"\npackages = []\n",
            json!(evil)
        ),
        format!("[[view]]\nlayer = {0}\nplatform = {0}\nseal = \"0\"\n", json!(evil)),
        format!(
            "[[image]]\nname = {0}\nplatform = {0}\nmanifest = \"sha256:{1}\"\nconfig = \"sha256:{1}\"\npython = \"x\"\n",
            json!(evil),
            "0".repeat(64)
        ),
    ];
    for runner in ["GITHUB_ACTIONS", "GITLAB_CI", "NO_RUNNER"] {
        for mode in ["plain", "tty", "json"] {
            let run = |arguments: &[&str]| {
                let mut command = project.command(&[arguments, &["--progress", mode]].concat());
                command.env(runner, "true");
                project.end(command)
            };
            let built = run(&["build", "-o", "oci:out"]).code(3);
            fit(&built.stderr, &["build"], runner);
            assert!(
                built.stderr.contains("the base's user is the name") && built.stderr.contains("injected"),
                "{}",
                built.stderr
            );
            if mode != "json" {
                assert!(built.stderr.contains(&format!("`{shown}")), "{}", built.stderr);
            }
            for lock in &locks {
                project.write("lapstrake.lock", format!("lock = 1\nformat = 1\neffects = 3\n{lock}"));
                for arguments in [&["build", "--dry-run"][..], &["lock"]] {
                    let run = run(arguments);
                    let said = format!("{}{}", run.stderr, run.stdout());
                    fit(&said, arguments, runner);
                    assert!(said.contains("was edited") && said.contains("injected"), "{said}");
                }
            }
            fs::remove_file(project.path("lapstrake.lock")).unwrap();
        }
    }
    // What is typed may be the name of somebody's branch.
    let run = project.run(&["build", evil]).code(2);
    fit(&run.stderr, &["build"], "");
    let run = project.run(&["build", &format!("--nothing={evil}")]).code(2);
    fit(&run.stderr, &["build"], "");
}

/// Fails where the first of two entries for one thing is used, of which somebody may have read the other one.
#[test]
fn a_lock_with_two_entries_for_one_image_is_refused() {
    let project = Project::new("[images.app]\nfrom = \"oci:../base\"\n");
    Base::debian().layout(&project.path("base"));
    project.run(&["lock"]).ok();
    let lock = fs::read_to_string(project.path("lapstrake.lock")).unwrap();
    let digest = lock.split("manifest = \"sha256:").nth(1).unwrap().split('"').next().unwrap();
    let entry = &lock[lock.find("[[image]]").unwrap()..];
    let other = entry.replace(digest, &"0".repeat(64));
    for text in [format!("{lock}\n{other}"), lock.replace(entry, &format!("{other}\n{entry}"))] {
        project.write("lapstrake.lock", &text);
        for arguments in [&["build", "--locked", "-o", "oci:out"][..], &["build", "-o", "oci:out"]] {
            let told = project.run(arguments).code(4).told();
            assert!(
                told.contains("error[L0204]: ")
                    && told.contains("several image entries for oci:../base on linux/amd64"),
                "{told}"
            );
            assert!(!project.path("out").exists());
        }
        project.run(&["lock"]).ok();
        assert_eq!(fs::read_to_string(project.path("lapstrake.lock")).unwrap(), lock);
    }
}
