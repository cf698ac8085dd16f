"""What was aimed for, beside what was measured, and whether it was met."""

from dataclasses import dataclass

import limits
from limits import is_limit
from measure import Rounds

SUBJECT = "lapstrake"
MEBIBYTE = 1 << 20
# One that is alone is faster where cores are few.
WALKS = ["walk and stat, 2 processes", "walk and stat, 1 process"]


@dataclass(frozen=True)
class Verdict:
    case: str
    target: str
    found: str
    # None where there is nothing to compare with.
    met: object

    @property
    def word(self):
        return {True: "met", False: "**not met**", None: "-"}[self.met]


def seconds(value):
    if value is None:
        return "-"
    if value < 0.0995:
        return f"{value * 1000:.1f} ms"
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.2f} s"


def size(value):
    if value < 10_000:
        return f"{value:.0f} bytes"
    return f"{value / 1e3:.1f} kB" if value < 1e6 else f"{value / 1e6:.1f} MB"


class Judge:
    """Goes through the results; what was not measured is said to be so."""

    def __init__(self, results, versions):
        self.results, self.versions = results, versions
        self.verdicts = []

    def rounds(self, name):
        return self.results.get(name, Rounds({}, {}, [], []))

    def own(self, name, figure="wall"):
        return self.rounds(name).median(SUBJECT, figure)

    def say(self, case, target, found, met):
        self.verdicts.append(Verdict(case, target, found, met))

    def at_most(self, name, limit):
        own = self.own(name)
        self.say(name, f"at most {seconds(limit)}", seconds(own), None if own is None else own <= limit)

    def times_faster(self, name, times, peer=None, same_size=False):
        rounds, own = self.rounds(name), self.own(name)
        if peer is None:
            target = f"at least {times:g} times faster than the fastest peer"
            tools = {tool: runs for tool, runs in rounds.runs.items() if runs and not is_limit(tool)}
            if same_size and SUBJECT in tools:
                # One that does not compress (`docker save`) does something else.
                own_size = tools[SUBJECT][-1].counts.get("size", 0)
                tools = {tool: runs for tool, runs in tools.items() if runs[-1].counts.get("size", 0) <= own_size * 1.25}
            tools = Rounds(tools, {}, [], [])
            peer, theirs = tools.fastest_peer(SUBJECT)
        else:
            target, theirs = f"at least {times:g} times faster than {peer}", rounds.median(peer)
        if same_size:
            target += ", at the same ratio or better"
        if own is None or theirs is None:
            why = rounds.failures.get(peer) or ("not installed" if peer and peer not in self.versions else "not measured")
            return self.say(name, target, why, None)
        found, met = f"{theirs / own:.1f} times: {seconds(own)}, {peer} {seconds(theirs)}", theirs >= times * own
        if same_size:
            sizes = [rounds.runs[tool][-1].counts.get("size", 0) for tool in (SUBJECT, peer)]
            found += f"; {size(sizes[0])}, {peer} {size(sizes[1])}"
            # Half a percent is no other ratio.
            met = met and sizes[0] <= sizes[1] * 1.005
        self.say(name, target, found, met)

    def at_most_times(self, name, times, limits, words):
        """Beside the fastest of some plain programs that do the same."""
        own, found = self.own(name), [self.rounds(name).median(limit) for limit in limits]
        theirs = min((one for one in found if one is not None), default=None)
        target = f"at most {times:g} times {words}" if times != 1 else f"no slower than {words}"
        if own is None or theirs is None:
            return self.say(name, target, "not measured", None)
        found = f"{own / theirs:.2f} times: {seconds(own)}, the other {seconds(theirs)}"
        self.say(name, target, found, own <= times * theirs)

    def last(self, name):
        runs = self.rounds(name).runs.get(SUBJECT)
        return runs[-1].counts if runs else None

    def split(self):
        name, target = "large/push one file, split", "sends at most a tenth of the layer"
        counts = self.last(name)
        if not counts or "sent" not in counts:
            return self.say(name, target, self.rounds(name).failures.get(SUBJECT, "not measured"), None)
        found = f"{counts['sent'] / counts['layer']:.3f}: {size(counts['sent'])} of {size(counts['layer'])}"
        self.say(name, target, found + f" in {counts['layers']} layers", counts["sent"] * 10 <= counts["layer"])

    def fresh(self):
        name = "eveai/fresh runner"
        counts = self.last(name)
        targets = "at most 12 requests an image", "both ways at most the changed layer and 64 KiB an image"
        if not counts:
            return [self.say(name, target, "not measured", None) for target in targets]
        images = counts["images"]
        found = f"{counts['requests']} requests for {images} images: {counts['requests'] / images:.1f}"
        self.say(name, targets[0], found, counts["requests"] <= 12 * images)
        sent, received, allowed = counts["sent"], counts["received"], counts["layer"] + 65536 * images
        found = f"{size(sent)} sent, {size(received)} received; allowed {size(allowed)}"
        self.say(name, targets[1], found, sent + received <= allowed)

    def busy(self):
        name, target = "large/cold", "all cores at least 95 % busy"
        busy = self.own(name, "busy")
        self.say(name, target, "not measured" if busy is None else f"{busy:.0%}", None if busy is None else busy >= 0.95)

    def one_head(self):
        name, target = "fifty/push no-op", "one HEAD a tag and nothing else"
        counts = self.last(name)
        if not counts:
            return self.say(name, target, "not measured", None)
        found = f"{counts['requests']} requests, {counts['heads']} of them HEAD, for {counts['images']} tags"
        self.say(name, target, found, counts["requests"] == counts["heads"] == counts["images"])

    def memory(self):
        target = "at most 128 MiB of memory"
        peaks = [(run.memory, name) for name, rounds in self.results.items() for run in rounds.runs.get(SUBJECT, [])]
        if not peaks:
            return self.say("all", target, "not measured", None)
        most, name = max(peaks)
        self.say("all", target, f"{most / MEBIBYTE:.0f} MiB, in {name}", most <= 128 * MEBIBYTE)


def judge(results, versions):
    """All targets, in the order of their cases."""
    judge = Judge(results, versions)
    for name in ("eveai/no-op", "archon/no-op"):
        judge.at_most(name, 0.015)
        judge.times_faster(name, 20)
    judge.at_most_times("small/no-op", 1.3, WALKS, "a parallel walk with stat alone")
    for name in ("eveai/one file", "eveai/one file, its image alone"):
        judge.at_most(name, 0.040)
        judge.times_faster(name, 10)
    judge.at_most_times("large/one file", 1.3, ["cat | sha256sum"], "reading and hashing the layer once")
    judge.split()
    judge.fresh()
    judge.times_faster("eveai/fresh runner", 5, "buildkit")
    judge.times_faster("eveai/fresh runner", 1.5, "crane")
    judge.busy()
    judge.times_faster("large/cold", 3, same_size=True)
    judge.at_most_times("large/cold and limits", 1.2, [limits.ENCODER], "the encoder and the hashes alone on two threads")
    judge.times_faster("small/cold", 10)
    judge.at_most_times("small/cold and limits", 1, ["tar | pigz -6 -p2"], "`tar | pigz -6`")
    judge.at_most("fifty/no-op", 0.060)
    judge.at_most("fifty/push no-op", 0.150)
    judge.one_head()
    judge.memory()
    return judge.verdicts
