"""Damage of any kind to a stopped or killed node's files: it starts, serves every record whose bytes are
intact, takes new ones, and ends within its time.

What is intact is found out without the program: the batches of all segments are listed before the damage
(61 bytes of header each), and those whose bytes still stand at their place after it are expected.
MILLRACE_SEEDS says how many trials each node gets (2 by default; tests/chaos/torture runs hundreds), and
MILLRACE_SEED where they begin.
"""

import os
import pathlib
import random
import shutil
import struct
import subprocess
import urllib.request

import pytest

from node import KCAT, PATIENCE_S, Node, free_port, wait_until

SEEDS = int(os.environ.get("MILLRACE_SEEDS", "2"))
FIRST = int(os.environ.get("MILLRACE_SEED", "1"))
PARTITIONS = 4
COUNT = 24000


def numbered(first, count):
    return "".join(f"{i:08d} {random.Random(i).randbytes(60).hex()}\n" for i in range(first, first + count))


def batches(segment):
    """(position, bytes, offsets) of each batch of a segment file, by lengths alone."""
    data = segment.read_bytes()
    at = 0
    while at + 61 <= len(data):
        base, length = struct.unpack(">qi", data[at:at + 12])
        last = base + struct.unpack(">i", data[at + 23:at + 27])[0]
        if length < 49 or at + 12 + length > len(data):
            return
        yield at, data[at:at + 12 + length], range(base, last + 1)
        at += 12 + length


def partitions(data, topic):
    return sorted(data.glob(f"{topic}-[0-9]*"))


def inventory(data, topic):
    return [(segment.relative_to(data), position, raw, offsets) for directory in partitions(data, topic)
            for segment in sorted(directory.glob("*.log")) for position, raw, offsets in batches(segment)]


def intact(data, stock):
    """{partition: offsets} of the batches whose bytes are where they were."""
    expected, files = {}, {}
    for name, position, raw, offsets in stock:
        if name not in files:
            path = data / name
            files[name] = path.read_bytes() if path.exists() else b""
        if files[name][position:position + len(raw)] == raw:
            expected.setdefault(int(name.parent.name.rsplit("-", 1)[1]), set()).update(offsets)
    return expected


def damage(data, chance):
    """One to four wounds; returns words for a failure's message."""
    words = []
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        files = [path for path in sorted(data.rglob("*")) if path.is_file() and path.name != "lock"]
        path = chance.choice(files)
        size = path.stat().st_size
        kind = chance.choice(["flip", "flip", "cut", "remove", "zero", "noise", "empty"])
        with open(path, "r+b") as file:
            at = chance.randrange(size) if size else 0
            if kind == "flip" and size:
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1 << chance.randrange(8)]))
            elif kind == "cut":
                file.truncate(at)
            elif kind == "zero":
                file.seek(at)
                file.write(b"\0" * min(4096, size - at))
            elif kind == "noise":
                file.seek(0, os.SEEK_END)
                file.write(chance.randbytes(chance.randrange(1, 5000)))
            elif kind == "empty":
                file.truncate(0)
        if kind == "remove":
            path.unlink()
        words.append(f"{kind} {path.relative_to(data)} at {at} of {size}")
    return ", ".join(words)


def read(bootstrap, topic, count):
    """{partition: {offset: value}} of all that the topic serves."""
    served = {}
    for partition in range(count):
        result = subprocess.run(
            [*KCAT, "-b", bootstrap, "-C", "-t", topic, "-p", str(partition), "-o", "beginning", "-e", "-q",
             "-f", "%o %s\n", "-X", "check.crcs=true", "-X", "fetch.wait.max.ms=10"],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        rows = [line.split(" ", 1) for line in result.stdout.splitlines()]
        offsets = [int(offset) for offset, _ in rows]
        assert offsets == sorted(set(offsets)), "out of order or twice there"
        served[partition] = {int(offset): value for offset, value in rows}
    return served


def check(served, expected, words):
    for partition, offsets in expected.items():
        missing = offsets - set(served.get(partition, {}))
        assert not missing, (f"{words}: partition {partition} does not serve {len(missing)} intact records, "
                             f"from {min(missing)} to {max(missing)}")
    for values in served.values():
        for value in values.values():
            number = int(value[:8])
            assert value + "\n" == numbered(number, 1) or number >= COUNT, f"{words}: '{value}' was never written"


def metric(node, name):
    text = urllib.request.urlopen(f"http://127.0.0.1:{node.admin}/metrics", timeout=PATIENCE_S).read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith((name + " ", name + "{")))


