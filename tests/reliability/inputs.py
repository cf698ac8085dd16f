"""Each hostile input is given to a run of its own, whose memory and time are measured."""

import os
import random
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hostile
from project import leftovers
from registry import Registry

# What no run may need.
MEMORY = 256 << 20
SECONDS = 10.0

SEEDS = Path(__file__).resolve().parent.parent.parent / "fuzz/seeds"

# What a terminal would obey, or nobody would see.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def seeds():
    """What fuzzers begin with, given to the commands that read it. Some of it is fine, so that all of it is only judged."""
    H = hostile
    from_scratch = '[images.app]\nfrom = "scratch"\n[[images.app.layers]]\n'
    copies = H.recipe(from_scratch + 'copy = ["."]\nto = "/"\n')
    for target in sorted(path.name for path in SEEDS.iterdir()):
        for path in sorted((SEEDS / target).iterdir()):
            data, case = path.read_bytes(), lambda files, *more: H.Case(f"seed of {target}", path.name, files, *more, is_refused=False)
            if target in ("tar", "compressed", "zip", "elf"):
                yield case({**H.recipe(from_scratch + 'archive = "a.tar"\n'), "ctx/a.tar": data})
            elif target == "image_archive":
                kind = "docker-archive" if path.name.startswith("docker") else "oci-archive" if path.name.startswith("oci") else "archive"
                yield case({**H.recipe(H.OVER_BASE.replace("oci:base", f"{kind}:a.tar")), "ctx/a.tar": data})
            elif target == "deb":
                yield case({**H.recipe(from_scratch + 'debian = ["tool.deb"]\n'), "ctx/tool.deb": data})
            elif target in ("control", "maintainer_script", "relations", "versions"):
                text = {"control": data.decode(errors="replace"), "relations": f"{H.CONTROL}Depends: {data.decode(errors='replace')}\n"}
                more = [H.member(b"./postinst", data=data, mode=b"0000755\0")] if target == "maintainer_script" else []
                yield case({**H.recipe(from_scratch + 'debian = ["tool.deb"]\n'), "ctx/tool.deb": H.deb(text.get(target, H.CONTROL), more=more)})
            elif target in ("wheel", "python_record", "markers"):
                wheel = H.zipped({**H.contents(), f"{H.INFO}/RECORD": data})
                body = from_scratch + 'python = { wheels = ["*.whl"], target = "/site", version = "3.13" }\n'
                yield case({**H.recipe(body), f"ctx/{H.STEM}-py3-none-any.whl": wheel})
            elif target in ("pylock", "requirements"):
                key, name = (target, "pylock.toml") if target == "pylock" else (target, "requirements.txt")
                body = from_scratch + f'python = {{ {key} = "{name}", target = "/site", version = "3.13" }}\n'
                yield case({**H.recipe(body), f"ctx/{name}": data})
            elif target == "recipe":
                yield case({"lapstrake.toml": data})
            elif target == "lock":
                yield case({**copies, "ctx/x": b"x", "lapstrake.lock": data}, ["build", "--offline", "--locked", "-o", "oci:out"])
            elif target == "dockerignore":
                yield case({**copies, "ctx/x": b"x", "ctx/.dockerignore": data})
            elif target == "dockerfile":
                yield case({"Dockerfile": data}, ["init", "Dockerfile", "-o", "made.toml"])
            elif target == "document":
                change = lambda m, c, i: {"manifest": data}
                yield case({**H.recipe(H.OVER_BASE), **H.below("ctx/base", H.layout(H.RELEASE + bytes(1024), change=change))})
            elif target == "docker_config":
                yield case({"login.json": data}, ["inspect", "@REGISTRY@/x:1", "--retry", "1", "--authfile", "login.json"])
            elif target in ("place", "reference") and b"\0" not in data:
                yield case({}, ["inspect", "--retry", "1", "--", os.fsdecode(data)])


def spoilt(draw, case):
    """The same with a few bytes of its largest file changed, cut or doubled: what is taken must be sound all the same."""
    name = max((name for name, data in case.files.items() if isinstance(data, bytes)), key=lambda name: len(case.files[name]))
    data = bytearray(case.files[name])
    if not data or len(data) > 1 << 20:
        return None
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data))
        what = draw.randrange(4)
        if what == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif what == 1:
            data[at : at + 1] = draw.randbytes(draw.randint(1, 8))
        elif what == 2 and len(data) > 1:
            del data[at : at + draw.randint(1, len(data) - 1)]
        else:
            data[at:at] = data[at : at + draw.randint(1, 600)]
        if not data:
            break
    files = {**case.files, name: bytes(data)}
    return hostile.Case("spoilt: " + case.kind, case.what, files, case.arguments, is_refused=False)


