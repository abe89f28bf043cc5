"""From files to the edge's own log, killed at any moment: every line once, in order, and books that balance.

MILLRACE_ROUNDS says how many kills (12 by default; tests/chaos/edge runs a hundred). Lines are read back with
kcat, from the edge's own listener.
"""

import json
import os
import random
import shutil
import subprocess
import threading
import time

import pytest

from node import KCAT, PATIENCE_S, free_port, run, wait_until

ROUNDS = int(os.environ.get("MILLRACE_ROUNDS", "12"))
ROTATIONS = ["rename", "copytruncate"]


class Writer(threading.Thread):
    """Writes numbered lines to one file until it is stopped, and rotates it now and then."""

    def __init__(self, path, rotation, seed):
        super().__init__(daemon=True)
        self.path = path
        self.rotation = rotation
        self.chance = random.Random(seed)
        self.count = 0
        self.ending = threading.Event()
        self.generation = 0

    def run(self):
        handle = open(self.path, "a", encoding="ascii")
        while not self.ending.is_set():
            lines = self.chance.randrange(1, 2000)
            padding = "x" * self.chance.randrange(200)
            handle.write("".join(f"{self.path.name} {i} {self.generation} {padding}\n"
                                 for i in range(self.count, self.count + lines)))
            handle.flush()
            self.count += lines
            if self.chance.random() < 0.15:
                handle = self.rotate(handle)
            time.sleep(self.chance.random() * 0.02)
        handle.close()

    def rotate(self, handle):
        self.generation += 1
        old = self.path.with_name(f"{self.path.name}.{self.generation}")
        if self.rotation == "rename":
            os.rename(self.path, old)
            handle.close()
            return open(self.path, "a", encoding="ascii")
        shutil.copyfile(self.path, old)
        os.truncate(self.path, 0)  # nothing was written in between
        return handle

    def stop(self):
        self.ending.set()
        self.join()


def edge_config(directory, port, **more):
    config = {
        "listen": [{"address": f"127.0.0.1:{port}"}],
        "sources": {"app": {"type": "file", "paths": [f"{directory}/*.log*"], "topic": "app"}},
        "node": {"run": str(directory / "run")},
    }
    for key, value in more.items():
        config.setdefault(key, {}).update(value)
    return config


