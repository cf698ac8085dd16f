"""The tables, the verdicts and the chart, from numbers that are fixed. Run by `bench/run --self-test`."""

import json
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import chart
import inputs
import limits
import measure
import report
import targets
from measure import Failed, Rounds, Run


def runs(*walls, memory=20 << 20, **counts):
    return [Run(wall, wall * 1.5, wall * 0.4, memory, dict(counts)) for wall in walls]


def rounds(**tools):
    return Rounds({name.replace("_", "+"): found for name, found in tools.items()}, {}, [0.1, 0.2], [])


def data(results):
    machine = {"cores": 2, "processor": "A|B", "memory": 8 << 30, "kernel": "Linux 6", "date": "2026-01-01", "load": [0.1]}
    return {
        "machine": machine,
        "versions": {"lapstrake": "lapstrake 1", "buildah": "buildah 2"},
        "absent": {"crane": "not installed (crane)"},
        "how": {"lapstrake": "by itself", "buildah": "by buildah"},
        "base": "a base",
        "quick": False,
        "rounds": 3,
        "seconds": 60,
        "ram_disk": True,
        "results": {name: found.as_json() for name, found in results.items()},
    }


class Verdicts(unittest.TestCase):
    def verdict(self, results, target, versions=()):
        [found] = [one for one in targets.judge(results, versions) if target in f"{one.case} {one.target}"]
        return found

    def test_the_median_is_held_against_the_limit(self):
        slow = {"eveai/no-op": rounds(lapstrake=runs(0.010, 0.016, 0.900))}
        self.assertIs(self.verdict(slow, "eveai/no-op at most").met, False)
        quick = {"eveai/no-op": rounds(lapstrake=runs(0.010, 0.014, 0.900))}
        self.assertIs(self.verdict(quick, "eveai/no-op at most").met, True)

    def test_the_fastest_peer_counts_and_plain_programs_are_none(self):
        found = rounds(lapstrake=runs(0.010), buildah=runs(3.0), umoci_skopeo=runs(0.15))
        found.runs["cat | sha256sum"] = runs(0.001)
        verdict = self.verdict({"eveai/no-op": found}, "eveai/no-op at least 20")
        self.assertEqual((verdict.met, verdict.found), (False, "15.0 times: 10.0 ms, umoci+skopeo 150 ms"))

    def test_a_worse_ratio_is_not_the_same(self):
        found = {"large/cold": rounds(lapstrake=runs(1, size=102), buildah=runs(9, size=100))}
        self.assertIs(self.verdict(found, "same ratio").met, False)
        found = {"large/cold": rounds(lapstrake=runs(1, size=100), buildah=runs(9, size=100))}
        self.assertIs(self.verdict(found, "same ratio").met, True)

    def test_a_peer_that_does_not_compress_is_no_match(self):
        found = rounds(lapstrake=runs(1, size=100), docker=runs(0.5, size=190), buildah=runs(9, size=100))
        self.assertIn("buildah", self.verdict({"large/cold": found}, "same ratio").found)

    def test_what_is_not_there_is_neither_met_nor_not(self):
        verdict = self.verdict({"eveai/fresh runner": rounds(lapstrake=runs(1, **FRESH))}, "faster than crane")
        self.assertEqual((verdict.met, verdict.found), (None, "not installed"))
        self.assertTrue(all(one.met is None for one in targets.judge({}, {})))

    def test_requests_and_bytes_of_a_fresh_runner(self):
        found = {"eveai/fresh runner": rounds(lapstrake=runs(1, **FRESH))}
        self.assertIs(self.verdict(found, "12 requests").met, True)
        self.assertIs(self.verdict(found, "both ways").met, True)
        found["eveai/fresh runner"].runs["lapstrake"][-1].counts |= {"requests": 49, "received": 400_000}
        self.assertIs(self.verdict(found, "12 requests").met, False)
        self.assertIs(self.verdict(found, "both ways").met, False)

    def test_cores_and_memory(self):
        found = {"large/cold": rounds(lapstrake=[Run(10, 10 * (os.cpu_count() or 1) * 0.96, 0, 129 << 20, {})])}
        self.assertIs(self.verdict(found, "busy").met, True)
        self.assertEqual(self.verdict(found, "MiB of memory").found, "129 MiB, in large/cold")
        self.assertIs(self.verdict(found, "MiB of memory").met, False)


