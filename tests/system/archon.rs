//! Archon: eight images of one description, each variant as its surroundings want it.

use std::collections::BTreeSet;
use std::fs;

use crate::containers::{Container, RESTRICTED, podman, pull};
use crate::support::{self, Image, Layer, checkout, commit, ok, registry, strings, text, tool};

/// Name, port, and what it logs on SIGTERM.
const SERVICES: [(&str, u16, &str); 4] = [
    ("server", 8181, "archon server: shutdown requested, stopping"),
    ("mcp", 8051, "archon mcp: shutdown requested, stopping"),
    ("agents", 8052, "archon agents: shutdown requested, stopping"),
    ("frontend", 8080, "signal 15 (SIGTERM) received"),
];

fn start(service: &str, tag: &str, options: &[&str]) -> Container {
    support::archon();
    Container::start(&pull(&format!("archon/{service}:{tag}")), options, &[])
}

fn image(service: &str, variant: &str) -> Image {
    let built = support::archon();
    built.layout().image(&built.digests[&format!("{service}:{variant}")])
}

/// Files of the checkout that must be in no image, by the name of any part of a path.
fn is_junk(name: &str) -> bool {
    let suffixes = ["~", ".swp", ".swo", ".orig", ".pyc", ".pyo"];
    let names = [
        "__pycache__",
        ".env",
        ".git",
        ".idea",
        ".vscode",
        ".DS_Store",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        "node_modules",
    ];
    names.contains(&name)
        || suffixes.iter().any(|suffix| name.ends_with(suffix))
        || name.starts_with(".env.")
        || (name.starts_with('#') && name.ends_with('#'))
}

#[test]
fn archon_is_eight_images_under_the_right_tags() {
    let built = support::archon();
    assert_eq!(built.digests.len(), 8);
    let commit = commit();
    for (service, ..) in SERVICES {
        let repository = format!("archon/{service}");
        let docker = ["latest", "docker-latest", &format!("docker-{commit}")].map(str::to_owned);
        let k8s = ["k8s-latest", &format!("k8s-{commit}")].map(str::to_owned);
        let mut all = [&docker[..], &k8s[..]].concat();
        all.sort();
        assert_eq!(registry().tags(&repository), all);
        for (variant, tags) in [("docker", &docker[..]), ("k8s", &k8s[..])] {
            for tag in tags {
                let wanted = &built.digests[&format!("{service}:{variant}")];
                assert_eq!(registry().digest(&repository, tag), *wanted, "{repository}:{tag}");
            }
        }
    }
}

