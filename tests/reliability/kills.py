"""Runs that are killed or interrupted, and runs side by side; what they leave is judged."""

import os
import random
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from faults import count
from project import BUILT, is_intact, leftovers, states

# What changes something (inject.c).
CHANGES = "mdwsna"


def lanes(items, work, jobs, tell):
    """Does `work(item, name)` for all of them, a few at a time; gives what was wrong."""
    items = list(items)

    def lane(index):
        wrong = []
        for item in items[index::jobs]:
            for finding in work(item, f"lane{index}"):
                tell(finding)
                wrong.append(finding)
        return wrong

    with ThreadPoolExecutor(jobs) as pool:
        return [finding for wrong in pool.map(lane, range(jobs)) for finding in wrong]


def nothing_is_half(scenario, work):
    """Each output is what it was or what it should be; a layout may have got blobs that its index does not list."""
    for output, there in states(work, scenario.outputs).items():
        if not any(is_intact(there, state) for state in (scenario.before[output], scenario.after[output])):
            yield f"{output} is neither what it was nor what it should be"


def at_every_call(shop, scenarios, sample=None, jobs=None, tell=print):
    """Kills each scenario at every call that changes something (or a sample of them)."""
    points = [(scenario, number) for scenario in scenarios for number in range(1, count(shop, scenario, CHANGES) + 1)]
    if sample is not None and sample < len(points):
        points = sorted(random.Random(2).sample(points, sample), key=lambda point: (point[0].name, point[1]))

    def work(point, name):
        scenario, number = point
        work = shop.copy(scenario, name)
        run = shop.run(work, scenario.arguments, ["-k", "-n", number, "-c", CHANGES])
        wrong = [] if run.code in (0, 137) else [f"exit code {run.code}: {run.err}"]
        wrong += [*nothing_is_half(scenario, work), *shop.next_is_right(scenario, work)]
        return [f"{scenario.name}: killed at call {number}: {text}" for text in wrong]

    return {"points": len(points), "wrong": lanes(points, work, jobs or os.cpu_count(), tell)}


def started(shop, work, arguments):
    command = shop.command(work, arguments)
    return subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def how_long(shop, scenario):
    """Seconds that a run takes here."""
    work = shop.copy(scenario, "time")
    begin = time.monotonic()
    shop.must(work, scenario.arguments)
    return time.monotonic() - begin


def at_random(shop, scenarios, rounds, jobs=None, tell=print):
    """Kills scenarios with SIGKILL after a random time, until that many were killed before they ended."""
    times = {scenario.name: how_long(shop, scenario) for scenario in scenarios}
    killed, begun = [], []

    def work(number, name):
        if len(killed) >= rounds:
            return []
        begun.append(number)
        scenario = scenarios[number % len(scenarios)]
        draw = random.Random(number)
        work = shop.copy(scenario, name)
        child = started(shop, work, scenario.arguments)
        time.sleep(draw.uniform(0, 1) * times[scenario.name])
        child.kill()
        child.communicate()
        if child.returncode < 0:
            killed.append(number)
        wrong = [*nothing_is_half(scenario, work), *shop.next_is_right(scenario, work)]
        return [f"{scenario.name}: killed at random ({number}): {text}" for text in wrong]

    # Where most end sooner, they are too quick to be killed.
    wrong = lanes(range(8 * rounds), work, jobs or os.cpu_count(), tell)
    return {"rounds": len(begun), "killed": len(killed), "wrong": wrong}


def interrupts(shop, scenarios, rounds, jobs=None, tell=print):
    """SIGINT and SIGTERM after a random time: the exit code, within a second, and nothing left behind at once."""
    times = {scenario.name: how_long(shop, scenario) for scenario in scenarios}
    ended, slowest = [], [0.0]

    def work(number, name):
        scenario = scenarios[number % len(scenarios)]
        which = [signal.SIGINT, signal.SIGTERM][number // len(scenarios) % 2]
        draw = random.Random(number)
        work = shop.copy(scenario, name)
        child = started(shop, work, scenario.arguments)
        time.sleep(draw.uniform(0.1, 1.1) * times[scenario.name])
        begin = time.monotonic()
        child.send_signal(which)
        _, err = child.communicate(timeout=60)
        slowest[0] = max(slowest[0], time.monotonic() - begin)
        wrong = []
        if child.returncode == 128 + which:
            ended.append(number)
        # Before it listens, a signal ends it as it ends any program.
        elif child.returncode not in (0, -which):
            wrong.append(f"exit code {child.returncode}: {err.decode()}")
        for output, there in states(work, scenario.outputs).items():
            if there != scenario.before[output] and not is_intact(there, scenario.after[output]):
                wrong.append(f"{output} is neither what it was nor what it should be")
        if leftovers(work):
            wrong.append(f"{leftovers(work)} are left")
        wrong += shop.next_is_right(scenario, work)
        return [f"{scenario.name}: {which.name} ({number}): {text}" for text in wrong]

    wrong = lanes(range(rounds), work, jobs or os.cpu_count(), tell)
    return {"rounds": rounds, "interrupted": len(ended), "slowest": slowest[0], "wrong": wrong}


def side_by_side(shop, scenarios, rounds, builds=8, tell=print):
    """Builds at once on one cache, each into places of its own, while the cache is pruned over and over."""
    scenario = scenarios[0]
    work = shop.copy(scenario, "shared")
    wrong, prunes, over = [], [0], threading.Event()

    def prune():
        while not over.is_set():
            run = shop.run(work, ["cache", "prune", "--keep", "0s"])
            prunes[0] += 1
            if run.code != 0:
                wrong.append(f"prune: {run.code}: {run.err}")

    def build(number):
        own = [f"{number}-out", f"{number}.tar", f"{number}.json"]
        arguments = ["build", "-o", f"oci:{own[0]}", "-o", f"archive:{own[1]}", "--metadata-file", own[2]]
        run = shop.run(work, arguments)
        if run.code != 0:
            return [f"build {number}: {run.code}: {run.err}"]
        made = states(work, own)
        return [f"build {number}: {name} is wrong" for name, right in zip(own, BUILT) if made[name] != scenario.after[right]]

    pruner = threading.Thread(target=prune)
    pruner.start()
    try:
        with ThreadPoolExecutor(builds) as pool:
            for _ in range(rounds):
                for findings in pool.map(build, range(builds)):
                    wrong += findings
    finally:
        over.set()
        pruner.join()
    for finding in wrong:
        tell(finding)
    left = leftovers(work)
    if left:
        wrong.append(f"{left} are left")
    verify = shop.run(work, ["cache", "verify"])
    if verify.code != 0:
        wrong.append(f"cache verify: {verify.out}{verify.err}")
    return {"rounds": rounds, "builds": builds, "prunes": prunes[0], "wrong": wrong}