def read_topic(edge, topic="app"):
    """The values of all records, as text."""
    result = subprocess.run([*KCAT, "-b", edge.bootstrap, "-t", topic, "-C", "-o", "beginning", "-e", "-q"],
                            capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def ledger(edge):
    """The books; the admin socket opens a moment after the listeners."""
    def ask():
        result = run("ledger", "-c", edge.config_path, "-o", "json")
        return result if result.returncode != 69 else None
    result = wait_until(ask, what="the admin socket")
    assert result.stdout, result.stderr
    return json.loads(result.stdout)


def check_ledger(edge):
    books = ledger(edge)
    assert books["balanced"], books
    assert all(topic["unattributed"] == 0 for topic in books["topics"]), books
    return books


def check_lines(lines, counts):
    """Exactly the lines 0 .. count-1 of each file, in order."""
    expected = dict.fromkeys(counts, 0)
    for place, line in enumerate(lines):
        name, number = line.split(" ")[:2]
        if int(number) != expected[name]:
            raise AssertionError(f"record {place}: line {number} of {name}, where {expected[name]} "
                                 f"was expected")
        expected[name] += 1
    assert expected == counts


def check_generations(lines, counts):
    """Each line once; in order within each file, which is a generation of its name."""
    seen = {name: bytearray(count) for name, count in counts.items()}
    last = {}
    faults = []
    for place, line in enumerate(lines):
        name, number, generation = line.split(" ")[:3]
        number = int(number)
        if seen[name][number]:
            faults.append(f"record {place}: line {number} of {name}.{generation} comes again")
        elif number <= last.get((name, generation), -1):
            faults.append(f"record {place}: line {number} of {name}.{generation} comes too late")
        seen[name][number] = 1
        last[(name, generation)] = number
    for name, marks in seen.items():
        missing = marks.count(0)
        if missing:
            faults.append(f"{missing} lines of {name} are missing, the first is {marks.find(0)}")
    assert not faults, f"{len(faults)} faults: " + "; ".join(faults[:5] + faults[-3:])


def total(edge):
    books = ledger(edge)
    return sum(topic["delivered"] for topic in books["topics"])


def wait_for(edge, count):
    wait_until(lambda: total(edge) >= count, what=f"{count} records", poll_s=0.1)


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_kills_lose_and_repeat_nothing(node, tmp_path, rotation):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print("seed", seed)
    logs = tmp_path / "logs"
    logs.mkdir()
    edge = node(edge_config(logs, free_port()), "edge")
    writers = [Writer(logs / f"{name}.log", rotation, seed + i) for i, name in enumerate("abc")]
    edge.start()
    for writer in writers:
        writer.start()
    for _ in range(ROUNDS):
        time.sleep(chance.random() * 0.4)
        edge.kill()
        time.sleep(chance.random() * 0.1)
        edge.start()
        check_ledger(edge)
    for writer in writers:
        writer.stop()
    counts = {writer.path.name: writer.count for writer in writers}
    wait_for(edge, sum(counts.values()))
    time.sleep(0.5)  # for what should not come
    try:
        check_generations(read_topic(edge), counts)
    except AssertionError as error:
        raise AssertionError(f"{error}\nseed {seed}\n{edge.stderr()[-4000:]}") from None
    books = check_ledger(edge)
    assert sum(source["in"] for source in books["sources"]) == sum(counts.values())
    edge.stop()


def test_stops_and_starts_repeat_nothing(node, tmp_path):
    """In good order, with rotations while it is down."""
    logs = tmp_path / "logs"
    logs.mkdir()
    log = logs / "a.log"
    edge = node(edge_config(logs, free_port()), "edge")
    count = 0
    for generation in range(5):
        with open(log, "a", encoding="ascii") as handle:
            handle.write("".join(f"a.log {i}\n" for i in range(count, count + 3000)))
        count += 3000
        edge.start()
        wait_for(edge, count - 1500)
        edge.stop()
        with open(log, "a", encoding="ascii") as handle:
            handle.write("".join(f"a.log {i}\n" for i in range(count, count + 10)))
        count += 10
        os.rename(log, logs / f"a.log.{generation}")
    edge.start()
    wait_for(edge, count)
    check_lines(read_topic(edge), {"a.log": count})
    check_ledger(edge)
    edge.stop()


def test_waits_for_room_and_goes_on(node, tmp_path):
    """disk.limit with `block`: nothing is lost, the node answers and stops in time."""
    logs = tmp_path / "logs"
    logs.mkdir()
    log = logs / "a.log"
    lines = [f"a.log {i} {os.urandom(60).hex()}\n" for i in range(60000)]
    log.write_text("".join(lines), encoding="ascii")
    edge = node(edge_config(logs, free_port(), disk={"limit": "3MiB"},
                            topics={"app": {"segment": {"size": "1MiB"}}}), "edge")
    edge.start()
    wait_until(lambda: "takes nothing more" in edge.stderr(), what="a full log")
    held = total(edge)
    assert 0 < held < 60000
    size = sum(f.stat().st_size for f in edge.data.rglob("*.log"))
    assert size <= 4 << 20, size
    assert run("health", "-c", edge.config_path).returncode != 0
    edge.stop()
    edge.config["disk"] = {"limit": "1GiB"}
    edge.start()
    wait_for(edge, 60000)
    check_lines(read_topic(edge), {"a.log": 60000})
    check_ledger(edge)
    edge.stop()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_new"])
def test_drops_what_it_was_told_to(node, tmp_path, policy):
    logs = tmp_path / "logs"
    logs.mkdir()
    log = logs / "a.log"
    log.write_text("".join(f"a.log {i} {os.urandom(60).hex()}\n" for i in range(60000)),
                   encoding="ascii")
    edge = node(edge_config(logs, free_port(), disk={"limit": "3MiB"},
                            topics={"app": {"segment": {"size": "1MiB"}, "when_full": policy}}),
                "edge")
    edge.start()
    wait_until(lambda: sum(source["in"] for source in ledger(edge)["sources"]) == 60000,
               what="all lines to be taken", poll_s=0.1)
    numbers = [int(line.split(" ")[1]) for line in read_topic(edge)]
    assert numbers == sorted(set(numbers))
    books = check_ledger(edge)
    dropped = sum(source["dropped"] for source in books["sources"])
    if policy == "drop_oldest":
        assert numbers[-1] == 59999
        assert numbers == list(range(numbers[0], 60000))
        assert dropped == 0
    else:
        assert numbers[0] == 0
        assert dropped == 60000 - len(numbers) > 0
        assert books["sources"][0]["reasons"]["disk_full"]["events"] == dropped
    edge.kill()
    edge.start()
    time.sleep(0.5)
    again = [int(line.split(" ")[1]) for line in read_topic(edge)]
    if policy == "drop_new":  # what was dropped a moment ago may find room now
        assert again[:len(numbers)] == numbers
    assert again == sorted(set(again))
    edge.stop()


def test_reads_on_beside_an_unreadable_file(node, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.log").write_text("a.log 0\n", encoding="ascii")
    (logs / "b.log").mkdir()  # root reads everything, but no directory is a file
    (logs / "c.log").symlink_to(logs / "nowhere")
    edge = node(edge_config(logs, free_port()), "edge")
    edge.start()
    wait_for(edge, 1)
    with open(logs / "a.log", "a", encoding="ascii") as handle:
        handle.write("a.log 1\n")
    wait_for(edge, 2)
    check_lines(read_topic(edge), {"a.log": 2})
    edge.stop()


def test_refuses_a_data_directory_in_use(node, tmp_path):
    edge = node(edge_config(tmp_path, free_port()), "edge")
    edge.start()
    result = run("run", "-c", edge.config_path)
    assert result.returncode == 1
    assert "is in use by another process" in result.stderr
    edge.stop()


def test_says_that_a_directory_cannot_be_written(node, tmp_path):
    edge = node(edge_config(tmp_path, free_port()), "edge")
    edge.config["node"]["data"] = "/proc/millrace"
    edge.write_config()
    result = run("run", "-c", edge.config_path)
    assert result.returncode == 1
    assert "/proc/millrace" in result.stderr


def test_ends_with_its_sinks_down(node, tmp_path):
    """A peer that is not there, and a backlog: SIGTERM is obeyed, and nothing is lost by it."""
    logs = tmp_path / "logs"
    logs.mkdir()
    log = logs / "a.log"
    log.write_text("".join(f"a.log {i}\n" for i in range(20000)), encoding="ascii")
    edge = node(edge_config(logs, free_port(), sinks={
        "hub": {"type": "peer", "topics": ["app"], "nodes": [f"127.0.0.1:{free_port()}"]}}), "edge")
    edge.start()
    wait_for(edge, 20000)
    edge.stop()
    edge.start()
    check_lines(read_topic(edge), {"a.log": 20000})
    check_ledger(edge)
    edge.stop()
