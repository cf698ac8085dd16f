"""What images are made of: projects with files that are the same on every machine.

A project has a context and images. Each layer of an image is the contents of one directory of the context, put below /app.
"""

import os
import random
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

SEED = 4
# Files are a day old in every run: tools that go by times see a checkout that was there before.
MTIME = 1_700_000_000
DEBIAN_SIZE = 117_000_000


@dataclass(frozen=True)
class Image:
    name: str
    # Name and tag of an image of the project, "debian" (the base in the registry) or "scratch".
    base: str
    layers: tuple
    owner: str = "10001:10001"
    tag: str = "latest"

    @property
    def key(self):
        return f"{self.name}-{self.tag}"


@dataclass(frozen=True)
class Project:
    name: str
    context: Path
    images: tuple
    # The file that is edited, and the image that it is in.
    edited: str = ""
    edited_image: str = ""
    split: int = 0
    # Whether the edited image is the only one that is asked for.
    only: bool = False

    def image(self, key):
        return next(image for image in self.images if image.key == key)

    def chain(self, image):
        """All layers of an image, those of what it stands on first."""
        if image.base in ("debian", "scratch"):
            return image.layers
        return self.chain(self.image(image.base)) + image.layers

    def root(self, image):
        """What an image stands on in the end: "debian" or "scratch"."""
        return image.base if image.base in ("debian", "scratch") else self.root(self.image(image.base))

    def alone(self):
        """The same where the edited image is the only one that is asked for."""
        return replace(self, only=True)

    @property
    def wanted(self):
        """The images that are asked for."""
        return (self.image(self.edited_image),) if self.only else self.images

    def edit(self, number):
        """Changes one file, to something that it never was."""
        path = self.context / self.edited
        text = path.read_bytes().split(b"\n# edit ")[0]
        path.write_bytes(text + b"\n# edit %d\n" % number)


