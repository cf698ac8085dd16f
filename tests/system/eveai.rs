//! eveAI: pushed, pulled, run as appuser under tini, with a real broker.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::containers::{Container, RESTRICTED, pull};
use crate::support::{self, Daemon, commit, directory, registry, tool, wait_for};

/// A container of a service as Kubernetes would start it.
fn start(service: &str, options: &[&str]) -> Container {
    support::eveai();
    let image = pull(&format!("eveai/{service}:latest"));
    Container::start(&image, &[&RESTRICTED[..], options].concat(), &[])
}

#[test]
fn eveai_is_in_the_registry_under_all_its_tags() {
    let built = support::eveai();
    assert_eq!(built.digests.keys().collect::<Vec<_>>(), ["api", "app", "base", "workers"]);
    for (image, digest) in &built.digests {
        let repository = format!("eveai/{image}");
        assert_eq!(registry().tags(&repository), sorted([commit(), "latest".to_owned()]));
        for tag in ["latest", &commit()] {
            assert_eq!(registry().digest(&repository, tag), *digest, "{repository}:{tag}");
        }
    }
}

fn sorted<const N: usize>(mut values: [String; N]) -> [String; N] {
    values.sort();
    values
}

#[test]
fn eveai_web_runs_as_appuser_under_tini_and_answers_and_stops() {
    let app = start("app", &[]);
    app.ready("http://127.0.0.1:8080/healthz");
    assert!(app.get("http://127.0.0.1:8080/").contains("<html"));

    assert_eq!((app.says(&["id", "-u"]), app.says(&["id", "-g"])), ("10001".to_owned(), "10001".to_owned()));
    assert_eq!(app.says(&["id", "-un"]), "appuser");
    assert_eq!(app.says(&["cat", "/proc/1/comm"]), "tini");
    assert_eq!(app.says(&["pwd"]), "/app");
    // The topmost layer writes below it, and is unpacked alone.
    assert_eq!(app.says(&["stat", "-c", "%a %u:%g", "/app"]), "755 10001:10001");
    assert_eq!(app.says(&["python3", "-c", "import click_plugins; print(click_plugins.PATCHED)"]), "True");
    app.assert_restricted(10001);

    let stopped = app.terminate();
    assert_eq!(stopped.code, 0, "{}", stopped.log);
    assert!(stopped.log.contains("eveai web: SIGTERM received, stopping"), "{}", stopped.log);
}

#[test]
fn eveai_api_answers_on_another_port_and_stops() {
    let api = start("api", &["--env", "PORT=9090"]);
    api.ready("http://127.0.0.1:9090/healthz");
    let (status, body) = api.post("http://127.0.0.1:9090/api/summary", r#"{"text":"One sentence. And another."}"#);
    assert_eq!(status, 200, "{body}");

    let stopped = api.terminate();
    assert_eq!(stopped.code, 0, "{}", stopped.log);
    assert!(stopped.log.contains("eveai web: SIGTERM received, stopping"), "{}", stopped.log);
}

#[test]
fn eveai_worker_takes_tasks_from_a_real_broker_and_beat_sends_them() {
    let app = start("app", &[]);
    let data = directory("redis");
    let mut redis: Command = app.beside(support::daemon("redis-server"));
    redis.args(["--bind", "127.0.0.1", "--port", "6379", "--save", "", "--appendonly", "no", "--dir"]).arg(&data);
    let _redis = Daemon::start(&mut redis, &data.join("log"));
    wait_for("redis", Duration::from_secs(30), || {
        let mut ping = tool("redis-cli");
        ping.arg("ping");
        support::run(&mut app.beside(ping)).stdout.starts_with(b"PONG").then_some(())
    });
    let network = app.network();
    let worker = start("workers", &["--network", &network]);
    let beat = start("workers", &["--network", &network, "--env", "ROLE=beat", "--env", "HEARTBEAT_SECONDS=1"]);

    app.ready("http://127.0.0.1:8080/healthz");
    worker.logs(" ready.");
    let (status, body) = app.post("http://127.0.0.1:8080/tasks", r#"{"text":"A plank. Another plank."}"#);
    assert_eq!(status, 202, "{body}");
    let task: Value = serde_json::from_str(&body).expect("JSON");
    let url = format!("http://127.0.0.1:8080/tasks/{}", task["id"].as_str().expect("an id"));
    let result = wait_for("the task's result", Duration::from_secs(30), || {
        let state: Value = serde_json::from_str(&app.get(&url)).expect("JSON");
        (state["state"] == "SUCCESS").then(|| state["result"].clone())
    });
    assert!(!result.is_null(), "the worker computed something");

    beat.logs("beat: Starting...");
    beat.logs("Sending due task heartbeat");
    worker.logs("eveai worker: heartbeat from beat");

    for (container, line) in [(beat, "eveai beat: SIGTERM received"), (worker, "eveai worker: SIGTERM received")] {
        let stopped = container.terminate();
        assert_eq!(stopped.code, 0, "{}", stopped.log);
        assert!(stopped.log.contains(line), "{}", stopped.log);
    }
}

#[test]
fn eveai_unknown_role_is_exit_code_1() {
    let stopped = start("workers", &["--env", "ROLE=admiral"]).wait();
    assert_eq!(stopped.code, 1, "{}", stopped.log);
    assert!(stopped.log.contains("unknown ROLE 'admiral'"), "{}", stopped.log);
}
