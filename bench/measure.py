"""Running commands as whole processes, and what they took, by the operating system's own accounting."""

import os
import pickle
import signal
import statistics
import time
from dataclasses import dataclass, asdict


# Seconds that a tool may take for one thing.
LIMIT = 180


class Failed(Exception):
    """A command did not do what it should."""


@dataclass
class Run:
    """One run: seconds, bytes of memory of the largest process, and whatever else was counted."""

    wall: float
    user: float
    sys: float
    memory: int
    counts: dict

    @property
    def busy(self):
        """How much of all cores it kept busy, 0 to 1."""
        return (self.user + self.sys) / self.wall / (os.cpu_count() or 1)


def start(command, environment, log):
    """Starts a command in a process group of its own; what it prints goes to the end of a file."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(command[0], command, environment, file_actions=actions, setpgroup=0)


def kill(pid):
    """Ends a process that `start` started and that was not waited for, with its children."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end(pid):
    """Ends a daemon that `start` started: politely first, so that it unmounts what it mounted."""
    os.kill(pid, signal.SIGTERM)
    for _ in range(100):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.05)
    kill(pid)
    os.waitpid(pid, 0)


def last_words(log):
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][-300:] if lines else ""


def run(commands, environment, log, limit=LIMIT, counts=None):
    """Runs commands one after another and measures them together. Each is killed where all take longer than `limit` seconds."""
    log.unlink(missing_ok=True)
    wall = user = system = 0.0
    memory = 0
    for command in commands:
        command = [str(word) for word in command]
        started = time.perf_counter()
        try:
            pid = start(command, environment, log)
        except OSError as error:
            raise Failed(f"{command[0]}: {error.strerror}") from error

        def too_long(*_):
            kill(pid)

        before = signal.signal(signal.SIGALRM, too_long)
        signal.setitimer(signal.ITIMER_REAL, max(0.1, limit - wall))
        try:
            _, status, usage = os.wait4(pid, 0)
        except BaseException:
            kill(pid)
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        wall += time.perf_counter() - started
        user += usage.ru_utime
        system += usage.ru_stime
        memory = max(memory, usage.ru_maxrss * 1024)
        code = os.waitstatus_to_exitcode(status)
        if code != 0:
            why = f"ended with {code}: {last_words(log)}"
            if code == -signal.SIGKILL:
                why = f"took longer than {limit:g} s"
            raise Failed(f"{os.path.basename(command[0])} {why}")
    return Run(wall, user, system, memory, counts or {})


def apart(function, *words):
    """What a function gives, in a process of its own: what this one starts would inherit the peak of its memory."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            try:
                result = (function(*words), None)
            except Exception as error:
                result = (None, f"{type(error).__name__}: {error}")
            with os.fdopen(writing, "wb") as file:
                pickle.dump(result, file)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as file:
            data = file.read()
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.waitpid(pid, 0)
    result, error = pickle.loads(data) if data else (None, "it ended before its time")
    if error:
        raise Failed(error)
    return result


@dataclass
class Rounds:
    """What several tools took for one thing, in turn: tool → runs, and why a tool has none."""

    runs: dict
    failures: dict
    loads: list
    # Tools of which the first run counts, since more would have taken too long.
    unwarmed: list

    def median(self, tool, figure="wall"):
        runs = self.runs.get(tool)
        return statistics.median(getattr(run, figure) for run in runs) if runs else None

    def fastest_peer(self, subject):
        """(name, median seconds) of the fastest tool but `subject`."""
        peers = [(self.median(tool), tool) for tool in self.runs if tool != subject and self.runs[tool]]
        return tuple(reversed(min(peers))) if peers else (None, None)

    def range(self, tool):
        walls = [run.wall for run in self.runs[tool]]
        return min(walls), max(walls)

    def as_json(self):
        runs = {tool: [asdict(run) for run in runs] for tool, runs in self.runs.items()}
        return {"runs": runs, "failures": self.failures, "loads": self.loads, "unwarmed": self.unwarmed}

    @classmethod
    def from_json(cls, value):
        runs = {tool: [Run(**run) for run in runs] for tool, runs in value["runs"].items()}
        return cls(runs, value["failures"], value["loads"], value["unwarmed"])


def interleave(actions, rounds, budget, each_round=None, say=None):
    """Lets tools take turns. `actions` is tool → function of the round's number that gives a Run.

    Round 0 warms and is thrown away, but for a tool that it took so long that there is no time for another. A tool stops
    taking part when it has used up its `budget` of seconds.
    """
    found = Rounds({tool: [] for tool in actions}, {}, [], [])
    first, spent = {}, dict.fromkeys(actions, 0.0)
    taking_part = list(actions)
    for number in range(rounds + 1):
        # So far it took part in all rounds, and one more takes what one took on average.
        taking_part = [tool for tool in taking_part if number == 0 or spent[tool] * (number + 1) / number <= budget]
        taking_part = [tool for tool in taking_part if tool not in found.failures]
        if not taking_part:
            break
        if each_round:
            each_round(number)
        found.loads.append(round(os.getloadavg()[0], 2))
        # Not always the same one after the same one.
        turn = number % len(taking_part)
        for tool in taking_part[turn:] + taking_part[:turn]:
            started = time.perf_counter()
            try:
                result = actions[tool](number)
            except Failed as error:
                found.failures[tool] = str(error)
                found.runs[tool] = []
                if say:
                    say(f"  {tool}: {error}")
                continue
            # What a round needs before and after counts too: it takes its time.
            spent[tool] += time.perf_counter() - started
            if number == 0:
                first[tool] = result
            else:
                found.runs[tool].append(result)
    for tool, result in first.items():
        if not found.runs[tool] and tool not in found.failures:
            found.runs[tool] = [result]
            found.unwarmed.append(tool)
    if say:
        for tool, runs in found.runs.items():
            if runs:
                say(f"  {tool}: {found.median(tool):.3f} s ({len(runs)})")
    return found
