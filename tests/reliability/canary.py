"""A password that is used for a push and a pull, echoed, and written where none belongs: it is searched for in every byte."""

import base64
import json
import shutil

from registry import Fault, Registry

CANARY = "c4n4ry-hunter2"
BASIC = base64.b64encode(f"bob:{CANARY}".encode()).decode()
FORMS = [form.encode() for form in (CANARY, BASIC, CANARY.replace("-", "%2D"), CANARY.encode().hex())]

RECIPE = """recipe = 1
[project]
name = "secret"
context = "ctx"
repository = "{registry}/{{image}}"
tags = ["1"]
platforms = ["linux/amd64"]
[images.app]
from = {base}
[[images.app.layers]]
copy = ["."]
to = "/app"
"""

# What helpers say where they fail.
HELPERS = [
    f"echo 'pw={CANARY}'; exit 1",
    f"echo {BASIC}; exit 1",
    f"echo 'no login for bob {CANARY}' >&2; exit 3",
    f"echo 'permission denied: {CANARY}'; exit 1",
    f"echo '{CANARY}'",
]

LOGIN = f"bob:{CANARY}@registry.example.com"

# What people write where they should not; none of it may be repeated.
WRITTEN = [
    ["inspect", f"{LOGIN}/x"],
    ["inspect", f"docker://{LOGIN}/x:1"],
    ["inspect", f"oci:{LOGIN}/x"],
    ["inspect", f"https://{LOGIN}/x"],
    ["inspect", f"bob:{CANARY}@localhost"],
    ["copy", f"archive:{LOGIN}", "oci:x"],
    ["copy", "oci:here", f"{LOGIN}/x"],
    ["push", "oci:here", f"{LOGIN}/x:1"],
    ["build", "--offline", "--cache-from", f"oci:{LOGIN}/x"],
    ["build", "--offline", "--cache-from", f"type=registry,ref={LOGIN}/x"],
    ["build", "--offline", "-o", f"type=oci,dest=https://{LOGIN}/x"],
    ["build", "--offline", "-t", f"{LOGIN}/x:1"],
    ["build", "--offline", "--set", f"repository={LOGIN}/x"],
    ["build", "--offline", "--registry-mirror", f"docker.io={LOGIN}"],
    ["build", "--offline", "--insecure-registry", LOGIN],
    ["resolve", "--check", "-k", "pod.yaml", "--from", f"oci:{LOGIN}/x"],
    ["resolve", "--check", "-k", "pod.yaml"],
    ["diff", f"{LOGIN}/x:1", "oci:here"],
    *([command, f"bob:{CANARY}@{host}"] for command in ["inspect", "report", "verify", "build"] for host in ["cafe", "node1:5000"]),
    ["copy", f"bob:{CANARY}@cafe", "oci:x"],
    ["push", "oci:here", f"bob:{CANARY}@cafe"],
    ["diff", f"bob:{CANARY}@cafe", "oci:here"],
    ["explain", "--against", f"bob:{CANARY}@node1:5000"],
    ["build", "--offline", "-o", f"bob:{CANARY}@cafe"],
    ["build", "--offline", "--cache-from", f"bob:{CANARY}@cafe"],
    ["inspect", f"oci:bob:@{CANARY}@h/x"],
    ["inspect", f"oci:{LOGIN}/x:@0"],
    ["inspect", f"oci-archive:bob:@{CANARY}"],
    ["build", "--offline", "-o", f"type=oci,dest=x,name=@{CANARY}@h"],
    ["build", "--offline", "-o", f"type=registry,{CANARY}@h/x"],
    ["build", "--offline", "-t", f"bob:{CANARY}@localhost"],
    ["build", "--offline", "-t", f"{CANARY}@localhost"],
    ["build", "--offline", "-t", f"{CANARY}@registry.example.com/x"],
    ["build", "--offline", f"{LOGIN}/x"],
    ["verify", f"{LOGIN}/app:1"],
    ["inspect", "--image", f"{LOGIN}/x", "oci:here"],
    ["inspect", f"{CANARY}@registry.example.com/x"],
    ["inspect", f"{CANARY}@h/x.tar"],
    ["inspect", f"bob:{CANARY}{'x' * 2000}@registry.example.com/x"],
    ["inspect", f"bob:{CANARY}, '\"y@registry.example.com/x"],
    ["inspect", "oci:here", LOGIN],
    [LOGIN],
    ["build", "--offline", "--platform", LOGIN],
]


