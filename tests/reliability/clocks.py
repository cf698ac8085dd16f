"""Runs whose clock is wrong: what they make is the same, and what they leave in the cache misleads nobody."""

import os
import subprocess
import time
from pathlib import Path

from project import BUILD, BUILT, leftovers, states

# Seconds since 1970: before it, just after it, in 2038 and in 2100.
TIMES = [-86_400, 1000, (1 << 31) + 10, 4_102_444_800]

# The wrong clock of a run, whatever the time is now.
SHARED = "clock.so"


def shifted(shop, work, arguments, seconds):
    """A run at that time."""
    command = shop.command(work, arguments)
    command["env"] |= {"LD_PRELOAD": str(shop.directory / SHARED), "CLOCK_OFFSET": str(seconds - int(time.time()))}
    return subprocess.run(**command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)


def campaign(shop, scenarios, tell=print):
    """Each scenario at each time, and the next one at the right time."""
    source = Path(__file__).resolve().parent / "clock.c"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", shop.directory / SHARED, source], check=True)
    wrong, runs = [], 0
    for scenario in scenarios:
        for seconds in TIMES:
            found = []
            work = shop.copy(scenario, "clock")
            run = shifted(shop, work, scenario.arguments, seconds)
            runs += 1
            if run.returncode != 0:
                found.append(f"exit code {run.returncode}: {run.stderr}")
            if states(work, scenario.outputs) != scenario.after:
                found.append("other bytes are made")
            if leftovers(work):
                found.append(f"{leftovers(work)} are left")
            found += shop.next_is_right(scenario, work)
            if scenario.arguments == BUILD:
                found += change_is_seen(shop, work)
            wrong += [f"{scenario.name}: at {seconds}: {text}" for text in found]
    for text in wrong:
        tell(text)
    return {"runs": runs, "times": len(TIMES), "wrong": wrong}


def change_is_seen(shop, work):
    """A file that changes after the run, with the size and mtime that it had, is read again."""
    path = work / "ctx/src/lib/part3.txt"
    before, text = path.stat(), path.read_text()
    path.write_text(text.swapcase())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    shop.must(work, BUILD)
    made = states(work, BUILT)
    shop.must(work, [*BUILD, "--no-cache"])
    return [] if states(work, BUILT) == made else ["a file that changed was not read again"]