FRESH = {"requests": 48, "heads": 4, "images": 4, "sent": 100_000, "received": 60_000, "layer": 1000}


class Tables(unittest.TestCase):
    results = {
        "eveai/no-op": rounds(lapstrake=runs(0.010, 0.012, 0.011), buildah=runs(2.5, 2.4, 2.6)),
        "eveai/fresh runner": Rounds({"lapstrake": runs(0.3, **FRESH), "buildah": []}, {"buildah": "ended with 1: no"}, [], []),
        "large/cold": Rounds({"lapstrake": runs(8.0, size=500_000_000), "buildah": runs(40, size=5e8)}, {}, [], ["buildah"]),
        "large/cold and limits": rounds(lapstrake=runs(8), **{"tar | pigz -6 -p2": runs(21)}),
    }

    def test_the_page(self):
        text = report.markdown(data(self.results))
        for line in [
            "| no-op: once more, nothing changed | 11.0 ms (10.0 ms to 12.0 ms) | 2.50 s (2.40 s to 2.60 s) |",
            "| fresh runner: nothing kept, registry warm, one file changed, push | 300 ms | failed |",
            "- buildah: ended with 1: no",
            "- crane: not installed (crane).",
            "| cold: nothing kept, to a local layout | 8.00 s | 40.00 s ¹ |",
            "| tar \\| pigz -6 -p2, beside cold and limits | 21.00 s |  |",
            "| eveai/no-op | at least 20 times faster than the fastest peer | 227.3 times: 11.0 ms, buildah 2.50 s | met |",
            "| fresh runner, lapstrake | 48 | 100.0 kB | 60.0 kB |",
        ]:
            self.assertIn(line + "\n", text)

    def test_every_row_has_as_many_cells_as_its_head(self):
        cells = 0
        for line in report.markdown(data(self.results)).splitlines():
            if not line.startswith("|"):
                cells = 0
                continue
            count = line.replace("\\|", "").count("|")
            cells = cells or count
            self.assertEqual(count, cells, line)

    def test_numbers_survive_the_file(self):
        kept = json.loads(json.dumps(data(self.results)))
        self.assertEqual(report.markdown(kept), report.markdown(data(self.results)))

    def test_numbers_are_said_in_fitting_units(self):
        self.assertEqual([targets.seconds(one) for one in (0.0123, 0.4, 1.5, None)], ["12.3 ms", "400 ms", "1.50 s", "-"])
        self.assertEqual([targets.size(one) for one in (12, 12_345, 2.5e6)], ["12 bytes", "12.3 kB", "2.5 MB"])


class Charts(unittest.TestCase):
    def dots(self, text):
        found = {}
        for circle in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}circle"):
            for title in circle.iter("{http://www.w3.org/2000/svg}title"):
                found[title.text] = (float(circle.get("cx")), float(circle.get("cy")))
        return found

    def test_equal_ratios_are_equal_distances(self):
        rows = [chart.Row("a <b>", {"lapstrake": 0.01, "crane": 0.1, "buildah": 1.0}, 0.02)]
        dots = self.dots(chart.chart("Seconds", rows))
        xs = [dots[f"{name} s"][0] for name in ("lapstrake: 0.01", "crane: 0.1", "buildah: 1")]
        self.assertAlmostEqual(xs[1] - xs[0], xs[2] - xs[1], delta=0.2)
        self.assertGreater(xs[1], xs[0])

    def test_it_says_how_much_faster_and_how_much_slower(self):
        rows = [chart.Row("a", {"lapstrake": 0.01, "crane": 0.5}), chart.Row("b", {"lapstrake": 3.0, "crane": 1.5})]
        text = chart.chart("Seconds", rows)
        self.assertIn("50 times faster", text)
        self.assertIn("2.0 times slower", text)

    def test_nothing_is_outside(self):
        rows = [chart.Row(str(power), {"lapstrake": 3.0 * 10**power, "crane": 9.9 * 10**power}) for power in range(-3, 3)]
        text = chart.chart("Seconds", rows)
        height = float(ElementTree.fromstring(text).get("height"))
        for x, y in self.dots(text).values():
            self.assertTrue(chart.LEFT <= x <= chart.WIDTH - chart.RIGHT and chart.TOP <= y <= height, (x, y))

    def test_without_numbers_it_is_still_a_picture(self):
        self.assertIn("nothing was measured", chart.chart("Seconds", []))


