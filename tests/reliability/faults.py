"""Every system call that changes something fails once, or from then on; each time everything is judged."""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from project import is_intact, leftovers, states


@dataclass(frozen=True)
class Fault:
    """An error, the classes of calls that it can come from (inject.c), and whether it stays."""

    error: str
    classes: str
    stays: bool

    def arguments(self):
        return ["-e", self.error, "-c", self.classes, *(["-s"] if self.stays else [])]

    def __str__(self):
        return f"{self.error} {'from then on' if self.stays else 'once'}"


FAULTS = [
    Fault("ENOSPC", "mdws", True),
    Fault("EDQUOT", "mdws", True),
    Fault("EIO", "mdwsnal", False),
    Fault("EIO", "ro", False),
    Fault("EROFS", "mdwna", True),
    Fault("EMFILE", "mo", False),
    Fault("EMFILE", "mo", True),
    Fault("EFBIG", "w", False),
]

# File systems without locks: some mounts of NFS.
LOCKS = [Fault("ENOLCK", "l", True)]

TEXTS = {
    "ENOSPC": "No space left on device",
    "EDQUOT": "Disk quota exceeded",
    "EIO": "Input/output error",
    "EROFS": "Read-only file system",
    "EMFILE": "Too many open files",
    "EFBIG": "File too large",
    "ENOLCK": "No locks available",
}


def calls(shop, scenario):
    """The classes of all calls of a run that meets no fault, in their order."""
    work = shop.copy(scenario, "count")
    log = shop.directory / "calls"
    run = shop.run(work, scenario.arguments, ["-c", "mdwsnaorl", "-l", log])
    assert run.code == 0, run.err
    return [line.split("\t")[1] for line in log.read_text().splitlines()]


def count(shop, scenario, classes):
    """How many calls of these classes there are."""
    return sum(kind in classes for kind in calls(shop, scenario))


def points(shop, scenarios, sample, tried, seed=1):
    """All (scenario, fault, number of the call), or a sample of them that has some of each kind."""
    groups = []
    for scenario in scenarios:
        kinds = calls(shop, scenario)
        for fault in tried:
            # One more: where threads take turns, runs differ by a call or two.
            last = sum(kind in fault.classes for kind in kinds) + 1
            groups.append([(scenario, fault, number) for number in range(1, last + 1)])
    if sample is None:
        return [point for group in groups for point in group]
    draw = random.Random(seed)
    share = max(1, sample // len(groups))
    chosen = [point for group in groups for point in draw.sample(group, min(share, len(group)))]
    return chosen[:sample] if len(chosen) > sample else chosen


def judge(shop, scenario, fault, number, name):
    """Runs into one fault; gives what is wrong."""
    work = shop.copy(scenario, name)
    log = shop.directory / f"{name}.calls"
    run = shop.run(work, scenario.arguments, [*fault.arguments(), "-n", number, "-l", log])
    made = log.read_text().splitlines()
    if len(made) < number:
        # Another order of threads, and a call less.
        return [], None
    wrong = []
    if run.code not in range(0, 7) or "panicked" in run.err:
        wrong.append(f"exit code {run.code}: {run.err}")
    now = states(work, scenario.outputs)
    if run.code == 0:
        wrong += [f"success, and {output} is wrong" for output in now if now[output] != scenario.after[output]]
    else:
        wrong += message(run.err, fault, scenario.outputs)
        # Where nothing can be removed any more, nothing is.
        can_tidy = "n" not in fault.classes and "o" not in fault.classes or not fault.stays
        can_tidy = can_tidy and not (made[number - 1].split("\t")[1] in "nro")
        for output, there in now.items():
            old, new = scenario.before[output], scenario.after[output]
            # Once the new index is there, what it no longer lists stays until the name is on the disk.
            if there == old or is_intact(there, new):
                continue
            if can_tidy or not (is_intact(there, old) or is_intact(there, new)):
                wrong.append(f"{output} is neither what it was nor what it should be: {difference(there, old)}")
        if can_tidy and leftovers(work):
            wrong.append(f"{leftovers(work)} are left")
    wrong += shop.next_is_right(scenario, work)
    call = made[number - 1].split("\t", 1)[1].replace(str(work), "")
    return [f"{scenario.name}: {fault} at call {number} ({call}): {text}" for text in wrong], run.code


def message(err, fault, outputs):
    """One message that names the cause and a path."""
    lines = err.splitlines()
    errors = [line for line in lines if line.startswith("error[")]
    text = "\n".join(lines[lines.index(errors[0]):]) if errors else err
    wrong = []
    if len(errors) != 1:
        wrong.append(f"{len(errors)} errors are told: {err}")
    if TEXTS[fault.error] not in text:
        wrong.append(f"the cause is not told: {text}")
    if "/" not in text and not any(name in text for name in ["`", "lapstrake", "out", *outputs]):
        wrong.append(f"no path is told: {text}")
    return wrong


def difference(now, then):
    if not isinstance(now, dict):
        return "gone" if now is None else "other bytes"
    then = then if isinstance(then, dict) else {}
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))[:5]


def campaign(shop, scenarios, sample=None, jobs=None, tell=print, tried=FAULTS):
    """Tries all points; gives how many were met, how many runs succeeded all the same, and what was wrong."""
    chosen = points(shop, scenarios, sample, tried)
    jobs = jobs or os.cpu_count()
    wrong, met, fine = [], 0, 0

    def lane(index):
        results = []
        for scenario, fault, number in chosen[index::jobs]:
            findings, code = judge(shop, scenario, fault, number, f"fault{index}")
            for finding in findings:
                tell(finding)
            results.append((findings, code))
        return results

    with ThreadPoolExecutor(jobs) as pool:
        for results in pool.map(lane, range(jobs)):
            for findings, code in results:
                wrong += findings[:1]
                met += code is not None
                fine += code == 0
    # Each group of points has one that may be beyond the last call.
    assert met >= len(chosen) * 3 // 4, f"of {len(chosen)} faults only {met} were met"
    return {"points": met, "succeeded": fine, "wrong": wrong}
