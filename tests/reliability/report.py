"""tests/RELIABILITY.md from what was measured."""

import re

HEAD = """# Reliability

What lapstrake survived, and how often that was tried. Made by `tests/reliability/run`; `tests/reliability/README.md` says what
is tried and how it is judged. A run that fails must end with one message and leave what was there; a run that is killed must
leave nothing that the next one trips over; and the next run must come to the very same bytes.
"""

WHAT = {
    "faults": "a system call fails",
    "calls": "kill -9 at a call that changes something",
    "random": "kill -9 at a random time",
    "interrupts": "SIGINT, SIGTERM at a random time",
    "builds": "builds at once on one cache, with prune running",
    "order": "renames of unsynced data, names that were never synced",
    "locks": "a file system has no locks",
    "clocks": "a wrong clock",
    "inputs": "hostile inputs",
    "registry": "each fault of a registry",
    "weather": "pushes and pulls, with 30 % of all requests failing in passing",
    "images": "images of `tests/cli` that the validator has a word about, warnings too",
    "secrets": "a password, searched for in all that is written, sent and printed",
}

# The parts that are tried on builds and what else writes; the others bring their own.
SCENARIOS = ["faults", "calls", "random", "interrupts", "builds", "order", "locks", "clocks"]


def tried(part, found):
    """How often something was tried, in words."""
    if part in ("faults", "locks"):
        whole = "" if found["whole"] else ", a sample"
        return f"{found['points']} (error × call{whole}); {found['succeeded']} runs did without the call"
    if part == "calls":
        return f"{found['points']} calls" + ("" if found["whole"] else ", a sample")
    if part == "random":
        return f"{found['killed']} before the run had ended, of {found['rounds']}"
    if part == "interrupts":
        return f"{found['rounds']} ({found['interrupted']} while it ran); the slowest took {found['slowest']:.2f} s"
    if part == "builds":
        return f"{found['builds']} × {found['rounds']} rounds; {found['prunes']} prunes"
    if part == "clocks":
        return f"{found['runs']} runs at {found['times']} times, from 1969 to 2100"
    if part == "inputs":
        most = f"at most {found['memory'] >> 20} MiB and {found['slowest']:.1f} s each"
        taken = found["inputs"] - found["refused"]
        return f"{found['made']} made to be refused, {found['inputs'] - found['made']} others, of which {taken} were taken; {most}"
    if part == "registry":
        return f"{found['pushes']} pushes, {found['pulls']} pulls"
    if part == "weather":
        done = f"{found['pushed']} of {found['count']} pushes and {found['pulled']} of {found['count']} pulls done"
        return f"{done}; {found['failed']} of {found['requests']} requests failed"
    if part == "images":
        return f"{found['images']} in {found['places']} layouts and archives; {found['meant']} have one that their test means"
    if part == "secrets":
        return f"{found['runs']} runs; {found['files']} files, {found['bytes']} bytes"
    return f"{found['renames']} renames"


def table(results, parts):
    lines = ["| what happens | tried | wrong outcomes | of the state |", "| --- | --- | --- | --- |"]
    for part in parts:
        words = WHAT[part]
        found = results.get(part)
        if found is None:
            lines.append(f"| {words} | not yet | | |")
        else:
            lines.append(f"| {words} | {tried(part, found)} | {len(found['wrong'])} | {found['at']} |")
    return "\n".join(lines)


def included(path, nothing):
    """A document of its own, without its title; its sections become sections of a section."""
    if not path.is_file():
        return nothing
    text = re.sub(r"\A# .*\n+", "", path.read_text())
    return re.sub(r"^(#+ )", r"#\1", text, flags=re.MULTILINE).strip()


def render(results, checkout):
    wrong = [line for part in WHAT for line in results.get(part, {}).get("wrong", [])]
    parts = [
        HEAD,
        "## Faults of this machine, kills, builds at once",
        table(results, SCENARIOS),
        "Errors: ENOSPC and EDQUOT, EROFS and EMFILE that stay; EIO, EMFILE and EFBIG once; at opening, reading, writing, syncing, naming,\n"
        "removing, for a first build, a build over an older one (layout, archive, metadata file, cache), `lock`, `copy` to an archive and to\n"
        "a layout, and `cache prune`.",
        "## Hostile inputs, registries, secrets",
        table(results, [part for part in WHAT if part not in SCENARIOS]),
        "Each input is a run of its own, which must need less than 256 MiB and 10 s. Those that were made by hand must be refused; seeds of\n"
        "`fuzz/` and what was made of them by chance may be taken, and what is made of them must be sound. Faults of a registry: each\n"
        "kind at each step, once and three times in a row, and for ever; passing ones must be survived, others told.",
    ]
    if wrong:
        parts += ["### Wrong outcomes", "\n".join(f"- {line}" for line in wrong)]
    parts += ["## Fuzzing", included(checkout / "fuzz/log.md", "No runs are logged (`fuzz/log.md`).")]
    parts += ["## Mutations", included(checkout / "tests/mutants.md", "No runs are logged (`tests/mutants.md`).")]
    return "\n\n".join(part.strip() for part in parts) + "\n"
