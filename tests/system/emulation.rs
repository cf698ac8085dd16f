//! The images for arm64, which this machine cannot run and did not run anything of: started under qemu, to see.

use std::path::PathBuf;
use std::process::Output;

use crate::support::{self, ok, pins, program, run, text, tool, unpacked};

/// The files of the arm64 image, with the emulator among them.
fn root(recipe: &str, image: &str) -> PathBuf {
    let recipe = support::recipe(recipe);
    let root = unpacked(&recipe.layout(), &recipe.of_platform(image, "arm64"));
    ok(tool("cp").arg(program("qemu-aarch64-static")).arg(&root));
    root
}

/// Runs a program of that root in it. Its mounts go away with it.
fn emulate(root: &PathBuf, arguments: &[&str]) -> Output {
    let script = r#"
        root=$1; shift
        mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc" && mount -t tmpfs tmpfs "$root/tmp" || exit 99
        exec chroot "$root" /qemu-aarch64-static "$@"
    "#;
    let mut command = tool("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(root).args(arguments);
    let output = run(command
        .env("LC_ALL", "C")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"));
    assert_ne!(output.status.code(), Some(99), "mounts: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn says(root: &PathBuf, arguments: &[&str]) -> String {
    let output = emulate(root, arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {}\n{said}", output.status);
    said
}

/// Imports whatever the installed distributions say that they bring, and prints their names, and what failed.
const IMPORTS: &str = r#"
import importlib, importlib.metadata, sys
brought = importlib.metadata.packages_distributions()
for module in sorted(brought):
    if not module.isidentifier():
        continue
    try:
        importlib.import_module(module)
    except Exception as error:
        print("FAILED", module, repr(error))
for name in sorted({name for names in brought.values() for name in names}):
    print(name.lower().replace("_", "-").replace(".", "-"), importlib.metadata.version(name))
"#;

fn assert_imports(recipe: &str, image: &str, layer: &str) {
    let root = root(recipe, image);
    let machine = says(&root, &["/usr/bin/python3", "-c", "import platform; print(platform.machine())"]);
    assert_eq!(machine.trim(), "aarch64");
    let output = emulate(&root, &["/usr/bin/python3", "-c", IMPORTS]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut expected: Vec<String> = pins(&support::recipe(recipe).lock(), "python", "linux/arm64", layer)
        .iter()
        .map(|pin| format!("{} {}", text(&pin["name"]), text(&pin["version"])))
        .collect();
    expected.sort();
    let mut seen: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    seen.sort();
    assert_eq!(seen, expected, "{recipe}/{image}");
}

#[test]
fn python_of_eveai_for_arm64_imports_every_module_of_every_wheel() {
    assert_imports("eveai", "base", "base/dependencies");
}

#[test]
fn python_of_archon_for_arm64_imports_every_module_of_every_wheel() {
    assert_imports("archon", "server:k8s", "server:k8s/dependencies");
}

#[test]
fn programs_for_arm64_run() {
    let base = root("eveai", "base");
    assert!(says(&base, &["/usr/bin/tini", "--version"]).starts_with("tini version"));
    assert_eq!(says(&base, &["/usr/bin/bash", "-c", "echo $((6 * 7))"]).trim(), "42");
    assert_eq!(says(&base, &["/usr/bin/dpkg", "--audit"]), "");
    let accounts = "import pwd; print(pwd.getpwuid(10001).pw_name)";
    assert_eq!(says(&base, &["/usr/bin/python3", "-c", accounts]).trim(), "appuser");

    let frontend = root("archon", "frontend:docker");
    assert!(says(&frontend, &["/usr/sbin/nginx", "-v"]).contains("nginx version"));
    let tested = says(&frontend, &["/usr/sbin/nginx", "-t", "-e", "stderr", "-c", "/app/frontend/nginx.conf"]);
    assert!(tested.contains("test is successful"), "{tested}");

    let distroless = root("python-distroless", "python");
    let facts = "import ctypes.util, hashlib, json, sqlite3, ssl; \
                 context = ssl.create_default_context(cafile='/etc/ssl/certs/ca-certificates.crt'); \
                 print(len(context.get_ca_certs()) > 100, ssl.OPENSSL_VERSION)";
    let said = says(&distroless, &["/usr/bin/python3", "-c", facts]);
    assert!(said.starts_with("True OpenSSL 3"), "{said}");
}