def all_inputs():
    found = list(hostile.all_cases())
    found += seeds()
    draw = random.Random(7)
    good = [case for case in found if case.kind.startswith("seed of")]
    for case in [*good, *good]:
        other = spoilt(draw, case) if case.files else None
        if other:
            found.append(other)
    return found


def lay_out(work, case, registry=""):
    for below in ["home", "tmp", "ctx"]:
        (work / below).mkdir(parents=True)
    for name, data in case.files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, hostile.Fifo):
            os.mkfifo(path)
        elif isinstance(data, hostile.Link):
            path.symlink_to(data.to)
        else:
            path.write_bytes(data.replace(b"@REGISTRY@", registry.encode()))


# Starts a program and tells how it ended. A process counts the memory of the one that it was forked from as its own, so that
# a small one stands between.
LAUNCHER = """
import os, signal, sys, time
begun = time.monotonic()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
signal.alarm(int(sys.argv[1]))
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), time.monotonic() - begun, usage.ru_maxrss << 10, file=open("measured", "w"))
"""


def measured(shop, work, arguments):
    """Runs it. Gives its exit code (negative: the signal), what it said, seconds, and the most memory that it had."""
    # Twice as long as it may take: how long it really takes is worth knowing.
    launcher = [sys.executable, "-S", "-c", LAUNCHER, str(int(2 * SECONDS)), shop.binary, *arguments]
    done = subprocess.run(launcher, cwd=work, env=shop.environment(work), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    code, seconds, memory = (work / "measured").read_text().split()
    return int(code), done.stdout.decode(errors="replace"), float(seconds), int(memory)


def judge(shop, case, name, registry):
    """Gives what is wrong, the seconds and the memory, and whether it was refused."""
    work = shop.directory / name
    shutil.rmtree(work, ignore_errors=True)
    lay_out(work, case, registry)
    arguments = [argument.replace("@REGISTRY@", registry) for argument in case.arguments]
    code, said, seconds, memory = measured(shop, work, arguments)
    wrong = []
    if seconds > SECONDS:
        wrong.append(f"it takes {seconds:.1f} s")
    if memory > MEMORY:
        wrong.append(f"it needs {memory >> 20} MiB")
    if code not in range(0, 7) or "panicked" in said:
        wrong.append(f"it ends with {code}")
    elif code == 0:
        if case.is_refused:
            wrong.append("it is taken")
        if (work / "out").exists():
            check = shop.run(work, ["inspect", "--validate", "oci:out"])
            if check.code != 0 or "warning" in check.out + check.err:
                wrong.append(f"what is made of it is not sound: {check.out}{check.err}")
    else:
        if "error[L" not in said:
            wrong.append("no error is told")
        if case.names not in said:
            wrong.append(f"{case.names} is not named")
        if (work / "out").exists():
            wrong.append("an output is left")
    if UNSEEN.search(said):
        wrong.append("a control character is shown")
    if "hunter2" in said:
        wrong.append("a password is shown")
    if leftovers(work):
        wrong.append(f"{leftovers(work)} are left")
    shutil.rmtree(work, ignore_errors=True)
    text = [f"{case.kind}: {case.what}: {text}: {said[:600]}" for text in wrong]
    return text, seconds, memory, code != 0


def campaign(shop, sample=None, jobs=None, tell=print):
    """Tries all inputs, or a sample."""
    cases = all_inputs()
    if sample is not None:
        cases = random.Random(1).sample(cases, min(sample, len(cases)))
    jobs = jobs or os.cpu_count()
    registry = Registry(password="nobody knows it")

    def lane(index):
        results = []
        for case in cases[index::jobs]:
            result = judge(shop, case, f"input{index}", registry.name)
            for finding in result[0]:
                tell(finding)
            results.append(result)
        return results

    with ThreadPoolExecutor(jobs) as pool:
        results = [result for lane in pool.map(lane, range(jobs)) for result in lane]
    registry.stop()
    return {
        "inputs": len(results),
        "made": sum(case.is_refused for case in cases),
        "refused": sum(refused for *_, refused in results),
        "memory": max(memory for _, _, memory, _ in results),
        "slowest": max(seconds for _, seconds, _, _ in results),
        "wrong": [text for found, *_ in results for text in found[:1]],
    }