class Measuring(unittest.TestCase):
    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_commands_are_measured_together(self):
        busy = [sys.executable, "-c", "x = bytearray(64 << 20); sum(range(2_000_000))"]
        found = measure.run([busy, ["/bin/sleep", "0.05"]], dict(os.environ), self.directory / "log")
        self.assertGreater(found.wall, 0.05)
        self.assertGreater(found.user, 0)
        self.assertGreater(found.memory, 64 << 20)

    def test_a_failure_has_the_command_and_its_last_words(self):
        with self.assertRaisesRegex(Failed, "^sh ended with 3: no such luck$"):
            measure.run([["/bin/sh", "-c", "echo no such luck >&2; exit 3"]], {}, self.directory / "log")
        with self.assertRaisesRegex(Failed, "took longer"):
            measure.run([["/bin/sleep", "9"]], {}, self.directory / "log", limit=0.1)

    def test_the_first_round_is_thrown_away_but_where_it_is_the_only_one(self):
        def slow(number):
            measure.time.sleep(0.2)
            return Run(100 + number, 0, 0, 0, {})

        found = measure.interleave({"quick": lambda number: Run(number, 0, 0, 0, {}), "slow": slow}, 3, budget=0.3)
        self.assertEqual([run.wall for run in found.runs["quick"]], [1, 2, 3])
        self.assertEqual(([run.wall for run in found.runs["slow"]], found.unwarmed), ([100], ["slow"]))

    def test_a_tool_that_fails_takes_part_no_more(self):
        def fails(number):
            raise Failed("no")

        found = measure.interleave({"a": fails, "b": lambda number: Run(1, 0, 0, 0, {})}, 2, budget=9)
        self.assertEqual((found.failures, found.runs["a"], len(found.runs["b"])), ({"a": "no"}, [], 2))


class Inputs(unittest.TestCase):
    def test_inputs_are_the_same_every_time(self):
        def listing(name):
            with tempfile.TemporaryDirectory() as directory:
                project = inputs.make(name, Path(directory), quick=True)
                files = sorted(path for path in project.context.rglob("*") if path.is_file())
                self.assertTrue((project.context / project.edited).is_file(), project.edited)
                return [(str(path.relative_to(directory)), path.read_bytes()) for path in files]

        self.assertEqual(listing("fifty"), listing("fifty"))
        self.assertTrue(listing("large"))

    def test_an_edit_changes_one_file_each_time(self):
        with tempfile.TemporaryDirectory() as directory:
            project = inputs.make("fifty", Path(directory), quick=True)
            path = project.context / project.edited
            seen = [path.read_bytes()]
            for number in (1, 2):
                project.edit(number)
                seen.append(path.read_bytes())
            self.assertEqual(len(set(seen)), 3)
            self.assertEqual(seen[1].replace(b"edit 1", b"edit 2"), seen[2])


class Limits(unittest.TestCase):
    def test_the_encoder_alone_compresses_everything(self):
        library = limits.encoder()
        if not library:
            self.skipTest("libdeflate is not installed")
        with tempfile.TemporaryDirectory() as directory:
            tar = Path(directory) / "a.tar"
            tar.write_bytes(b"0123456789" * 500_000)
            found = limits.encode(library, tar)
            self.assertTrue(5 * 100 < found.counts["size"] < 50_000, found)


if __name__ == "__main__":
    unittest.main()