#[test]
fn archon_k8s_runs_restricted_answers_works_together_and_stops() {
    let server = start("server", "k8s-latest", &RESTRICTED);
    let network = server.network();
    let options = [&RESTRICTED[..], &["--network", &network]].concat();
    let others = ["mcp", "agents", "frontend"].map(|service| start(service, "k8s-latest", &options));
    let [mcp, agents, frontend] = others;
    let containers = [server, mcp, agents, frontend];
    for (container, (service, port, _)) in containers.iter().zip(SERVICES) {
        let url = format!("http://127.0.0.1:{port}/health");
        let health = container.ready(&url).get(&url);
        assert!(health.contains("\"ok\"") && health.contains(service), "{health}");
        container.assert_restricted(1001);
        assert_eq!(container.says(&["id", "-u"]), "1001");
        assert_eq!(container.says(&["id", "-g"]), "1001");
        assert!(!container.exec(&["touch", "/app/x"]).status.success(), "{service}: /app can be written");
        assert!(container.exec(&["touch", "/tmp/x"]).status.success(), "{service}: /tmp cannot be written");
        assert_ne!(container.says(&["cat", "/proc/1/comm"]), "sh", "{service}: a shell is in the way of signals");
    }
    let [server, _, agents, frontend] = &containers;
    let (status, body) = server.post("http://127.0.0.1:8181/api/notes", r#"{"title":"Keel","text":"oak"}"#);
    assert!(status == 200 || status == 201, "{status} {body}");
    let (status, body) = agents.post("http://127.0.0.1:8052/agents/digest", r#"{"about":"oak"}"#);
    assert_eq!((status, body.contains("Keel")), (200, true), "agents ask mcp, which asks the server: {body}");
    assert_routes(frontend);

    for (container, (service, _, line)) in containers.into_iter().rev().zip(SERVICES.into_iter().rev()) {
        let stopped = container.terminate();
        assert_eq!(stopped.code, 0, "{service}: {}", stopped.log);
        assert!(stopped.log.contains(line), "{service}: {}", stopped.log);
    }
}

/// Every route that the front end's own tests name.
fn assert_routes(frontend: &Container) {
    let routes = fs::read_to_string(checkout().join("testdata/archon/frontend/tests/routes.txt")).expect("the routes");
    let routes: Vec<&str> = routes.lines().filter(|line| line.starts_with('/')).collect();
    assert!(routes.len() >= 5);
    for route in routes {
        let (path, status) = route.split_once(' ').expect("path and status");
        let answer = frontend.request(&format!("http://127.0.0.1:8080{path}"), &[]);
        assert_eq!(answer.map(|(status, _)| status.to_string()).as_deref(), Some(status), "{path}");
    }
}

#[test]
fn archon_docker_runs_as_root_and_is_healthy_by_its_own_check() {
    for (service, port, line) in SERVICES {
        let container = start(service, "latest", &[]);
        container.ready(&format!("http://127.0.0.1:{port}/health"));
        assert_eq!((container.status("Uid"), container.status("Gid")), ("0 0 0 0".to_owned(), "0 0 0 0".to_owned()));
        let check = strings(&image(service, "docker").config["config"]["Healthcheck"]["Test"]);
        let check: Vec<&str> = check.iter().map(String::as_str).collect();
        assert_eq!(check[0], "CMD");
        assert!(container.exec(&check[1..]).status.success(), "{service}: {check:?}");
        assert!(container.is_healthy(), "{service}: podman took the health check for its own");
        if service == "frontend" {
            assert_routes(&container);
        }
        let stopped = container.terminate();
        assert_eq!(stopped.code, 0, "{service}: {}", stopped.log);
        assert!(stopped.log.contains(line), "{service}: {}", stopped.log);
    }
}

#[test]
fn archon_variants_differ_only_where_the_recipe_says() {
    let layout = support::archon().layout();
    for (service, ..) in SERVICES {
        let (docker, k8s) = (image(service, "docker"), image(service, "k8s"));

        assert!(docker.config["config"]["Healthcheck"].is_object(), "{service}");
        assert!(k8s.config["config"]["Healthcheck"].is_null(), "{service}");
        assert!(docker.config["config"]["User"].is_null(), "{service}");
        assert_eq!(k8s.config["config"]["User"], "1001:1001", "{service}");
        assert_eq!(docker.manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
        assert_eq!(k8s.manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
        assert!(strings(&docker.config["config"]["Cmd"]).contains(&"sh".to_owned()), "{service}");
        assert!(!strings(&k8s.config["config"]["Cmd"]).contains(&"sh".to_owned()), "{service}");

        // The operating system and the dependencies are the same blobs in both.
        let packages = |image: &Image| image.layers().into_iter().filter(Layer::is_of_packages).collect::<Vec<_>>();
        assert_eq!(packages(&docker), packages(&k8s), "{service}");
        assert_eq!(packages(&docker).len(), if service == "frontend" { 1 } else { 2 }, "{service}");

        // And of the rest, all files but the tests.
        let files = |image: &Image| {
            let own = image.layers().into_iter().filter(|layer| !layer.is_of_packages());
            own.flat_map(|layer| layout.entries(&layer.digest)).collect::<BTreeSet<_>>()
        };
        let (docker, k8s) = (files(&docker), files(&k8s));
        let is_test = |path: &&String| path.split('/').any(|part| part == "tests");
        assert!(docker.iter().any(|path| is_test(&path) && path.starts_with(&format!("app/{service}/"))), "{service}");
        assert_eq!(k8s.iter().filter(is_test).count(), 0, "{service}: {k8s:?}");
        let accounts = ["etc/", "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"];
        let without = |paths: &BTreeSet<String>| {
            let kept = paths.iter().filter(|path| !is_test(path) && !accounts.contains(&path.as_str()));
            kept.cloned().collect::<BTreeSet<_>>()
        };
        assert_eq!(without(&docker), without(&k8s), "{service}");
    }
}

#[test]
fn nothing_of_the_checkout_that_must_stay_out_is_in_any_layer() {
    let (mut seen, mut own) = (BTreeSet::new(), 0);
    for built in [support::eveai(), support::archon(), support::static_site()] {
        let layout = built.layout();
        for digest in built.digests.values() {
            let image = layout.image(digest);
            for document in [digest.as_str(), text(&image.manifest["config"]["digest"])] {
                let bytes = fs::read(layout.blob(document)).expect("a document");
                assert!(!String::from_utf8_lossy(&bytes).contains("bait-that-must-not-leave"), "{document}");
            }
            for layer in image.layers() {
                if !seen.insert(layer.digest.clone()) {
                    continue;
                }
                let script = r#"gzip -dc "$1" | { grep -a -c -F bait-that-must-not-leave-the-checkout || true; }"#;
                let found = ok(tool("sh").args(["-c", script, "sh"]).arg(layout.blob(&layer.digest)));
                assert_eq!(found.trim(), "0", "bait in {layer:?}");
                // Packages hold what they hold, compiled Python included.
                if layer.is_of_packages() {
                    continue;
                }
                own += 1;
                for path in layout.entries(&layer.digest) {
                    assert!(!path.split('/').any(is_junk), "{path} in {layer:?}");
                    // Logs stay out; the site's page that only looks like one is taken back in by name.
                    assert!(
                        !path.ends_with(".log") || path.contains("site/notes/") || path.contains("www/notes/"),
                        "{path}"
                    );
                }
            }
        }
    }
    assert!(own >= 12, "only {own} layers looked at");
    for variant in ["docker", "k8s"] {
        let layers = image("frontend", variant).layers();
        let entries = support::archon().layout().entries(&layers.last().expect("a layer").digest);
        assert!(entries.contains(&"app/frontend/site/notes/guides/ships.log".to_owned()), "{variant}: {entries:?}");
    }
    // The bait and the junk are there to be taken: this test would pass on an empty checkout too.
    for path in ["archon/.env", "archon/server/.env", "eveai/.env", "eveai/config/.env"] {
        let bait = fs::read_to_string(checkout().join("testdata").join(path)).expect("bait");
        assert!(bait.contains("bait-that-must-not-leave-the-checkout"), "{path}");
    }
    for path in ["eveai/common/__pycache__", "eveai/eveai_workers/tasks.pyc", "archon/agents/main.py~"] {
        assert!(checkout().join("testdata").join(path).exists(), "{path}");
    }
}

#[test]
fn archon_images_have_no_user_of_their_own_in_docker_and_appuser_in_k8s() {
    support::archon();
    for (tag, expected) in [("latest", None), ("k8s-latest", Some("appuser:x:1001:1001"))] {
        let image = pull(&format!("archon/server:{tag}"));
        let options = ["run", "--rm", "--pull=never", "--network", "none", &image, "cat", "/etc/passwd"];
        let passwd = ok(podman().args(options));
        let line = passwd.lines().find(|line| line.contains(":1001:"));
        assert_eq!(line.is_some(), expected.is_some(), "{tag}: {passwd}");
        if let (Some(line), Some(expected)) = (line, expected) {
            assert!(line.starts_with(expected) && line.ends_with(":/nonexistent:/usr/sbin/nologin"), "{line}");
        }
    }
}
