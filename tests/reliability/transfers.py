"""Pushes to and pulls from a registry that fails: once in every way of a table, and at random."""

import json
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

from project import leftovers
from registry import Fault, Registry

RECIPE = """recipe = 1
[project]
name = "sent"
context = "ctx"
platforms = ["linux/amd64"]
[images.app]
from = "scratch"
[[images.app.layers]]
copy = ["large"]
to = "/"
[[images.app.layers]]
copy = ["small"]
to = "/"
[[images.app.layers]]
files = { "/x" = "x" }
"""

# How a request may fail for a while.
PASSES = ["500", "502", "503 retry 0", "503 retry 1", "429", "429 retry 1", "504", "408", "cut", "cut early"]
# Nobody knows whether these were carried out.
DOUBTFUL = ["cut after", "500 after", "502 after", "504 after"]

# Method, a part of the path, and how many of such requests there are at least.
PUSHED = [("HEAD", "/blobs/sha256"), ("POST", "/uploads/"), ("PUT", "/uploads/"), ("PUT", "/manifests/sha256"), ("PUT", "/manifests/1")]
PULLED = [("GET", "/manifests/"), ("GET", "/blobs/")]


def pushes():
    """What goes wrong, and whether the push is done all the same."""
    for method, part in PUSHED:
        kinds = PASSES + (DOUBTFUL + ["503 early", "500 early"] if method in ("PUT", "POST") else [])
        for kind in kinds:
            for times in [1, 3]:
                yield f"{method} {part}: {kind}, {times}×", [Fault(method, part, kind, times)], True
        for kind in ["500", "cut", "403", "401", "challenge"]:
            # Who may not ask may still send.
            is_done = None if method == "HEAD" and kind in ("403", "401", "challenge") else False
            yield f"{method} {part}: {kind}, always", [Fault(method, part, kind, 10_000)], is_done
    for times in [1, 3]:
        yield f"an upload session is lost, {times}×", [Fault("PUT", "/uploads/", "lose session", times)], True
        yield f"416, {times}×", [Fault("PUT", "/uploads/", "416", times)], True
    yield "a blob is lost after it was taken", [Fault("PUT", "/uploads/", "lose blob")], True
    yield "an address that is relative", [Fault("POST", "/uploads/", "location relative", 10_000)], True
    yield "an address of another name", [Fault("POST", "/uploads/", "location of another name", 10_000)], True
    yield "no address", [Fault("POST", "/uploads/", "location missing", 10_000)], False
    yield "another digest in the answer", [Fault("PUT", "/uploads/", "other digest", 10_000)], None
    yield "redirects in a circle", [Fault("HEAD", "/blobs/", "redirect loop", 10_000)], False
    yield "a redirect to a file", [Fault("HEAD", "/blobs/", "redirect file", 10_000)], False
    yield "an answer that stalls", [Fault("POST", "/uploads/", "stall")], True
    yield "a body that nobody takes", [Fault("PUT", "/uploads/", "sip")], True
    yield "a pause that is asked for of 10^9 s", [Fault("POST", "/uploads/", "429 retry 1000000000")], True
    yield "a head without an end", [Fault("POST", "/uploads/", "header bomb")], False
    yield "three at once", [Fault("POST", "/uploads/", "503"), Fault("PUT", "/uploads/", "cut after"), Fault("PUT", "/manifests/", "500")], True


def pulls():
    for method, part in PULLED:
        for kind in [*PASSES, "cut body", "503 early"]:
            for times in [1, 3]:
                yield f"{method} {part}: {kind}, {times}×", [Fault(method, part, kind, times)], True
        for kind in ["500", "cut", "403", "401", "challenge", "flip", "twice", "large", "endless", "header bomb"]:
            yield f"{method} {part}: {kind}, always", [Fault(method, part, kind, 10_000)], False
        yield f"{method} {part}: redirects in a circle", [Fault(method, part, "redirect loop", 10_000)], False
        yield f"{method} {part}: a redirect to a file", [Fault(method, part, "redirect file", 10_000)], False
        yield f"{method} {part}: a redirect to a private address", [Fault(method, part, "redirect metadata", 10_000)], False
    for kind in ["flip", "short", "twice", "gzip", "stall body", "endless"]:
        yield f"a blob: {kind}, once", [Fault("GET", "/blobs/", kind)], None
    yield "a blob that breaks, and a range that is not kept to", [Fault("GET", "/blobs/", "cut body"), Fault("GET", "/blobs/", "wrong range", 1)], None
    yield "another digest in the head", [Fault("GET", "/manifests/", "other digest", 10_000)], None
    yield "an answer that stalls", [Fault("GET", "/manifests/", "stall")], True
    yield "a pause that is asked for of 10^9 s", [Fault("GET", "/blobs/", "429 retry 1000000000")], True


