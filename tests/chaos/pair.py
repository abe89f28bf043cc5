"""A hub, an edge that tails a numbered log and forwards it, and the writer of that log: what is tried
on them is in rounds.py and faults.py.

The count is made at the far side, by a foreign client: kcat reads the hub's topic from its first
offset, and `millrace_lines --check` says what is missing, twice there, out of order or damaged.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from node import Node, binary, free_port, run  # noqa: E402,F401 (found by the line above)

TOPIC = "app"
ARRIVAL_TIMEOUT_S = 90


class Failed(Exception):
    """What a trial found; its words go into the table."""


def lines_tool():
    """The generator and checker of lines beside the binary under test."""
    binary = pathlib.Path(os.environ["MILLRACE_BIN"]).resolve()
    return str(binary.parent / "tests" / "bench" / "millrace_lines")


class Pair:
    """Both nodes and the log. `enter` is a command in front of every process, such as nsenter."""

    def __init__(self, directory, enter=(), edge=None, hub=None):
        self.directory = pathlib.Path(directory)
        self.enter = list(enter)
        self.log = self.directory / "logs" / "app.log"
        self.log.parent.mkdir(parents=True)
        self.port = free_port()
        self.hub = Node(self.directory, {"listen": [{"address": f"127.0.0.1:{self.port}"}],
                                         **(hub or {})}, "hub")
        self.edge = Node(self.directory, {
            "sources": {"app": {"type": "file", "paths": [str(self.log)], "topic": TOPIC}},
            "sinks": {"hub": {"type": "peer", "topics": [TOPIC],
                              "nodes": [f"127.0.0.1:{self.port}"], "retry": {"max": "1s"},
                              "request_timeout": "2s", "connect_timeout": "1s"}},
            **(edge or {})}, "edge")
        for node in (self.edge, self.hub):
            node.config["node"] = {"name": node.name, "run": str(self.directory / "run")}
        self.writer = None
        self.lines = 0

    # ---- life ----

    def start(self, *nodes):
        for node in nodes or (self.hub, self.edge):
            node.start(wait=False, wrapper=self.enter)

    def write(self, lines, rate=None, rotate=None, rotate_lines=0, wait=False):
        """Appends numbered lines of 190 B, in the background unless waited for."""
        command = [lines_tool(), "--lines", lines, "--first", self.lines, "--append"]
        command += ["--rate", rate] if rate else []
        command += ["--rotate", rotate, "--rotate-lines", rotate_lines] if rotate else []
        self.writer = subprocess.Popen([str(word) for word in [*command, self.log]],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.lines += lines
        if wait:
            self.wait_written()

    def is_writing(self):
        return self.writer.poll() is None

    def wait_written(self):
        if self.writer.wait() != 0:
            raise Failed("the writer failed")

    def written(self):
        """Bytes that lie in the log's directory now."""
        return sum(path.stat().st_size for path in self.log.parent.iterdir())

    def close(self):
        if self.writer is not None and self.writer.poll() is None:
            self.writer.kill()
            self.writer.wait()
        for node in (self.edge, self.hub):
            node.finish()

    # ---- what is at the far side ----

    def end_offset(self):
        """The hub's end offset, or 0 while it does not answer."""
        command = ["timeout", "5", "kcat", "-b", f"127.0.0.1:{self.port}", "-Q", "-t",
                   f"{TOPIC}:0:-1"]
        done = subprocess.run([*self.enter, *command], capture_output=True, text=True, check=False)
        word = done.stdout.split()[-1:] or ["0"]
        return int(word[0]) if done.returncode == 0 and word[0].isdigit() else 0

    def wait_arrived(self, lines=None, timeout_s=ARRIVAL_TIMEOUT_S):
        """Until the hub has so many records; how long that took, in seconds."""
        begin = time.monotonic()
        lines = self.lines if lines is None else lines
        while self.end_offset() < lines:
            if time.monotonic() - begin > timeout_s:
                raise Failed(f"the hub has {self.end_offset()} of {lines} records after {timeout_s} s")
            for node in (self.edge, self.hub):
                if not node.is_running():
                    raise Failed(f"{node.name} ended: {node.stderr()[-500:]}")
            time.sleep(0.05)
        return time.monotonic() - begin

    def wait_stored(self, size):
        """Until the hub's segments have so many bytes; finer than asking for offsets."""
        deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
        while sum(path.stat().st_size for path in self.hub.data.glob(f"**/{TOPIC}-0/*.log")) < size:
            if time.monotonic() > deadline:
                raise Failed(f"the hub did not store {size} bytes")
            time.sleep(0.001)

    def count(self):
        """Reads everything at the hub: the checker's findings as a dictionary."""
        reader = subprocess.Popen(
            [*self.enter, "kcat", "-q", "-b", f"127.0.0.1:{self.port}", "-t", TOPIC, "-C", "-o",
             "beginning", "-e"], stdout=subprocess.PIPE)
        check = subprocess.run([lines_tool(), "--check", "--lines", str(self.lines)],
                               stdin=reader.stdout, capture_output=True, text=True, check=False)
        reader.stdout.close()
        reader.wait()
        return json.loads(check.stdout.splitlines()[-1])

    def ledger(self):
        """The edge's books, and whether `millrace ledger` says that they balance."""
        done = run("ledger", "-c", self.edge.config_path, "-o", "json")
        return (json.loads(done.stdout) if done.stdout else {}), done.returncode == 0

    def verdict(self):
        """Waits until all is there, and counts. Lost, repeated, and words on whatever is wrong."""
        words = []
        try:
            self.wait_arrived()
        except Failed as failure:
            words.append(str(failure))
        found = self.count()
        words += [f"{found[key]} {key.replace('_', ' ')}" for key in ("out_of_order", "damaged")
                  if found[key]]
        if not self.ledger()[1]:
            words.append("the ledger does not balance")
        return found["lost"], found["repeated"], words
