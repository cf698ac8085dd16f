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
}


def tried(part, found):
    """How often something was tried, in words."""
    if part == "faults":
        whole = "" if found["whole"] else ", a sample"
        return f"{found['points']} (error × call{whole}); {found['succeeded']} runs did without the call"
    if part == "calls":
        return f"{found['points']} calls" + ("" if found["whole"] else ", a sample")
    if part == "random":
        return f"{found['rounds']} ({found['killed']} before the run had ended)"
    if part == "interrupts":
        return f"{found['rounds']} ({found['interrupted']} while it ran); the slowest took {found['slowest']:.2f} s"
    if part == "builds":
        return f"{found['builds']} × {found['rounds']} rounds; {found['prunes']} prunes"
    return f"{found['renames']} renames"


def table(results):
    lines = ["| what happens | tried | wrong outcomes |", "| --- | --- | --- |"]
    for part, words in WHAT.items():
        found = results.get(part)
        if found is None:
            lines.append(f"| {words} | not yet | |")
        else:
            lines.append(f"| {words} | {tried(part, found)} | {len(found['wrong'])} |")
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
        table(results),
        "Errors: ENOSPC and EDQUOT, EROFS and EMFILE that stay; EIO, EMFILE and EFBIG once; at opening, reading, writing, syncing, naming,\n"
        "removing, for a first build, a build over an older one (layout, archive, metadata file, cache), `lock`, `copy` to an archive and to\n"
        "a layout, and `cache prune`.",
    ]
    if wrong:
        parts += ["### Wrong outcomes", "\n".join(f"- {line}" for line in wrong)]
    parts += ["## Fuzzing", included(checkout / "fuzz/log.md", "No runs are logged (`fuzz/log.md`).")]
    parts += ["## Mutations", included(checkout / "tests/mutants.md", "No runs are logged (`tests/mutants.md`).")]
    return "\n\n".join(part.strip() for part in parts) + "\n"