def campaign(shop, tell=print):
    """Runs commands that use, meet or are given the password; gives where it was found, and how much was searched."""
    counts = {"runs": 0, "files": 0, "bytes": 0}
    wrong = []

    def search(data, where):
        counts["bytes"] += len(data)
        wrong.extend(f"{where} has it" for form in FORMS if form in data)

    def look(work, registry, arguments):
        run = shop.run(work, [*arguments, "--authfile", "login.json", "--retry", "2"])
        counts["runs"] += 1
        shown = " ".join(arguments).replace(CANARY, "***")
        search((run.out + run.err).encode(), f"what `{shown}` says")
        if run.code not in range(0, 7):
            wrong.append(f"`{shown}` ends with {run.code}: {run.err}")
        for path in work.rglob("*"):
            search(str(path.relative_to(work)).encode(), f"the name of {path.name} after `{shown}`")
            if path.is_file() and path.name not in ("login.json", "pod.yaml", "docker-credential-canary"):
                counts["files"] += 1
                search(path.read_bytes(), f"{path.relative_to(work)} after `{shown}`")
        for data in [*registry.blobs.values(), *registry.manifests.values(), *(text.encode() for text in registry.targets)]:
            search(data, f"what was sent by `{shown}`")
        return run

    def place(registry, base='"scratch"'):
        work = shop.directory / "secrets"
        shutil.rmtree(work, ignore_errors=True)
        for below in ["home", "tmp", "ctx"]:
            (work / below).mkdir(parents=True)
        (work / "ctx/file").write_text("text\n")
        (work / "lapstrake.toml").write_text(RECIPE.format(registry=registry.name, base=base))
        (work / "login.json").write_text(json.dumps({"auths": {registry.name: {"auth": BASIC}}}))
        (work / "pod.yaml").write_text(f"spec:\n  containers:\n  - image: {LOGIN}/x:1\n")
        return work

    registry = Registry(password=BASIC)
    work, name = place(registry), registry.name
    used = [
        ["build", "--push", "--metadata-file", "meta.json", "--progress", "json"],
        ["build", "--push", "--progress", "plain"],
        ["inspect", f"{name}/app:1"],
        ["inspect", "--json", "--validate", f"{name}/app:1"],
        ["copy", f"{name}/app:1", "oci:here"],
        ["copy", f"{name}/app:1", "archive:here.tar"],
        ["copy", f"{name}/app:1", f"{name}/other:2"],
        ["push", "oci:here", f"{name}/third:1"],
        ["explain", "--registry"],
        ["verify"],
        ["report", "--registry", "-o", "report.html"],
        ["diff", f"{name}/app:1", "oci:here"],
        ["lock"],
    ]
    for arguments in used:
        run = look(work, registry, arguments)
        if run.code != 0:
            wrong.append(f"{arguments[0]} fails: {run.err}")
    if not registry.welcomed:
        wrong.append("the password was never used")
    for arguments in WRITTEN:
        look(work, registry, arguments)
    registry.stop()
    for method, part in [("GET", "/manifests/"), ("HEAD", "/manifests/"), ("POST", "/uploads/"), ("PUT", "/uploads/"), ("PUT", "/manifests/")]:
        for kind in [f"echo {status}" for status in (400, 401, 403, 404, 429, 500)] + ["echo redirect"]:
            registry = Registry([Fault(method, part, kind, 100)], password=BASIC, echo=f"{CANARY} {BASIC}")
            work = place(registry)
            look(work, registry, ["build", "--push"])
            look(work, registry, ["inspect", f"{registry.name}/app:1"])
            registry.stop()
    for script in HELPERS:
        registry = Registry(password=BASIC)
        work = place(registry)
        (work / "login.json").write_text(json.dumps({"credsStore": "canary"}))
        (work / "bin").mkdir()
        (work / "bin/docker-credential-canary").write_text(f"#!/bin/sh\n{script}\n")
        (work / "bin/docker-credential-canary").chmod(0o755)
        run = look(work, registry, ["inspect", f"{registry.name}/app:1"])
        if "docker-credential-canary" not in run.err:
            wrong.append(f"no helper is asked: {run.err}")
        registry.stop()
    for base in [
        f'"{LOGIN}/x:1"', f'"https://{LOGIN}/x:1"', f'"oci:{LOGIN}/x"', f'"oci:{LOGIN}/x:@0"', f'"oci:bob:@{CANARY}@h"',
        f'"archive:bob:@{CANARY}"', f'"bob:{CANARY}@cafe"', f'"{CANARY}@localhost"',
    ]:
        registry = Registry(password=BASIC)
        work = place(registry, base)
        # The recipe has it: that is its author's.
        text = (work / "lapstrake.toml").read_text()
        (work / "lapstrake.toml").unlink()
        (work / "login.json.d").mkdir()
        (work / "login.json.d/login.json").write_text(text)
        for command in ["build", "lock", "explain", "dry-run"]:
            arguments = ["build", "--dry-run"] if command == "dry-run" else [command]
            look(work, registry, [*arguments, "-f", "login.json.d/login.json"])
        registry.stop()
    for text in wrong:
        tell(text)
    return {**counts, "wrong": wrong}