class Sent:
    """An image, where it is taken from, and what became of it."""

    def __init__(self, shop):
        self.shop = shop
        self.work = shop.directory / "sent"
        shutil.rmtree(self.work, ignore_errors=True)
        for below in ["home", "tmp", "ctx"]:
            (self.work / below).mkdir(parents=True)
        noise = random.Random(11)
        (self.work / "ctx/large").write_bytes(noise.randbytes(5 << 20))
        (self.work / "ctx/small").write_bytes(noise.randbytes(70_000))
        (self.work / "lapstrake.toml").write_text(RECIPE)
        shop.must(self.work, ["build", "-o", "oci:image"])
        shutil.rmtree(self.work / "home")

    def place(self, name):
        """A fresh directory without a cache."""
        work = self.shop.directory / name
        shutil.rmtree(work, ignore_errors=True)
        for below in ["home", "tmp"]:
            (work / below).mkdir(parents=True)
        return work

    def filled(self, registry):
        """Puts the image into a registry, past all faults."""
        blobs = self.work / "image/blobs/sha256"
        index = json.loads((self.work / "image/index.json").read_text())
        digest = index["manifests"][0]["digest"]
        for path in blobs.iterdir():
            data = path.read_bytes()
            if f"sha256:{path.name}" == digest:
                registry.manifests[digest] = data
                registry.tags["1"] = digest
            else:
                registry.blobs[f"sha256:{path.name}"] = data

    def push(self, registry, name):
        work = self.place(name)
        run = self.shop.run(work, ["copy", f"oci:{self.work / 'image'}", f"{registry.name}/x:1"], timeout=600)
        wrong = [f"the registry's rules were broken: {text}" for text in registry.violations]
        if run.code == 0 and not registry.is_whole("1"):
            wrong.append("success, and the image is not there")
        if run.code != 0 and registry.tags:
            # The last answer may be lost for good.
            wrong += [] if registry.is_whole("1") else ["a tag was moved to what is not there"]
        return run, wrong + self.tidy(run, work)

    def pull(self, registry, name):
        work = self.place(name)
        run = self.shop.run(work, ["copy", f"{registry.name}/x:1", "oci:out"], timeout=600)
        wrong = [f"the registry's rules were broken: {text}" for text in registry.violations]
        if run.code == 0:
            check = self.shop.run(work, ["inspect", "--validate", "oci:out"])
            same = lambda path: {file.name: file.read_bytes() for file in (path / "blobs/sha256").iterdir()}
            if check.code != 0 or same(work / "out") != same(self.work / "image"):
                wrong.append(f"success, and another image is here: {check.err}")
        elif (work / "out").exists():
            wrong.append("an output is left")
        return run, wrong + self.tidy(run, work)

    def tidy(self, run, work):
        wrong = []
        if run.code not in (0, 5):
            wrong.append(f"exit code {run.code}: {run.err}")
        if run.code != 0 and run.err.count("error[L") != 1:
            wrong.append(f"not one error is told: {run.err}")
        if leftovers(work):
            wrong.append(f"{leftovers(work)} are left")
        shutil.rmtree(work, ignore_errors=True)
        return wrong


def in_lanes(items, work, jobs):
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(work, range(len(items)), items))


def rows(shop, sample=None, jobs=None, tell=print):
    """Every fault of the tables once. `None` in a table: whether it is done is the client's business, and what is done is right."""
    sent = Sent(shop)
    chosen = [("push", *row) for row in pushes()] + [("pull", *row) for row in pulls()]
    if sample is not None:
        # None that takes half a minute.
        quick = [row for row in chosen if not any(word in row[1] for word in ["stall", "10^9", "takes", "always"])]
        chosen = random.Random(4).sample(quick, min(sample, len(quick)))

    def one(number, row):
        way, what, faults, is_done = row
        registry = Registry(faults)
        if way == "pull":
            sent.filled(registry)
        run, wrong = getattr(sent, way)(registry, f"row{number}")
        registry.stop()
        if is_done is not None and (run.code == 0) != is_done:
            wrong.append(f"{'it fails' if is_done else 'it is done'}: {run.err}")
        if not registry.failed:
            wrong.append("the fault was never met")
        for text in wrong:
            tell(f"{way}: {what}: {text}")
        return [f"{way}: {what}: {text}" for text in wrong]

    # They wait far more than they work.
    wrong = [text for found in in_lanes(chosen, one, 4 * (jobs or os.cpu_count())) for text in found]
    pushed = sum(row[0] == "push" for row in chosen)
    return {"pushes": pushed, "pulls": len(chosen) - pushed, "wrong": wrong}


def weather(shop, count, jobs=None, tell=print, percent=30):
    """As many pushes and as many pulls, of whose requests so many percent fail in a passing way."""
    sent = Sent(shop)
    chosen = [(way, seed) for seed in range(count) for way in ("push", "pull")]

    def one(number, item):
        way, seed = item
        registry = Registry(percent=percent, seed=seed * 7919 + 1)
        if way == "pull":
            sent.filled(registry)
        run, wrong = getattr(sent, way)(registry, f"weather{number}")
        registry.stop()
        for text in wrong:
            tell(f"{way} {seed}: {text}")
        return way, run.code, wrong, registry.requests, registry.failed

    results = in_lanes(chosen, one, 4 * (jobs or os.cpu_count()))
    done = {way: sum(code == 0 for found, code, *_ in results if found == way) for way in ("push", "pull")}
    wrong = [text for _, _, found, *_ in results for text in found]
    wrong += [f"only {done[way]} of {count} {way}es were done" for way in done if done[way] < count * 0.99]
    return {
        "count": count,
        "pushed": done["push"],
        "pulled": done["pull"],
        "requests": sum(result[3] for result in results),
        "failed": sum(result[4] for result in results),
        "wrong": wrong,
    }
