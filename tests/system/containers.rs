//! Containers: podman on runc, with storage and settings of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{directory, ok, registry, run, scratch, tool, wait_for};

/// What Kubernetes enforces for `runAsNonRoot`, `allowPrivilegeEscalation: false`, `drop: [ALL]` and a read-only root.
pub(crate) const RESTRICTED: [&str; 8] = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs",
    "/tmp:rw,mode=1777",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
];

/// How long a container has after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// `podman` with the storage of that name.
pub(crate) fn podman_in(storage: &str) -> Command {
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests run containers with a storage of their own: run as root"
    );
    static SETTINGS: OnceLock<PathBuf> = OnceLock::new();
    let settings = SETTINGS.get_or_init(|| {
        let path = scratch().join("containers.conf");
        // Limits that any machine has; the built-in ones are more than some allow.
        let text = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        fs::write(&path, text).expect("podman's settings");
        path
    });
    crate::support::program("runc");
    crate::support::program("conmon");
    // Short names: podman takes at most 50 characters for the second.
    let root = directory(&format!("podman/{storage}"));
    let mut command = tool("podman");
    command
        .env("CONTAINERS_CONF", settings)
        // There may be no systemd to make timers for health checks.
        .env("DISABLE_HC_SYSTEMD", "true")
        .args(["--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file"])
        .arg("--root")
        .arg(root.join("store"))
        .arg("--runroot")
        .arg(root.join("run"));
    command
}

/// `podman` with the storage that containers run from.
pub(crate) fn podman() -> Command {
    podman_in("main")
}

/// Pulls `REPOSITORY:TAG` from the registry, once, and returns its name.
pub(crate) fn pull(name: &str) -> String {
    static PULLED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let reference = format!("{}/{name}", registry().host);
    let mut pulled = PULLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !pulled.contains(&reference) {
        ok(podman().args(["pull", "--quiet", "--tls-verify=false", &reference]));
        pulled.insert(reference.clone());
    }
    reference
}

/// A container, removed with its owner.
pub(crate) struct Container {
    id: String,
    log: PathBuf,
    /// Of its first process, as the host counts.
    pub(crate) pid: i32,
}

/// What is left of a container that was stopped.
pub(crate) struct Stopped {
    pub(crate) code: i32,
    pub(crate) log: String,
}

impl Container {
    /// Starts one. It has a network of its own, with loopback alone, where `options` say nothing else.
    pub(crate) fn start(image: &str, options: &[&str], arguments: &[&str]) -> Container {
        static COUNT: Mutex<usize> = Mutex::new(0);
        let number = {
            let mut count = COUNT.lock().unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            *count
        };
        let log = directory("logs").join(number.to_string());
        let mut command = podman();
        command.args(["run", "--detach", "--pull=never", "--log-driver", "k8s-file", "--log-opt"]);
        command.arg(format!("path={}", log.display()));
        if !options.contains(&"--network") {
            command.args(["--network", "none"]);
        }
        let id = ok(command.args(options).arg(image).args(arguments)).trim().to_owned();
        let mut container = Container { id, log, pid: 0 };
        container.pid = container.state("{{.State.Pid}}").parse().expect("a process ID");
        container
    }

    fn state(&self, format: &str) -> String {
        ok(podman().args(["inspect", "--format", format, &self.id])).trim().to_owned()
    }

    /// The option that gives another container this one's network.
    pub(crate) fn network(&self) -> String {
        format!("container:{}", self.id)
    }

    /// A program of the host's in this container's network.
    pub(crate) fn beside(&self, command: Command) -> Command {
        let mut entered = Command::new(crate::support::program("nsenter"));
        entered.arg(format!("--net=/proc/{}/ns/net", self.pid)).arg(command.get_program()).args(command.get_args());
        entered.env_clear();
        for (name, value) in command.get_envs() {
            entered.env(name, value.unwrap_or_default());
        }
        entered
    }

