"""What is measured, project by project. Every figure is kept under PROJECT/MEASURE."""

import shutil
import time
from dataclasses import dataclass, field

import inputs
import limits
import measure

# Seconds that one tool may take for one figure, all its rounds together; for large inputs.
BUDGET = 6
LONG_BUDGET = 45
# Seconds after which every figure is measured once and no more.
LATE = 16 * 60


@dataclass
class Bench:
    workshop: object
    tools: list
    rounds: int
    quick: bool
    say: object
    results: dict
    edits: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def lapstrake(self):
        return self.tools[0]

    def engines(self):
        """The tools after the first case; podman builds by buildah's own code, and need not do it again."""
        names = [tool.name for tool in self.tools]
        return [tool for tool in self.tools if tool.name != "podman" or "buildah" not in names]

    def project(self, name):
        self.say(f"{name}: making its files")
        project = measure.apart(inputs.make, name, self.workshop.directory / "inputs", self.quick)
        host = self.workshop.registry.host
        for tool in self.tools:
            tool.prepare(project, host)
        return project

    def done(self, project):
        for tool in self.tools:
            tool.forget(project)
            shutil.rmtree(tool.place(project), ignore_errors=True)
        shutil.rmtree(project.context, ignore_errors=True)

    def edit(self, project):
        self.edits += 1
        project.edit(self.edits)

    def run(self, tool, commands):
        return measure.run(commands, tool.environment, self.workshop.log)

    def take(self, name, actions, each_round=None, rounds=None, budget=BUDGET):
        """Measures `actions` in turn and keeps what comes of it."""
        self.say(name)
        rounds = 0 if self.quick or time.monotonic() - self.started > LATE else rounds or self.rounds
        found = measure.interleave(actions, rounds, budget, each_round, self.say)
        self.results[name] = found
        return found

    def first(self, name, tools, prepare):
        """Does what has to be there before a figure can be measured; the tools that could, and why others could not."""
        able, failures = [], {}
        for tool in tools:
            try:
                prepare(tool)
                able.append(tool)
            except measure.Failed as error:
                self.say(f"  {tool.name}: {error}")
                failures[tool.name] = str(error)
        return able, failures

    # The figures.

    def cold(self, project, tools=None, more=None, name="cold", forget=False, **options):
        host = self.workshop.registry.host

        def action(tool):
            def act(number):
                tool.reset(project)
                result = self.run(tool, tool.build(project, host))
                result.counts["size"] = tool.size(project)
                if forget and tool is not self.lapstrake:
                    tool.forget(project)
                return result

            return act

        actions = {tool.name: action(tool) for tool in tools or self.tools}
        return self.take(f"{project.name}/{name}", actions | (more or {}), **options)

    def no_op(self, project, tools=None, more=None, **options):
        """Once more where nothing changed. A tool that knows that all the same has to be asked for all images."""
        host = self.workshop.registry.host

        def action(tool):
            def act(number):
                tool.tidy(project)
                return self.run(tool, tool.again(project, host))

            return act

        actions = {tool.name: action(tool) for tool in tools or self.tools}
        return self.take(f"{project.name}/no-op", actions | (more or {}), **options)

    def change(self, project, tools=None, more=None, name="one file", **options):
        host = self.workshop.registry.host

        def action(tool):
            def act(number):
                tool.tidy(project)
                return self.run(tool, tool.build(project, host))

            return act

        actions = {tool.name: action(tool) for tool in tools or self.tools}
        name = f"{project.name}/{name}"
        return self.take(name, actions | (more or {}), lambda number: self.edit(project), **options)

    def counted(self, tool, project, host, repository):
        """A push, with the requests that the registry answered meanwhile."""
        since, _ = self.workshop.registry.requests(self.log_read)
        sent, received = self.workshop.proxy.counted()
        result = self.run(tool, tool.push(project, host, repository))
        self.log_read, requests = self.workshop.registry.requests(since)
        result.counts["requests"] = len(requests)
        result.counts["heads"] = sum(line.startswith("HEAD") for line in requests)
        result.counts["images"] = len(project.images)
        if host == self.workshop.proxy.host:
            after = self.workshop.proxy.counted()
            result.counts["sent"], result.counts["received"] = after[0] - sent, after[1] - received
        return result

    log_read = 0

    def push_cold(self, project):
        host = self.workshop.registry.host

        def action(tool):
            def act(number):
                tool.reset(project)
                return self.counted(tool, project, host, f"{project.name}/cold-{number}-{tool.name.split('+')[0]}")

            return act

        self.take(f"{project.name}/push cold", {tool.name: action(tool) for tool in self.tools})
        self.compare(project)

    def compare(self, project):
        """Whether all tools made the same image: paths, owners and contents of the files that were copied."""
        image = project.image(project.edited_image)
        found = self.results[f"{project.name}/push cold"]
        seen = {}
        for tool in self.tools:
            if found.runs[tool.name]:
                repository = f"{project.name}/cold-0-{tool.name.split('+')[0]}/{image.name}"
                try:
                    seen[tool.name] = measure.apart(self.workshop.registry.files, repository, image.tag)
                except measure.Failed as error:
                    self.say(f"  {tool.name}: {error}")
                    found.failures[tool.name] = f"its image cannot be read: {error}"
        own = seen.get(self.lapstrake.name)
        for name, files in seen.items():
            if own and files != own:
                self.say(f"  {name}: its image is another")
                found.failures[name] = f"its image is another: {files[0]} files, not {own[0]}, or other owners or contents"

    def pushes(self, project, tools=None, change=True):
        """A push of nothing, and one of one file, after one that brought everything."""
        host = self.workshop.registry.host

        def push(tool):
            tool.tidy(project)
            return self.counted(tool, project, host, f"{project.name}/again-{tool.name.split('+')[0]}")

        able, failures = self.first(project.name, tools or self.tools, push)
        actions = {tool.name: (lambda number, tool=tool: push(tool)) for tool in able}
        found = self.take(f"{project.name}/push no-op", actions)
        found.failures.update(failures)
        if change:
            found = self.take(f"{project.name}/push one file", actions, lambda number: self.edit(project))
            found.failures.update(failures)

    def fresh(self, project):
        """A runner whose disk is empty, a registry that has everything but one file. All through the counting proxy."""
        host = self.workshop.proxy.host

        def push(tool):
            tool.reset(project)
            repository = f"{project.name}/fresh-{tool.name.split('+')[0]}"
            result = self.counted(tool, project, host, repository)
            edited = project.image(project.edited_image)
            layers = self.workshop.registry.layers(f"{repository}/{edited.name}", edited.tag)
            result.counts["layer"] = layers[-1]["size"] if layers else 0
            return result

        def prepare(tool):
            tool.prepare(project, host)
            push(tool)

        able, failures = self.first(project.name, self.tools, prepare)
        actions = {tool.name: (lambda number, tool=tool: push(tool)) for tool in able}
        found = self.take(f"{project.name}/fresh runner", actions, lambda number: self.edit(project))
        found.failures.update(failures)

    def zstd(self, project):
        """What another compression than everybody's default takes."""
        self.lapstrake.prepare(project, self.workshop.registry.host, compression="zstd")
        self.cold(project, [self.lapstrake], name="cold, zstd", rounds=2, budget=LONG_BUDGET)

    def split(self, project):
        """What a push sends after one file of a large layer changed, whole and cut into several."""
        host = self.workshop.proxy.host
        for name, split in (("push one file", 0), ("push one file, split", project.split)):
            tool = self.lapstrake

            def prepare(tool):
                tool.reset(project)
                tool.prepare(project, host, split=split)
                self.counted(tool, project, host, f"{project.name}/split-{split}")

            def act(number):
                result = self.counted(tool, project, host, f"{project.name}/split-{split}")
                layers = self.workshop.registry.layers(f"{project.name}/split-{split}/{project.name}", "latest")
                result.counts["layer"] = sum(layer["size"] for layer in layers)
                result.counts["layers"] = len(layers)
                return result

            able, failures = self.first(name, [tool], prepare)
            actions = {tool.name: act} if able else {}
            found = self.take(f"{project.name}/{name}", actions, lambda number: self.edit(project), rounds=2)
            found.failures.update(failures)

    def limits(self, project, names):
        """Plain programs as tools that take part, by name."""
        tar = self.workshop.directory / "limits" / f"{project.name}.tar"
        actions = {}
        for name in names:
            if name == limits.ENCODER:
                if library := limits.encoder():
                    actions[name] = lambda number, library=library: measure.apart(limits.encode, library, tar)
                continue
            commands = limits.commands(name, project, tar)
            if not commands:
                continue

            def act(number, commands=commands):
                result = measure.run(commands, self.workshop.environment, self.workshop.log)
                for suffix in (".gz", ".zst"):
                    made = tar.with_suffix(".tar" + suffix)
                    if made.exists():
                        result.counts["size"] = made.stat().st_size
                        made.unlink()
                return result

            actions[name] = act
        return actions


