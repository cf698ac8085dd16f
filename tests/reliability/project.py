"""Projects that are built again and again under faults, and the judgement of what is left of them."""

import hashlib
import os
import random
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

RECIPE = """recipe = 1
[project]
name = "test"
context = "ctx"
repository = "registry.example.com/{image}"
platforms = ["linux/amd64"]

[images.app]
from = "oci:../base"
[[images.app.layers]]
archive = "data.tar.gz"
to = "/data"
[[images.app.layers]]
copy = ["src"]
to = "/app"
"""

BASE = """recipe = 1
[project]
name = "base"
context = "."
platforms = ["linux/amd64"]

[images.base]
from = "scratch"
[[images.base.layers]]
files = { "/etc/os-release" = "ID=test\\nVERSION=%d\\n", "/etc/passwd" = "root:x:0:0::/root:/bin/sh\\n" }
"""

BUILD = ["build", "-o", "oci:out", "-o", "archive:out.tar", "--metadata-file", "meta.json"]
BUILT = ["out", "out.tar", "meta.json"]

# How each file is called that is not finished.
UNFINISHED = (".lapstrake-", "unfinished-")


@dataclass
class Run:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Scenario:
    """A command over a directory of which a copy is kept."""

    name: str
    arguments: list
    outputs: list
    start: Path
    before: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)


class Shop:
    """Where projects are, and what runs in them."""

    def __init__(self, binary, directory):
        self.binary = str(Path(binary).resolve())
        self.directory = Path(directory).resolve()
        self.inject = str(self.directory / "inject")
        source = Path(__file__).resolve().parent / "inject.c"
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", self.inject, source], check=True)

    def environment(self, work):
        environment = {"PATH": f"/usr/bin:/bin:{work}/bin", "HOME": work / "home", "TMPDIR": work / "tmp"}
        return {name: str(value) for name, value in environment.items()}

    def command(self, work, arguments, inject=()):
        before = [self.inject, *map(str, inject), "--"] if inject else []
        return {"args": [*before, self.binary, *arguments], "cwd": work, "env": self.environment(work), "stdin": subprocess.DEVNULL}

    def run(self, work, arguments, inject=(), timeout=120):
        done = subprocess.run(**self.command(work, arguments, inject), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
        return Run(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def must(self, work, arguments):
        run = self.run(work, arguments)
        if run.code != 0:
            raise SystemExit(f"{arguments}: {run.code}: {run.err}")
        return run

    def copy(self, scenario, name):
        """A fresh directory in the state in which the scenario begins."""
        work = self.directory / name
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(scenario.start, work, symlinks=True)
        return work

    def project(self):
        """A project of which nothing was built: sources, a base, no cache."""
        work = self.directory / "project"
        for below in ["home", "tmp", "ctx/src/lib"]:
            (work / below).mkdir(parents=True)
        (work / "lapstrake.toml").write_text(RECIPE)
        (work / "base.toml").write_text(BASE % 1)
        words = random.Random(5)
        for number in range(12):
            (work / f"ctx/src/lib/part{number}.txt").write_text(f"part {number}\n" * (number + 1))
        # More than one chunk, and more than what is written at once.
        (work / "ctx/src/blob").write_bytes(words.randbytes(3 << 20))
        (work / "ctx/src/text").write_text("\n".join(str(words.random()) for _ in range(20_000)))
        with tarfile.open(work / "ctx/data.tar.gz", "w:gz") as archive:
            archive.add(work / "ctx/src/lib", "lib")
        self.must(work, ["build", "-f", "base.toml", "-o", "oci:base"])
        shutil.rmtree(work / "home")
        (work / "home").mkdir()
        return work

    def scenarios(self):
        """All scenarios: from nothing, over what an older source made, and the other commands that write."""
        fresh = self.project()
        old = self.directory / "old"
        shutil.copytree(fresh, old, symlinks=True)
        self.must(old, BUILD)
        self.must(old, ["lock"])
        self.must(old, ["copy", "oci:out", "archive:copy.tar"])
        (old / "ctx/src/lib/part3.txt").write_text("changed\n")
        (old / "ctx/src/new").write_text("new\n")
        self.must(old, ["build", "-f", "base.toml", "-o", "oci:base"])
        (old / "base.toml").write_text(BASE % 2)
        self.must(old, ["build", "-f", "base.toml", "-o", "oci:base"])
        self.must(old, ["build", "-o", "oci:other"])
        found = [
            Scenario("first build", BUILD, BUILT, fresh),
            Scenario("build over an older one", BUILD, BUILT, old),
            Scenario("lock", ["lock", "--update"], ["lapstrake.lock"], old),
            Scenario("copy to an archive", ["copy", "oci:other", "archive:copy.tar"], ["copy.tar"], old),
            Scenario("copy to a layout", ["copy", "archive:out.tar", "oci:copy"], ["copy"], old),
            Scenario("prune", ["cache", "prune", "--keep", "0s"], [], old),
        ]
        for scenario in found:
            scenario.before = states(scenario.start, scenario.outputs)
            work = self.copy(scenario, "golden")
            self.must(work, scenario.arguments)
            scenario.after = states(work, scenario.outputs)
            left = leftovers(work)
            assert not left, f"{scenario.name}: {left}"
        return found

    def next_is_right(self, scenario, work):
        """The cache is whole; the same command comes to what it should; nothing unfinished is left. Gives what is wrong."""
        wrong = []
        verify = self.run(work, ["cache", "verify"])
        if verify.code != 0:
            wrong.append(f"cache verify: {verify.code}: {verify.out}{verify.err}")
        again = self.run(work, scenario.arguments)
        if again.code != 0:
            wrong.append(f"the next run: {again.code}: {again.err}")
        for output, state in states(work, scenario.outputs).items():
            if state != scenario.after[output]:
                wrong.append(f"the next run: {output} is not what it should be")
        if any("lapstrake-cache-" in name for name in leftovers(work)):
            # What was made where no cache could be is removed by the next run that has none.
            without = {**self.command(work, scenario.arguments)}
            without["env"] = {name: value for name, value in without["env"].items() if name != "HOME"}
            subprocess.run(**without, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        left = leftovers(work)
        if left:
            wrong.append(f"after the next run: {left} are left")
        return wrong


def state(path):
    """What a file or directory holds, to the byte: name of each file → digest."""
    if path.is_dir():
        files = (entry for entry in path.rglob("*"))
        return {str(file.relative_to(path)): digest(file) if file.is_file() else "directory" for file in files}
    return digest(path) if path.exists() else None


def states(work, outputs):
    return {output: state(work / output) for output in outputs}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_intact(now, then):
    """Whether what was there is still there; a layout may have got more, which its index does not list."""
    if isinstance(now, dict) and isinstance(then, dict):
        return all(now.get(name) == digest for name, digest in then.items())
    if isinstance(now, dict) and then is None:
        return "index.json" not in now
    return now == then


def leftovers(work):
    """Unfinished files and directories, wherever they are."""
    left = []
    for directory, directories, files in os.walk(work):
        names = [name for name in directories + files if any(word in name for word in UNFINISHED)]
        if Path(directory) in (work / "tmp", work / "home/.cache/lapstrake/tmp"):
            names = directories + files
        left += [os.path.relpath(os.path.join(directory, name), work) for name in names]
    return sorted(left)
