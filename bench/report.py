"""The results as Markdown and as a chart, from numbers alone."""

import chart
import targets
from limits import is_limit
from measure import Rounds
from targets import SUBJECT, seconds, size

PROJECTS = {
    "eveai": "One base from a registry with 800 files, three services of 150 to 1,000 files on it: 4 images.",
    "archon": "Four services in two variants (other owner, other files), on one base from a registry: 8 images.",
    "large": "One image of 1 GiB in 20,000 files (text, machine code, files that are compressed already), from scratch.",
    "small": "One image of 200,000 small files, 200 MB, from scratch.",
    "fifty": "50 services of 20 files on one base: 51 images.",
}
# What the rows of the tables mean.
FIGURES = {
    "cold": "cold: nothing kept, to a local layout",
    "no-op": "no-op: once more, nothing changed",
    "one file": "one file changed, to a local layout",
    "one file, its image alone": "the same, where that image alone is asked for",
    "push cold": "push, cold: nothing kept, nothing in the registry but the base",
    "push no-op": "push once more, nothing changed",
    "push one file": "push after one file changed",
    "push one file, split": "the same, with `split`",
    "fresh runner": "fresh runner: nothing kept, registry warm, one file changed, push",
    "cold, zstd": "cold, with `compression = \"zstd\"`",
    "cold and limits": "cold once more, in turn with plain programs",
}
TARGETS = {
    "eveai/no-op": 0.015,
    "archon/no-op": 0.015,
    "eveai/one file": 0.040,
    "eveai/one file, its image alone": 0.040,
    "fifty/no-op": 0.060,
    "fifty/push no-op": 0.150,
}


def table(heads, rows, numbers=True):
    rows = [[text.replace("|", "\\|") for text in row] for row in rows]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + (" ---: |" if numbers else " --- |") * (len(heads) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def results_of(data):
    return {name: Rounds.from_json(value) for name, value in data["results"].items()}


def tools_of(results):
    """Tools that make images, the one that it is about first."""
    names = [name for rounds in results.values() for name in [*rounds.runs, *rounds.failures] if not is_limit(name)]
    return sorted(set(names), key=lambda name: (name != SUBJECT, names.index(name)))


def cell(rounds, tool, footnotes):
    runs = rounds.runs.get(tool)
    if runs:
        text = seconds(rounds.median(tool))
        if len(runs) > 1:
            low, high = rounds.range(tool)
            text += f" ({seconds(low)} to {seconds(high)})"
        return text + (" ¹" if tool in rounds.unwarmed else "")
    if tool in rounds.failures:
        footnotes.append(f"{tool}: {rounds.failures[tool]}")
        return "failed"
    return ""


def figures(project, results, tools):
    """The tables of one project."""
    mine = {name.split("/", 1)[1]: rounds for name, rounds in results.items() if name.startswith(project + "/")}
    footnotes, out = [], []
    rows = []
    for name, rounds in mine.items():
        if name in FIGURES and name != "cold and limits":
            rows.append([FIGURES[name]] + [cell(rounds, tool, footnotes) for tool in tools])
    used = [number for number, tool in enumerate(tools, 1) if any(row[number] for row in rows)]
    rows = [[row[0]] + [row[number] for number in used] for row in rows]
    out += table([""] + [tools[number - 1] for number in used], rows)
    limits = [
        [f"{limit}, beside {name}", cell(rounds, limit, footnotes), made(rounds, limit)]
        for name, rounds in mine.items()
        for limit in [SUBJECT] * any(map(is_limit, rounds.runs)) + [one for one in rounds.runs if is_limit(one)]
    ]
    if limits:
        out += table(["plain programs over the same files, in turn with lapstrake", "seconds", "made"], limits)
    counted = [
        [f"{name}, {tool}", *amounts(runs[-1].counts)]
        for name, rounds in mine.items()
        for tool, runs in rounds.runs.items()
        if runs and "requests" in runs[-1].counts
    ]
    if counted:
        out += table(["requests and bytes of the last round", "requests", "sent", "received"], counted)
    cold = {name: mine[name] for name in ("cold", "cold, zstd") if name in mine}
    if cold:
        rows = [
            [name.replace("cold", tool), f"{max(run.memory for run in runs) / targets.MEBIBYTE:.0f} MiB", f"{rounds.median(tool, 'busy'):.0%}", made(rounds, tool)]
            for name, rounds in cold.items()
            for tool, runs in rounds.runs.items()
            if runs
        ]
        out += table(["cold", "largest process", "cores busy", "made"], rows)
    return out + [f"- {note}" for note in dict.fromkeys(footnotes)] + [""] * bool(footnotes)


def made(rounds, tool):
    runs = rounds.runs.get(tool)
    return size(runs[-1].counts["size"]) if runs and "size" in runs[-1].counts else ""


def amounts(counts):
    return [str(counts["requests"])] + [size(counts[way]) if way in counts else "" for way in ("sent", "received")]


def loads(results):
    found = [load for rounds in results.values() for load in rounds.loads]
    return f"{min(found):.2f} to {max(found):.2f}" if found else "-"


def markdown(data):
    results, about = results_of(data), data["machine"]
    verdicts = targets.judge(results, data["versions"])
    met, judged = sum(one.met is True for one in verdicts), sum(one.met is not None for one in verdicts)
    out = ["# Results", ""]
    if data["quick"]:
        out += ["**A quick run: small inputs, one round. It tests the benchmark; its figures mean nothing.**", ""]
    out += [
        f"Made by `bench/run` on {about['date']} in {data['seconds'] / 60:.0f} minutes; bench/README.md says how to read it.",
        "Medians of whole processes, tools in turn, round by round; the spread is from the smallest to the largest.",
        "",
        f"- Machine: {about['cores']} cores ({about['processor'] or 'unknown'}), {about['memory'] / (1 << 30):.0f} GiB, {about['kernel']};"
        f" load before the run {about['load'][0]:.2f}, before its rounds {loads(results)}."
        f" Everything lies on {'a RAM disk' if data['ram_disk'] else 'a disk'}.",
        f"- Base: {data['base']}.",
    ]
    out += [f"- {name}: {version}; {data['how'][name]}." for name, version in data["versions"].items()]
    out += [f"- {name}: {reason}." for name, reason in data["absent"].items()]
    out += ["", "![The figures on a logarithmic axis](results.svg)", ""]
    out += [f"## Targets: {met} of {judged} met", ""]
    rows = [[one.case, one.target, one.found, one.word] for one in verdicts]
    out += table(["case", "target", "found", ""], rows, numbers=False)
    tools = tools_of(results)
    for project, words in PROJECTS.items():
        if any(name.startswith(project + "/") for name in results):
            out += [f"## {project}", "", words, ""]
            out += figures(project, results, tools)
    if any(rounds.unwarmed for rounds in results.values()):
        out += ["¹ one run, the first: more of them would have taken too long.", ""]
    return "\n".join(out)


def chart_of(data):
    rows = []
    for name, rounds in results_of(data).items():
        values = {tool: rounds.median(tool) for tool in rounds.runs if rounds.runs[tool] and not is_limit(tool)}
        if len(values) > 1 or name in TARGETS:
            rows.append(chart.Row(name.replace("/", ": "), values, TARGETS.get(name, 0.0)))
    return chart.chart("Seconds for a whole run", rows)