class Contents:
    """Bytes that compress about as source trees and wheels do: text 0.3, machine code 0.5, what is compressed already 1."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgkqjxz_"
        words = ["".join(self.random.choices(letters, k=self.random.randint(2, 10))) for _ in range(4000)]
        weights = [1 / (rank + 1) for rank in range(len(words))]
        picked = iter(self.random.choices(words, weights, k=1_200_000))
        self.lines = []
        while (line := [word for _, word in zip(range(self.random.randint(2, 9)), picked)]):
            self.lines.append((" " * 4 * self.random.randint(0, 3) + " ".join(line) + "\n").encode())
        # A skewed alphabet: bytes of machine code are not all as frequent.
        self.code = bytes(min(int(self.random.expovariate(1 / 25)), 255) for _ in range(256))

    def text(self, size):
        found = b"".join(self.random.choices(self.lines, k=size // 24 + 1))
        while len(found) < size:
            found += self.random.choice(self.lines)
        return found[:size]

    def machine_code(self, size):
        return self.random.randbytes(size).translate(self.code)

    def compressed(self, size):
        return self.random.randbytes(size)


def write(path, data):
    path.write_bytes(data)
    os.utime(path, (MTIME, MTIME))


def tree(root, contents, count, total, fan_out=40):
    """`count` files of `total` bytes together, in directories of `fan_out` files: most are small, a few are large."""
    sizes = [contents.random.lognormvariate(0, 1.4) for _ in range(count)]
    scale = total / sum(sizes)
    for number, size in enumerate(sizes):
        directory = root / f"package{number // (fan_out * 20):03}" / f"module{number // fan_out:05}"
        if number % fan_out == 0:
            directory.mkdir(parents=True, exist_ok=True)
        kind = number % 20
        length = max(16, int(size * scale))
        if kind < 12:
            write(directory / f"source{number:06}.py", contents.text(length))
        elif kind < 17:
            write(directory / f"library{number:06}.so", contents.machine_code(length))
        else:
            write(directory / f"picture{number:06}.png", contents.compressed(length))


def sources(root, contents, count, total, fan_out=20):
    """Like [`tree`], of text alone."""
    mean = total // count
    for number in range(count):
        directory = root / f"package{number // (fan_out * 20):03}" / f"module{number // fan_out:05}"
        if number % fan_out == 0:
            directory.mkdir(parents=True, exist_ok=True)
        write(directory / f"source{number:06}.py", contents.text(contents.random.randint(mean // 4, mean * 7 // 4)))


def eveai(root, quick):
    contents = Contents(SEED + 1)
    part = 10 if quick else 1
    for name, count, total in [
        ("base/common", 500, 4_000_000),
        ("base/config", 40, 200_000),
        ("base/scripts", 20, 60_000),
        ("base/patched_packages", 240, 2_000_000),
        ("app/eveai_app", 700, 6_000_000),
        ("app/migrations", 120, 500_000),
        ("app/content", 180, 900_000),
        ("api/eveai_api", 150, 1_000_000),
        ("workers/eveai_workers", 150, 1_000_000),
    ]:
        sources(root / name, contents, max(2, count // part), total // part)
    services = tuple(Image(name, "base-latest", (name,)) for name in ("app", "api", "workers"))
    edited = "app/eveai_app/package000/module00000/source000001.py"
    return Project("eveai", root, (Image("base", "debian", ("base",)), *services), edited, "app-latest")


def archon(root, quick):
    contents = Contents(SEED + 2)
    part = 10 if quick else 1
    sources(root / "common/common", contents, 300 // part, 2_400_000 // part)
    services = {"server": 500, "mcp": 160, "agents": 200, "frontend": 400}
    for name, count in services.items():
        sources(root / name / name, contents, count // part, count * 8000 // part)
        sources(root / f"{name}-tests" / name / "tests", contents, max(2, count // part // 4), count * 2000 // part)
    images = []
    for name in services:
        tests = (f"{name}-tests",)
        images.append(Image(name, "debian", ("common", name, *tests), "0:0", "docker-latest"))
        images.append(Image(name, "debian", ("common", name), "1001:1001", "k8s-latest"))
    edited = "server/server/package000/module00000/source000001.py"
    return Project("archon", root, tuple(images), edited, "server-k8s-latest")


def large(root, quick):
    count, total = (400, 20 << 20) if quick else (20_000, 1 << 30)
    tree(root / "data", Contents(SEED + 3), count, total)
    image = Image("large", "scratch", ("data",))
    edited = "data/package000/module00001/source000041.py"
    return Project("large", root, (image,), edited, image.key, split=32)


def small(root, quick):
    count, total = (4000, 4_000_000) if quick else (200_000, 200_000_000)
    sources(root / "data", Contents(SEED + 4), count, total, fan_out=50)
    image = Image("small", "scratch", ("data",))
    return Project("small", root, (image,), "data/package000/module00001/source000051.py", image.key)


def fifty(root, quick):
    contents = Contents(SEED + 5)
    names = [f"service{number:02}" for number in range(3 if quick else 50)]
    part = 10 if quick else 1
    sources(root / "base/common", contents, 200 // part, 1_600_000 // part)
    for name in names:
        sources(root / name / name, contents, 20, 120_000)
    services = tuple(Image(name, "base-latest", (name,)) for name in names)
    edited = f"{names[0]}/{names[0]}/package000/module00000/source000001.py"
    return Project("fifty", root, (Image("base", "debian", ("base",)), *services), edited, f"{names[0]}-latest")


PROJECTS = {"eveai": eveai, "archon": archon, "large": large, "small": small, "fifty": fifty}


def make(name, directory, quick):
    """The project of that name, with its files below `directory`."""
    root = directory / name
    root.mkdir(parents=True)
    project = PROJECTS[name](root, quick)
    for path, directories, _ in os.walk(root):
        for one in directories:
            os.utime(os.path.join(path, one), (MTIME, MTIME))
    return project


def debian(path, quick, kind="auto"):
    """The tar of a base image: what mmdebstrap makes, or files of that size. Returns a line about it."""
    program = shutil.which("mmdebstrap")
    if kind != "generated" and program and not quick:
        without = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("locale", "man", "doc")]
        command = [program, "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", *without, "bookworm", str(path)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode == 0 and path.stat().st_size > 50_000_000:
            return f"made by mmdebstrap (Debian 12, minbase without documentation), a tar of {path.stat().st_size / 1e6:.0f} MB"
        path.unlink(missing_ok=True)
        if kind == "mmdebstrap":
            raise RuntimeError("mmdebstrap failed: " + done.stderr.decode(errors="replace")[-500:])
    files = path.with_suffix(".files")
    accounts = files / "etc"
    accounts.mkdir(parents=True)
    write(accounts / "passwd", b"root:x:0:0:root:/root:/bin/bash\n")
    write(accounts / "group", b"root:x:0:\n")
    size, count = (4_000_000, 100) if quick else (DEBIAN_SIZE, 3000)
    tree(files / "usr/lib", Contents(SEED), count, size)

    def settled(member):
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(os.listdir(files)):
            archive.add(files / name, name, filter=settled)
    shutil.rmtree(files)
    return f"generated, a tar of {path.stat().st_size / 1e6:.0f} MB"