def eveai(bench):
    project = bench.project("eveai")
    bench.cold(project)
    bench.no_op(project)
    bench.change(project)
    bench.change(project.alone(), name="one file, its image alone")
    bench.push_cold(project)
    bench.pushes(project)
    bench.fresh(project)
    bench.done(project)


def archon(bench):
    project = bench.project("archon")
    tools = bench.engines()
    bench.cold(project, tools)
    bench.no_op(project, tools)
    bench.change(project, tools)
    bench.pushes(project, tools)
    bench.done(project)


def large(bench):
    project = bench.project("large")
    tar = bench.workshop.directory / "limits" / "large.tar"
    bench.cold(project, bench.engines(), forget=True, rounds=2, budget=LONG_BUDGET)
    limits.make_tar(project, tar)
    names = [limits.ENCODER, "tar | pigz -6 -p2", "tar | zstd -3 -T2", "pigz -6 -p2 of a tar", "zstd -3 -T2 of a tar"]
    names += ["walk and stat, 1 process", "cat to /dev/null", "sha256sum of each file"]
    options = {"rounds": 2, "budget": LONG_BUDGET}
    bench.cold(project, [bench.lapstrake], bench.limits(project, names), name="cold and limits", **options)
    tar.unlink()
    bench.change(project, [bench.lapstrake], bench.limits(project, ["cat | sha256sum"]))
    bench.split(project)
    bench.zstd(project)
    bench.done(project)


def small(bench):
    project = bench.project("small")
    bench.cold(project, bench.engines(), forget=True, rounds=2, budget=LONG_BUDGET)
    names = ["tar | pigz -6 -p2", "tar | zstd -3 -T2", "cat to /dev/null", "sha256sum of each file"]
    bench.cold(project, [bench.lapstrake], bench.limits(project, names), name="cold and limits", rounds=3, budget=LONG_BUDGET)
    names = ["walk and stat, 2 processes", "walk and stat, 1 process"]
    bench.no_op(project, [bench.lapstrake], bench.limits(project, names))
    bench.done(project)


def fifty(bench):
    project = bench.project("fifty")
    tools = bench.engines()
    bench.cold(project, tools)
    bench.no_op(project, tools)
    bench.pushes(project, tools, change=False)
    bench.done(project)


# What can take longest comes last.
CASES = {"eveai": eveai, "archon": archon, "fifty": fifty, "small": small, "large": large}