    /// Status and body of an HTTP request in its network; `None` where nothing answers.
    pub(crate) fn request(&self, url: &str, options: &[&str]) -> Option<(u16, String)> {
        let mut curl = tool("curl");
        curl.args(["-sS", "--max-time", "10", "--write-out", "\n%{http_code}"]).args(options).arg(url);
        let output = run(&mut self.beside(curl));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n')?;
        let status = status.parse().ok().filter(|status| *status != 0)?;
        output.status.success().then(|| (status, body.to_owned()))
    }

    /// Expects HTTP 200 and returns the body.
    pub(crate) fn get(&self, url: &str) -> String {
        match self.request(url, &[]) {
            Some((200, body)) => body,
            other => panic!("{url} answers {other:?}\n{}", self.log()),
        }
    }

    /// Sends JSON and returns status and body.
    pub(crate) fn post(&self, url: &str, body: &str) -> (u16, String) {
        self.request(url, &["--header", "Content-Type: application/json", "--data", body])
            .unwrap_or_else(|| panic!("{url} does not answer\n{}", self.log()))
    }

    /// Waits until a URL answers 200.
    pub(crate) fn ready(&self, url: &str) -> &Container {
        wait_for(&format!("{url}\n{}", self.log()), Duration::from_secs(60), || {
            self.assert_running();
            self.request(url, &[]).filter(|(status, _)| *status == 200)
        });
        self
    }

    /// Waits until the log has a text.
    pub(crate) fn logs(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            self.assert_running();
            assert!(start.elapsed() < Duration::from_secs(60), "never logged {text:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn assert_running(&self) {
        assert!(is_there(self.pid), "the container ended:\n{}", self.log());
    }

    /// Everything that it wrote so far. Read from the file itself: `podman logs` may miss the last line.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let line = |line: &str| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned() + "\n";
        log.lines().map(line).collect()
    }

    /// Runs a program in it.
    pub(crate) fn exec(&self, arguments: &[&str]) -> Output {
        run(podman().args(["exec", &self.id]).args(arguments))
    }

    /// What a program in it prints, trimmed.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        ok(podman().args(["exec", &self.id]).args(arguments)).trim().to_owned()
    }

    /// Runs the health check of the image, as Docker does, and says whether it is well.
    pub(crate) fn is_healthy(&self) -> bool {
        run(podman().args(["healthcheck", "run", &self.id])).status.success()
    }

    /// A line of /proc/PID/status.
    pub(crate) fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("the status of the process");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in\n{status}")).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The first process has these numbers and nothing more: no capability, no way to get one, no place to write but /tmp.
    pub(crate) fn assert_restricted(&self, id: u32) {
        let ids = format!("{id} {id} {id} {id}");
        assert_eq!((self.status("Uid"), self.status("Gid")), (ids.clone(), ids), "user and group");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(self.status(set), "0000000000000000", "{set}");
        }
        assert_eq!(self.status("NoNewPrivs"), "1");
        let mounts = fs::read_to_string(format!("/proc/{}/mounts", self.pid)).expect("the mounts of the process");
        let root = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/")).expect("a root");
        let options = root.split(' ').nth(3).expect("options");
        assert!(options.split(',').any(|option| option == "ro"), "the root can be written: {root}");
    }

    /// Sends SIGTERM, expects the end within three seconds, and returns the exit code and the whole log.
    pub(crate) fn terminate(self) -> Stopped {
        let pid = Pid::from_raw(self.pid).expect("a process ID");
        let start = Instant::now();
        kill_process(pid, Signal::TERM).expect("SIGTERM is sent");
        while is_there(self.pid) {
            assert!(start.elapsed() < STOP_LIMIT, "still there {STOP_LIMIT:?} after SIGTERM:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.wait()
    }

    /// Waits for its end by itself.
    pub(crate) fn wait(self) -> Stopped {
        let code = ok(podman().args(["wait", "--interval", "50ms", &self.id]));
        Stopped { code: code.trim().parse().expect("an exit code"), log: self.log() }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = run(podman().args(["rm", "--force", "--time", "0", &self.id]));
    }
}

fn is_there(pid: i32) -> bool {
    pid > 0 && Path::new(&format!("/proc/{pid}")).exists()
}
