"""A wall clock that jumps back an hour, forward a day and beyond, and back, while lines flow.

The program runs under Debian's libfaketime, which lies about the wall clock alone: the monotonic one and the
times of files stay true. Not under a sanitizer: its runtime and libfaketime want the same place.
"""

import glob
import os
import subprocess

import pytest

from node import PATIENCE_S, free_port, wait_until
from test_durability_edge import check_ledger, ledger, total

pytestmark = pytest.mark.skipif(any(word in os.environ.get("MILLRACE_BIN", "") for word in ("asan", "tsan")),
                                reason="libfaketime does not go with a sanitizer's runtime")

JUMPS_S = [0, -3600, 86400, 10 * 365 * 86400, 0]  # against the true time
LINES = 500
PADDING = "x" * 150


class Clock:
    """What the node takes for the time."""

    def __init__(self, directory):
        self.path = directory / "faketime"
        self.set(0)
        library, = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        self.environment = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_NO_CACHE": "1",
                            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}

    def set(self, seconds):
        new = self.path.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n", encoding="ascii")
        os.rename(new, self.path)


@pytest.fixture
def world(node, tmp_path):
    """A node that tails a log into small segments, kept for an hour; and its clock."""
    log = tmp_path / "app.log"
    log.touch()
    edge = node({"listen": [{"address": f"127.0.0.1:{free_port()}"}],
                 "topics": {"app": {"segment": {"size": "64KiB"}, "retention": {"time": "1h"}}},
                 "sources": {"app": {"type": "file", "paths": [str(log)], "topic": "app"}}}, "edge")
    return edge, log, Clock(tmp_path)


def write(log, first):
    with open(log, "a", encoding="ascii") as handle:
        handle.write("".join(f"{i} {PADDING}\n" for i in range(first, first + LINES)))


def records(edge, topic="app"):
    """(offset, timestamp, number) of all."""
    done = subprocess.run(["kcat", "-b", edge.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f",
                           "%o %T %s\n"], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return [tuple(int(word) for word in line.split(" ")[:3]) for line in done.stdout.splitlines()]


def settled(edge):
    return sum(sink["delivered"] + sink["dead"] for sink in ledger(edge)["sinks"])


def offset_at(edge, timestamp_ms):
    done = subprocess.run(["kcat", "-b", edge.bootstrap, "-Q", "-t", f"app:0:{timestamp_ms}"], capture_output=True,
                          text=True, timeout=PATIENCE_S, check=True)
    return int(done.stdout.split("offset ")[1])


def check_records(edge, count):
    """Each line once and in order, nothing deleted, and each time is found where it first stands."""
    rows = records(edge)
    assert [row[0] for row in rows] == list(range(count))
    assert [row[2] for row in rows] == list(range(count))
    for at in range(0, count, LINES // 2):
        timestamp = rows[at][1]
        assert offset_at(edge, timestamp) == next(offset for offset, time, _ in rows if time >= timestamp)


def test_clock_that_jumps_while_lines_flow(world):
    edge, log, clock = world
    edge.start(environment=clock.environment)
    count = 0
    for seconds in JUMPS_S:
        clock.set(seconds)
        write(log, count)
        count += LINES
        wait_until(lambda count=count: total(edge) >= count, what=f"{count} records after a jump to {seconds:+d} s")
    rows = records(edge)
    for turn, seconds in enumerate(JUMPS_S):  # the jumps were seen at all
        true_ms = rows[0][1] + seconds * 1000
        assert abs(rows[turn * LINES + LINES - 1][1] - true_ms) < 30 * 60 * 1000
    check_records(edge, count)
    edge.stop()
    clock.set(-86400)  # and while it is down
    edge.start(environment=clock.environment)
    write(log, count)
    count += LINES
    wait_until(lambda: total(edge) >= count, what="records after a jump while the node was down")
    check_records(edge, count)
    check_ledger(edge)
    edge.kill()
    edge.start(environment=clock.environment)
    check_records(edge, count)


def test_edge_whose_clock_jumps_is_heard_by_the_hub(node, world):
    """What is more than an hour ahead the hub refuses, as Kafka does: it goes to the dead letters, and nothing else."""
    edge, log, clock = world
    hub = node({"listen": [{"address": f"127.0.0.1:{free_port()}"}]}, "hub")
    edge.config["sinks"] = {"hub": {"type": "peer", "topics": ["app"], "nodes": [hub.bootstrap]}}
    hub.start()
    edge.start(environment=clock.environment)
    count = 0
    expected, dead = [], []
    for seconds in JUMPS_S:
        clock.set(seconds)
        write(log, count)
        (dead if seconds > 3600 else expected).extend(range(count, count + LINES))
        count += LINES
        wait_until(lambda count=count: settled(edge) >= count, what=f"{count} records at the hub after {seconds:+d} s")
    assert [number for *_, number in records(hub)] == expected
    assert [number for *_, number in records(edge, "__dlq.hub")] == dead
    check_ledger(edge)
