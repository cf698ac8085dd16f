"""The tools that are compared: how each makes the images of a project, and what it has to be given for that.

Every tool makes the same images from the same directories. What it keeps between runs (cache, storage, layout) is below
its own directory; `reset` throws that away. Commands are given as lists; nothing is timed here.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import measure


def program(name):
    """Where a program is, or None."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def said(command, environment=None):
    """The first line that a command prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else ""


def remove(directory):
    """Removes a directory, and whatever is mounted below it before."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted(mounted, reverse=True):
        if mount.startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", mount], stderr=subprocess.DEVNULL)
    shutil.rmtree(directory, ignore_errors=True)


def dockerfile(project, host, link=False):
    """One stage for each image. `link` is BuildKit's: layers that do not depend on what they stand on."""
    lines = []
    for image in project.images:
        base = {"debian": f"{host}/base:latest"}.get(image.base, image.base)
        lines.append(f"FROM {base} AS {image.key}")
        for layer in image.layers:
            lines.append(f"COPY {'--link ' if link else ''}--chown={image.owner} {layer}/ /app/")
    return "\n".join(lines) + "\n"


class Tool:
    """What all tools have. `build` and `push` give commands that bring all images of a project to a layout, to a registry."""

    name = ""
    programs = ()
    how = ""

    def __init__(self, workshop):
        self.workshop = workshop
        self.environment = dict(workshop.environment)

    def missing(self):
        """Why it cannot take part, or None."""
        lacking = [name for name in self.programs if not program(name)]
        return f"not installed ({', '.join(lacking)})" if lacking else None

    def version(self):
        return said([program(self.programs[0]), "--version"])

    def place(self, project, name=""):
        return self.workshop.directory / "state" / self.name / project.name / name

    def prepare(self, project, host):
        """Makes what the tool is told by: a recipe, a Dockerfile."""
        self.place(project, "files").mkdir(parents=True, exist_ok=True)

    def forget(self, project):
        """Throws away everything that it remembers."""
        remove(self.place(project, "kept"))

    def reset(self, project):
        """Makes it a tool that was never used."""
        self.forget(project)
        self.place(project, "kept").mkdir(parents=True, exist_ok=True)

    def made(self, project):
        """Where a build leaves what it makes."""
        return self.place(project, "kept") / "layout"

    def size(self, project):
        """Bytes of what a build made."""
        self.tidy(project)
        path = self.made(project)
        if path.is_file():
            return path.stat().st_size
        return sum(os.lstat(os.path.join(top, name)).st_size for top, _, names in os.walk(path) for name in names)

    def tidy(self, project):
        """What a person would do now and then, and nobody waits for."""

    def build(self, project, host):
        raise NotImplementedError

    def again(self, project, host):
        """A build where nothing changed; tools with a storage of their own need not write a layout for it."""
        return self.build(project, host)

    def push(self, project, host, repository):
        raise NotImplementedError

    def close(self):
        """The end of the benchmark."""