class Victim:
    """A node with data, as it stopped and as it was killed."""

    def __init__(self, directory, config, topic, count, fill):
        self.topic, self.partition_count = topic, count
        self.directory = directory
        self.config = config
        node = self.node("first")
        node.start()
        fill(node)
        node.stop()
        self.states = [directory / "stopped", directory / "killed"]
        shutil.copytree(node.data, self.states[0], symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
        node.start()
        node.kill()
        shutil.copytree(node.data, self.states[1], symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
        self.stock = inventory(self.states[0], topic)
        assert sum(len(offsets) for *_, offsets in self.stock) >= COUNT
        shutil.rmtree(node.directory)

    def node(self, name):
        port = free_port()
        node = Node(self.directory, {**self.config, "listen": [{"address": f"127.0.0.1:{port}"}]}, name)
        node.admin = free_port()
        node.config["admin"] = {"address": f"127.0.0.1:{node.admin}"}
        return node

    def trial(self, seed):
        chance = random.Random(seed)
        node = self.node(f"seed{seed}")
        shutil.copytree(chance.choice(self.states), node.data, symlinks=True)
        words = f"seed {seed}: {damage(node.data, chance)}"
        expected = intact(node.data, self.stock)
        lost = COUNT - sum(len(offsets) for offsets in expected.values())
        try:
            node.start()
            served = read(node.bootstrap, self.topic, self.partition_count)
            check(served, expected, words)
            counted = metric(node, "millrace_log_damaged_bytes_total")
            new = self.append(node)
            node.stop()
            node.start()
            again = read(node.bootstrap, self.topic, self.partition_count)
            check(again, expected, words + ", second start")
            numbers = {int(value[:8]) for values in again.values() for value in values.values()}
            assert new <= numbers, f"{words}: new records are not served"
            node.stop()
        except AssertionError as error:
            raise AssertionError(f"{words}\n{error}\n{node.stderr()[-3000:]}") from error
        finally:
            complaint = node.finish()
        assert complaint is None, complaint
        shutil.rmtree(node.directory)
        return words, lost, counted


class Hub(Victim):
    def __init__(self, directory):
        def fill(node):
            for partition in range(PARTITIONS):
                produce(node, partition, numbered(partition * COUNT // PARTITIONS, COUNT // PARTITIONS))
            subprocess.run([*KCAT, "-b", node.bootstrap, "-G", "readers", "-e", "-q", "-c", "100", "app"],
                           capture_output=True, timeout=PATIENCE_S, check=False)
        super().__init__(directory, {"topics": {"app": {"partitions": PARTITIONS,
                                                        "segment": {"size": "256KiB"}}}},
                         "app", PARTITIONS, fill)

    def append(self, node):
        for partition in range(PARTITIONS):
            produce(node, partition, numbered(COUNT + 10 * partition, 10))
        return set(range(COUNT, COUNT + 10 * PARTITIONS))


class Edge(Victim):
    def __init__(self, directory):
        self.log = directory / "app.log"
        self.log.write_text(numbered(0, COUNT), encoding="ascii")
        self.lines = COUNT

        def fill(node):
            wait_until(lambda: metric(node, "millrace_log_append_records_total") >= COUNT,
                       what="the log", poll_s=0.05)
        super().__init__(directory, {"sources": {"app": {"type": "file", "paths": [str(self.log)],
                                                         "topic": "app"}},
                                     "topics": {"app": {"segment": {"size": "256KiB"}}}},
                         "app", 1, fill)

    def append(self, node):
        before = metric(node, "millrace_log_append_records_total")
        with open(self.log, "a", encoding="ascii") as log:
            log.write(numbered(self.lines, 10))
        self.lines += 10
        wait_until(lambda: metric(node, "millrace_log_append_records_total") >= before + 10,
                   what="new lines", poll_s=0.02)
        wait_until(lambda: self.lines - 1 in {int(value[:8]) for value in read(node.bootstrap, "app", 1)[0].values()},
                   what="the last line", poll_s=0.1)
        return set(range(self.lines - 10, self.lines))


def produce(node, partition, text):
    result = subprocess.run([*KCAT, "-b", node.bootstrap, "-P", "-t", "app", "-p", str(partition), "-X",
                             "batch.num.messages=100", "-X", "linger.ms=5", "-X", "message.timeout.ms=120000"],
                            input=text, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("make", [Hub, Edge])
def test_serves_what_is_intact(tmp_path, make):
    victim = make(tmp_path)
    for seed in range(FIRST, FIRST + SEEDS):
        words, lost, counted = victim.trial(seed)
        print(f"{words}: {lost} records lost, {counted:.0f} bytes counted")
