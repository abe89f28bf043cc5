"""What happens to logs, and a judge that knows each line: for test_rotation.py, and for hours by tests/chaos/rotation.

A log is written by one hand that also rotates it, so that nothing is written between a copy and the truncation, and
that what rotation itself would lose is not counted. Each line names the file that it was written to (its generation):
each comes once, and those of one file in their order.
"""

import gzip
import os
import pathlib
import random
import shutil
import subprocess

from node import PATIENCE_S

LOGROTATE_MODES = {
    "create": "create",
    "nocreate": "nocreate",
    "copytruncate": "copytruncate",
    "compress": "create\ncompress",
    "delaycompress": "create\ncompress\ndelaycompress",
    "copytruncate-compress": "copytruncate\ncompress",
    "dateext": "create\ndateext\ndateformat -%Y%m%d-%s",
    "dateext-compress": "create\ndateext\ndateformat -%Y%m%d-%s\ncompress",
}


class Log:
    """One log that is written and rotated; `path` is where its writer opens it."""

    def __init__(self, path, name=None):
        self.path = pathlib.Path(path)
        self.name = name or self.path.name
        self.count = 0
        self.generation = 0
        self.rotated = 0
        self.handle = None
        self.half = None
        self.open()

    def open(self):
        self.handle = open(self.path, "ab", buffering=0)

    def close(self):
        self.finish_half()
        self.handle.close()

    def _line(self, padding):
        line = f"{self.name} {self.count} {self.generation} {'x' * padding}"
        self.count += 1
        return line.encode()

    def write(self, lines, padding=20):
        self.finish_half()
        if lines > 0:
            self.handle.write(b"\n".join(self._line(padding) for _ in range(lines)) + b"\n")

    def write_half(self):
        self.finish_half()
        self.handle.write(self._line(3))
        self.half = True

    def finish_half(self):
        if self.half:
            self.handle.write(b"-and its end\n")
            self.half = None

    def _next_name(self):
        self.rotated += 1
        return self.path.with_name(f"{self.path.name}.r{self.rotated}")

    def rename(self, late_lines=0, to=None):
        """Numbered upwards: the old one gets a name of its own for good."""
        self.finish_half()
        os.rename(self.path, to or self._next_name())
        self.write(late_lines)  # by a writer that has not noticed yet
        self.handle.close()
        self.generation += 1
        self.open()

    def copytruncate(self, to=None):
        self.finish_half()
        shutil.copyfile(self.path, to or self._next_name())
        os.truncate(self.path, 0)
        self.generation += 1

    def logrotate(self, mode, directory, late_lines=0):
        """The real one, with its state file in `directory`."""
        self.finish_half()
        config = directory / "logrotate.conf"
        config.write_text(f"{self.path} {{\nrotate 1000\nmissingok\n{LOGROTATE_MODES[mode]}\n}}\n", encoding="ascii")
        config.chmod(0o644)
        done = subprocess.run(["/usr/sbin/logrotate", "-f", "-s", directory / "logrotate.state", config],
                              capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr
        self.rotated += 1
        if "copytruncate" not in mode:
            if "compress" not in mode or "delay" in mode:
                self.write(late_lines)
            self.handle.close()
            self.open()
        self.generation += 1

    def compress(self, path):
        with open(path, "rb") as plain, gzip.open(f"{path}.gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)
        os.unlink(path)


class Judge:
    """Counts what came."""

    def __init__(self, logs):
        self.logs = logs

    def expected(self):
        return sum(log.count - (1 if log.half else 0) for log in self.logs)

    def faults(self, lines):
        seen = {log.name: {} for log in self.logs}
        last, faults = {}, []
        for place, line in enumerate(lines):
            words = line.split(" ")
            try:
                name, number, generation = words[0], int(words[1]), int(words[2])
                marks = seen[name]
            except (ValueError, IndexError, KeyError):
                faults.append(f"record {place} is no line: {line[:80]!r}")
                continue
            if number in marks:
                faults.append(f"record {place}: line {number} of {name}.{generation} comes again (first: {marks[number]})")
            elif number <= last.get((name, generation), -1):
                faults.append(f"record {place}: line {number} of {name}.{generation} comes late")
            marks[number] = place
            last[(name, generation)] = number
        for log in self.logs:
            missing = [n for n in range(log.count - (1 if log.half else 0)) if n not in seen[log.name]]
            if missing:
                faults.append(f"{len(missing)} lines of {log.name} are missing, {missing[0]} to {missing[-1]}")
        return faults


class World:
    """Logs, a node, and chance. `act` does one thing; `settle` waits until all that was written has come."""

    def __init__(self, directory, edge, seed, wait, count=4, outside=False):
        self.directory = pathlib.Path(directory)
        self.edge = edge
        self.chance = random.Random(seed)
        self.wait = wait  # (condition, what): until it holds
        self.outside = outside  # rotated files do not match the globs
        self.story = []
        self.state = self.directory / "state"
        self.state.mkdir()
        self.root = self.directory / "logs"
        self.logs = []
        for i in range(count):
            place = self.root / f"d{i}"
            place.mkdir(parents=True)
            self.logs.append(Log(place / f"l{i}.log"))
        self.judge = Judge(self.logs)
        self.modes = {log.name: self.chance.choice(list(LOGROTATE_MODES)) for log in self.logs}
        self.delivered = None  # () -> records in the log

    def is_up(self):
        return self.edge.is_running()

    def settle(self):
        if not self.is_up():
            self.edge.start()
        expected = self.judge.expected()
        self.wait(lambda: self.delivered() >= expected, f"{expected} records; story: {self.story[-40:]}")

    def tell(self, *words):
        self.story.append(" ".join(map(str, words)))

    def act(self):
        log = self.chance.choice(self.logs)
        what = self.chance.choice(["write"] * 6 + ["half", "rename", "rename", "late", "logrotate", "logrotate",
                                                   "copytruncate", "kill", "kill", "stop", "start", "start", "gzip",
                                                   "link", "directory", "touch", "settle"])
        getattr(self, "do_" + what)(log)

    # ---- what can happen ----

    def do_write(self, log):
        lines = self.chance.choice([1, 3, 30, 300, 3000])
        self.tell("write", log.name, lines)
        log.write(lines, self.chance.choice([0, 20, 200]))

    def do_half(self, log):
        self.tell("half", log.name)
        log.write_half()

    def _prepare_rotation(self, log):
        """A file that nobody has seen, moved to where nobody looks, cannot be known."""
        if self.outside:
            log.write(1)
            self.settle()
        log.write(self.chance.choice([0, 1, 10]))

    def do_rename(self, log):
        for _ in range(self.chance.choice([1, 1, 2, 3])):
            self._prepare_rotation(log)
            self.tell("rename", log.name, log.generation)
            log.rename()
            log.write(self.chance.choice([0, 1, 5, 500]))

    def do_late(self, log):
        self._prepare_rotation(log)
        self.tell("late", log.name, log.generation)
        log.rename(late_lines=self.chance.choice([1, 100]))

    def do_logrotate(self, log):
        mode = self.modes[log.name]
        if log.count == 0 or log.path.stat().st_size == 0:
            log.write(1)
        self._prepare_rotation(log)
        if "dateext" in mode and list(log.path.parent.glob(f"{log.path.name}-*")):
            return  # it refuses two within a second
        if "copytruncate" in mode or (self.outside and "compress" in mode):
            self.settle()  # two truncations in one look cannot be told apart
        self.tell("logrotate", mode, log.name, log.generation)
        log.logrotate(mode, self.state, late_lines=self.chance.choice([0, 10]))
        if "copytruncate" in mode:
            log.write(1)
            self.settle()

    def do_copytruncate(self, log):
        log.write(1)
        self.settle()  # something of it is known: a copy of what was never seen is a file of its own
        log.write(self.chance.choice([0, 1, 100, 3000]))
        if self.chance.random() < 0.5 and self.is_up():
            self.tell("(kill)")
            self.edge.kill()
        self.tell("copytruncate", log.name, log.generation)
        log.copytruncate()
        log.write(self.chance.choice([0, 1, 4000]))
        self.settle()

    def do_gzip(self, log):
        names = [p for p in log.path.parent.glob(f"{log.path.name}.r*") if p.suffix != ".gz"]
        if not names:
            return
        path = self.chance.choice(names)
        if self.outside:
            self.settle()
        self.tell("gzip", path.name)
        log.compress(path)

    def do_link(self, log):
        """Another name, outside of the globs, so that the inode stays in use."""
        to = self.directory / "state" / f"{log.name}.{log.generation}.link"
        if not to.exists() and "compress" not in self.modes[log.name]:  # logrotate refuses these
            self.tell("link", log.name)
            os.link(log.path, to)

    def do_directory(self, log):
        """Away and back under the same name."""
        place = log.path.parent
        away = self.directory / "away"
        self.tell("directory", place.name)
        os.rename(place, away)
        if self.chance.random() < 0.5:
            log.write(2)
        os.rename(away, place)

    def do_touch(self, log):
        os.utime(log.path)

    def do_kill(self, _log):
        if self.is_up():
            self.tell("kill")
            self.edge.kill()

    def do_stop(self, _log):
        if self.is_up():
            self.tell("stop")
            self.delivered()  # it is ready, and has the signal's handler
            self.edge.stop()

    def do_start(self, _log):
        if not self.is_up():
            self.tell("start")
            self.edge.start()

    def do_settle(self, _log):
        self.tell("settle")
        self.settle()