class Lapstrake(Tool):
    name = "lapstrake"
    how = "`lapstrake build --locked`, one command for all images; `oci:` or `--push`"

    def missing(self):
        found = self.workshop.lapstrake
        return None if found.is_file() else f"not built ({found})"

    def version(self):
        return said([str(self.workshop.lapstrake), "--version"])

    def recipe(self, project):
        return self.place(project, "files") / f"{project.name}.toml"

    def prepare(self, project, host, split=0, compression=None):
        super().prepare(project, host)
        lines = ["recipe = 1", "[project]", f'name = "{project.name}"', f"context = {json.dumps(str(project.context))}"]
        lines += [f'repository = "{host}/{project.name}/{{image}}"', ""]
        if compression:
            lines += ["[defaults]", f'compression = "{compression}"', ""]
        variants = {}
        for image in project.images:
            if image.tag != "latest":
                variants.setdefault(image.name, []).append(image)
        for tag in sorted({image.tag for images in variants.values() for image in images}):
            lines += [f"[variants.{tag.split('-')[0]}]", f'tags = ["{tag}"]']
        for image in project.images:
            if image.name not in variants:
                base = {"debian": f"{host}/base:latest"}.get(image.base, image.base.removesuffix("-latest"))
                lines += self.image(f"images.{image.name}", f'from = "{base}"', image, split)
        for name, images in variants.items():
            names = [image.tag.split("-")[0] for image in images]
            lines += [f"[images.{name}]", f'from = "{host}/base:latest"', f"variants = {json.dumps(names)}"]
            for image in images:
                lines += self.image(f"images.{name}.{image.tag.split('-')[0]}", "", image, split)
        self.recipe(project).write_text("\n".join(lines) + "\n")
        self.recipe(project).with_suffix(".lock").unlink(missing_ok=True)
        if any(project.root(image) == "debian" for image in project.images):
            cache = self.place(project, "locking")
            command = self.command("lock", project, cache)
            measure.run([command], self.environment, self.workshop.log)
            shutil.rmtree(cache, ignore_errors=True)

    @staticmethod
    def image(table, base, image, split):
        lines = [f"[{table}]", base]
        for layer in image.layers:
            lines += [f"[[{table}.layers]]", f'copy = ["{layer}/"]', 'to = "/app"', f'owner = "{image.owner}"']
            if split:
                lines.append(f"split = {split}")
        return lines + [""]

    def command(self, verb, project, cache=None):
        cache = cache or self.place(project, "kept") / "cache"
        words = [self.workshop.lapstrake, verb, "-f", self.recipe(project), "--cache-dir", cache, "--progress", "quiet"]
        if verb == "build" and self.recipe(project).with_suffix(".lock").exists():
            words.append("--locked")
        return words

    def wanted(self, project):
        """Nothing where all images are; a project of one image and its bases names that one."""
        return [project.edited_image.rsplit("-", 1)[0]] if project.only else []

    def build(self, project, host):
        layout = self.place(project, "kept") / ("layout-alone" if project.only else "layout")
        return [self.command("build", project) + self.wanted(project) + ["-o", f"oci:{layout}"]]

    def push(self, project, host, repository):
        return [self.command("build", project) + ["--push", "--set", f"repository={host}/{repository}/{{image}}"]]


class Buildah(Tool):
    name = "buildah"
    programs = ("buildah",)
    how = "`buildah bud --layers --target`, then `buildah push` (overlay storage, `--isolation chroot`)"
    verb = "bud"

    def missing(self):
        return super().missing() or (None if os.geteuid() == 0 else "needs root here")

    def short(self, project):
        # podman takes at most 50 characters for its run root.
        return self.workshop.run / f"{self.name[0]}-{project.name}"

    def base_command(self, project):
        kept = self.place(project, "kept")
        return [program(self.programs[0]), "--root", kept / "store", "--runroot", self.short(project), "--storage-driver", "overlay"]

    def prepare(self, project, host):
        super().prepare(project, host)
        (self.place(project, "files") / "Dockerfile").write_text(dockerfile(project, host))

    def forget(self, project):
        remove(self.short(project))
        super().forget(project)

    def again(self, project, host):
        file = self.place(project, "files") / "Dockerfile"
        options = ["-q", "--layers", "--isolation", "chroot", "--tls-verify=false", "-f", file]
        return [
            self.base_command(project)
            + [self.verb, *options, "--target", image.key, "-t", f"localhost/{image.key}", project.context]
            for image in project.wanted
        ]

    def sent(self, project, places):
        push = self.base_command(project) + ["push", "-q", "--tls-verify=false"]
        return [push + [f"localhost/{image.key}", places(image)] for image in project.wanted]

    def build(self, project, host):
        layout = self.made(project)
        return self.again(project, host) + self.sent(project, lambda image: f"oci:{layout}:{image.key}")

    def push(self, project, host, repository):
        sent = self.sent(project, lambda image: f"docker://{host}/{repository}/{image.name}:{image.tag}")
        return self.again(project, host) + sent


class Podman(Buildah):
    name = "podman"
    programs = ("podman", "runc", "conmon")
    how = "`podman build --layers --target`, then `podman push` (overlay storage, `--isolation chroot`)"
    verb = "build"

    def base_command(self, project):
        return super().base_command(project) + ["--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]


class Umoci(Tool):
    name = "umoci+skopeo"
    programs = ("umoci", "skopeo")
    how = "`umoci insert` into a layout that `skopeo copy` made, `skopeo copy` to the registry; it keeps no cache"

    def start(self, project, host):
        """Brings what images stand on into the layout, where it is not there yet."""
        layout = self.made(project)
        commands = []
        if any(project.root(image) == "debian" for image in project.images):
            if not layout.exists():
                copy = [program("skopeo"), "copy", "-q", "--src-tls-verify=false"]
                commands.append([*copy, f"docker://{host}/base:latest", f"oci:{layout}:debian"])
        else:
            if not layout.exists():
                commands.append([program("umoci"), "init", "--layout", layout])
            commands.append([program("umoci"), "new", "--image", f"{layout}:scratch"])
        return commands

    def build(self, project, host):
        layout, umoci = self.made(project), program("umoci")
        commands = self.start(project, host)
        for image in project.wanted:
            commands.append([umoci, "tag", "--image", f"{layout}:{image.base}", image.key])
            uid, gid = image.owner.split(":")
            owner = [] if image.owner == "0:0" else ["--uid-map", f"{uid}:0:1", "--gid-map", f"{gid}:0:1"]
            for layer in image.layers:
                source = project.context / layer
                commands.append([umoci, "insert", *owner, "--image", f"{layout}:{image.key}", source, "/app"])
        return commands

    def push(self, project, host, repository):
        layout = self.made(project)
        copy = [program("skopeo"), "copy", "-q", "--dest-tls-verify=false"]
        sent = [
            [*copy, f"oci:{layout}:{image.key}", f"docker://{host}/{repository}/{image.name}:{image.tag}"]
            for image in project.images
        ]
        return self.build(project, host) + sent

    def tidy(self, project):
        if self.made(project).exists():
            command = [program("umoci"), "gc", "--layout", str(self.made(project))]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.environment)


class Crane(Tool):
    name = "crane"
    programs = ("crane",)
    how = "`tar`, then `crane append` (it compresses); to a tarball, or to the registry; it keeps no cache"

    def version(self):
        return "crane " + said([program("crane"), "version"])

    def tars(self, project):
        kept = self.place(project, "kept")
        commands, made = [], {}
        for image in project.wanted:
            for layer in project.chain(image):
                owner = self.owner(project, layer, image)
                made[layer, owner] = kept / f"{layer}-{owner.replace(':', '-')}.tar"
        for (layer, owner), file in made.items():
            uid, gid = owner.split(":")
            settled = ["--sort=name", "--mtime=@1", f"--owner={uid}", f"--group={gid}", "--numeric-owner"]
            source = project.context / layer
            commands.append([program("tar"), *settled, "--transform=s,^\\.,app,", "-C", source, "-cf", file, "."])
        return commands, made

    @staticmethod
    def owner(project, layer, image):
        while layer not in image.layers:
            image = project.image(image.base)
        return image.owner

    def appended(self, project, host, target):
        commands, made = self.tars(project)
        for image in project.wanted:
            command = [program("crane"), "append", "--insecure"]
            if project.root(image) == "debian":
                command += ["-b", f"{host}/base:latest"]
            for layer in project.chain(image):
                command += ["-f", made[layer, self.owner(project, layer, image)]]
            commands.append(command + target(image))
        return commands

    def build(self, project, host):
        made = self.made(project)
        first = [[program("mkdir"), "-p", made]]
        return first + self.appended(project, host, lambda image: ["-t", image.key, "-o", made / f"{image.key}.tar"])

    def push(self, project, host, repository):
        return self.appended(project, host, lambda image: ["-t", f"{host}/{repository}/{image.name}:{image.tag}"])


class WithDaemon(Tool):
    """A tool that needs a daemon has one of its own, with a storage of its own: that of the machine is left alone."""

    def __init__(self, workshop):
        super().__init__(workshop)
        self.daemon = None

    def missing(self):
        return super().missing() or (None if os.geteuid() == 0 else "needs root here")

    def socket(self, project):
        return f"unix://{self.workshop.run / (self.name[0] + '-' + project.name)}.sock"

    def forget(self, project):
        self.close()
        super().forget(project)

    def reset(self, project):
        super().reset(project)
        log = self.place(project, "kept") / "daemon.log"
        self.daemon = measure.start([str(word) for word in self.serving(project)], self.environment, log)
        for _ in range(200):
            asked = subprocess.run(self.asking(project), capture_output=True, env=self.environment)
            if asked.returncode == 0:
                return
            if os.waitpid(self.daemon, os.WNOHANG)[0]:
                self.daemon = None
                break
            time.sleep(0.05)
        self.close()
        raise measure.Failed(f"the daemon of {self.name} does not start: {measure.last_words(log)}")

    def close(self):
        if self.daemon:
            measure.end(self.daemon)
            self.daemon = None


class BuildKit(WithDaemon):
    name = "buildkit"
    programs = ("buildctl", "buildkitd", "runc")
    how = "`buildctl build` with `COPY --link`, a `buildkitd` of its own (overlay snapshots); its memory is not counted"

    def prepare(self, project, host):
        super().prepare(project, host)
        files = self.place(project, "files")
        (files / "Dockerfile").write_text(dockerfile(project, host, link=True))
        hosts = "".join(f'[registry."{one}"]\n  http = true\n  insecure = true\n' for one in self.workshop.hosts)
        (files / "buildkitd.toml").write_text(hosts + "[worker.containerd]\n  enabled = false\n")

    def serving(self, project):
        kept, files = self.place(project, "kept"), self.place(project, "files")
        command = [program("buildkitd"), "--config", files / "buildkitd.toml", "--root", kept / "root"]
        return command + ["--addr", self.socket(project), "--oci-worker-net", "host", "--oci-worker-snapshotter", "overlayfs"]

    def asking(self, project):
        return [program("buildctl"), "--addr", self.socket(project), "debug", "workers"]

    def commands(self, project, more):
        context, files = project.context, self.place(project, "files")
        words = [program("buildctl"), "--addr", self.socket(project), "build", "--progress", "plain"]
        words += ["--frontend", "dockerfile.v0", "--local", f"context={context}", "--local", f"dockerfile={files}"]
        return [words + ["--opt", f"target={image.key}"] + more(image) for image in project.wanted]

    def again(self, project, host):
        return self.commands(project, lambda image: [])

    def build(self, project, host):
        made = self.made(project)
        return self.commands(project, lambda image: ["--output", f"type=oci,tar=false,dest={made / image.key}"])

    def push(self, project, host, repository):
        def more(image):
            reference = f"{host}/{repository}/{image.name}:{image.tag}"
            output = f"type=image,name={reference},push=true,registry.insecure=true,oci-mediatypes=true"
            cached = ["--import-cache", f"type=registry,ref={reference},registry.insecure=true"]
            return ["--output", output, "--export-cache", "type=inline", *cached]

        return self.commands(project, more)


class Docker(WithDaemon):
    name = "docker"
    programs = ("docker", "dockerd")
    how = "`docker build --target`, `docker save`, `docker push`, a `dockerd` of its own (overlay2); its memory is not counted"

    def version(self):
        return super().version() + ", " + said([program("dockerd"), "--version"])

    def prepare(self, project, host):
        super().prepare(project, host)
        (self.place(project, "files") / "Dockerfile").write_text(dockerfile(project, host))

    def serving(self, project):
        kept = self.place(project, "kept")
        # A new one each time: dockerd believes a note of an earlier one about which process is its own.
        exec_root = tempfile.mkdtemp(prefix="d", dir=self.workshop.run)
        command = [program("dockerd"), "--data-root", kept / "root", "--exec-root", exec_root, "--pidfile", kept / "pid"]
        command += ["--host", self.socket(project), "--bridge", "none", "--iptables=false", "--ip6tables=false"]
        return command + [word for host in self.workshop.hosts for word in ("--insecure-registry", host)]

    def command(self, project):
        return [program("docker"), "--host", self.socket(project)]

    def asking(self, project):
        return [*self.command(project), "version"]

    def local(self, image):
        return f"local/{image.name}:{image.tag}"

    def again(self, project, host):
        file = self.place(project, "files") / "Dockerfile"
        return [
            [*self.command(project), "build", "-q", "-f", file, "--target", image.key, "-t", self.local(image), project.context]
            for image in project.wanted
        ]

    def build(self, project, host):
        names = [self.local(image) for image in project.wanted]
        return self.again(project, host) + [[*self.command(project), "save", "-o", self.made(project), *names]]

    def push(self, project, host, repository):
        commands = self.again(project, host)
        for image in project.images:
            reference = f"{host}/{repository}/{image.name}:{image.tag}"
            commands.append([*self.command(project), "tag", self.local(image), reference])
            commands.append([*self.command(project), "push", "-q", reference])
        return commands


PEERS = (Buildah, Podman, Docker, Umoci, Crane, BuildKit)
