"""From a file at the edge to a hub, while everything on the way is killed, stopped, wiped or copied.

The hub is read with kcat. Lines are numbers, so that a gap, a repeat or a disorder is a difference of lists.
"""

import random
import shutil
import subprocess
import time

import pytest

from node import KCAT, PATIENCE_S, free_port, run, wait_until
from security import metric

ROUNDS = 12


def read_topic(bootstrap, topic="web", offset="beginning"):
    """All that the topic holds now, as numbers."""
    result = subprocess.run(
        [*KCAT, "-b", bootstrap, "-t", topic, "-C", "-o", offset, "-e", "-q", "-X",
         "topic.metadata.refresh.interval.ms=100"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return [int(line) for line in result.stdout.split()]


def crc32c(data):
    """CRC-32C (RFC 3720, appendix B.4), bit by bit."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class Pair:
    """A hub, an edge that forwards to it, and the file that the edge reads."""

    def __init__(self, make, directory):
        self.log = directory / "web.log"
        self.count = 0
        self.hub = make({"listen": [{"address": f"127.0.0.1:{free_port()}"}]}, "hub")
        self.edge = make({
            "sources": {"web": {"type": "file", "paths": [str(self.log)], "topic": "web"}},
            "sinks": {"hubs": {"type": "peer", "topics": ["web"], "nodes": [self.hub.bootstrap],
                               "connect_timeout": "10s", "request_timeout": "30s"}}}, "edge")
        self.log.touch()

    def append(self, lines):
        with open(self.log, "a", encoding="ascii") as log:
            log.write("".join(f"{i}\n" for i in range(self.count, self.count + lines)))
        self.count += lines

    def start(self):
        self.hub.start()
        self.edge.start(wait=False)
        return self

    def arrived(self):
        return read_topic(self.hub.bootstrap)

    def wait_arrived(self, expected=None):
        """Until the hub has as many records as were written; then they are the same, in order."""
        expected = list(range(self.count)) if expected is None else expected
        wait_until(lambda: len(self.arrived()) >= len(expected),
                   what=f"{len(expected)} records at the hub", poll_s=0.2)
        got = self.arrived()
        if got != expected:
            at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b),
                      min(len(got), len(expected)))
            raise AssertionError(f"{len(got)} records, {len(expected)} expected; at {at}: "
                                 f"{got[at:at + 5]} instead of {expected[at:at + 5]}\n"
                                 f"{self.edge.stderr()[-3000:]}")


@pytest.fixture
def pair(node, tmp_path):
    return Pair(node, tmp_path)


def test_forwards_every_line_once_and_in_order(pair):
    pair.append(50000)
    pair.start()
    pair.append(50000)
    pair.wait_arrived()
    pair.edge.stop()
    pair.append(10)
    pair.edge.start(wait=False)
    pair.wait_arrived()
    pair.edge.stop()
    pair.hub.stop()


@pytest.mark.parametrize("victim", ["edge", "hub", "both"])
def test_loses_and_repeats_nothing_when_nodes_are_killed(pair, victim):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print("seed", seed)
    pair.start()
    for _ in range(ROUNDS):
        pair.append(chance.randrange(20000))
        time.sleep(chance.random() * 0.3)
        for each in (pair.edge, pair.hub):
            if victim in (each.name, "both"):
                each.kill()
        pair.append(chance.randrange(20000))
        if victim in ("hub", "both"):
            pair.hub.start()
        if victim in ("edge", "both"):
            pair.edge.start(wait=False)
    pair.append(1)
    pair.wait_arrived()


def test_waits_for_a_dead_hub_and_ends_beside_it(pair):
    pair.start()
    pair.append(1000)
    pair.wait_arrived()
    pair.hub.kill()
    pair.append(100000)
    time.sleep(1)
    pair.edge.stop()
    pair.edge.start(wait=False)
    pair.hub.start()
    pair.wait_arrived()


def test_gets_over_a_hub_that_hangs(pair):
    pair.edge.config["sinks"]["hubs"]["request_timeout"] = "3s"
    pair.start()
    pair.append(1000)
    pair.wait_arrived()
    before = metric(pair.edge, "millrace_client_failures_total")
    with pair.hub.paused():
        pair.append(100000)
        wait_until(lambda: metric(pair.edge, "millrace_client_failures_total") > before,
                   what="a request that runs out of time", poll_s=0.1)
    pair.wait_arrived()


def test_ends_beside_a_hub_that_hangs(pair):
    pair.start()
    pair.append(1000)
    pair.wait_arrived()
    with pair.hub.paused():
        pair.append(100000)
        time.sleep(0.3)
        pair.edge.stop()
    pair.edge.start(wait=False)
    pair.wait_arrived()


def test_sends_again_to_a_hub_whose_data_is_gone(pair):
    """The same address, an empty disk: what the edge still holds comes again."""
    pair.start()
    pair.append(30000)
    pair.wait_arrived()
    pair.hub.kill()
    shutil.rmtree(pair.hub.data)
    pair.hub.start()
    pair.append(1000)
    pair.wait_arrived()


def test_notices_that_its_data_is_an_older_copy(pair, tmp_path):
    """The edge's directory is restored from a copy: the hub has more of the lineage than the log. What the
    restored edge reads again cannot be told from new lines, but none of them is missing."""
    pair.start()
    pair.append(1000)
    pair.wait_arrived()
    pair.edge.stop()
    shutil.copytree(pair.edge.data, tmp_path / "copy", symlinks=True)
    pair.edge.start(wait=False)
    pair.append(1000)
    pair.wait_arrived()
    pair.edge.kill()
    shutil.rmtree(pair.edge.data)
    shutil.copytree(tmp_path / "copy", pair.edge.data, symlinks=True)
    pair.append(500)
    pair.edge.start(wait=False)
    pair.edge.wait_for_output("rolled back, restored or copied")
    pair.wait_arrived(list(range(2000)) + list(range(1000, 2500)))


def test_begins_a_new_lineage_on_another_machine(pair):
    pair.start()
    pair.append(1000)
    pair.wait_arrived()
    pair.edge.stop()
    for identity in pair.edge.data.glob("identity*"):  # it is kept twice
        lines = identity.read_text(encoding="ascii").splitlines()[:2]
        text = "\n".join(lines + ["machine ffffffffffffffffffffffffffffffff"]) + "\n"
        identity.write_text(f"{text}crc {crc32c(text.encode()):08x}\n", encoding="ascii")
    pair.append(1000)
    pair.edge.start(wait=False)
    pair.edge.wait_for_output("another node's copy")
    pair.wait_arrived()


def test_makes_dead_letters_of_what_the_hub_refuses(pair):
    """The hub's topic takes small batches only: most come in pieces, a long line not at all."""
    pair.hub.config["topics"] = {"web": {"message_size": "16KiB"}}
    pair.append(100)
    pair.start()
    with open(pair.log, "a", encoding="ascii") as log:
        log.write(random.randbytes(20000).hex() + "\n")  # stays large when it is compressed
    pair.count = 100
    pair.append(1)
    with open(pair.log, "a", encoding="ascii") as log:
        log.write("".join(f"{i}\n" for i in range(101, 20000)))
    pair.count = 20000
    pair.wait_arrived()
    pair.edge.wait_for_output("dead letters")


def test_refuses_its_own_node(node, tmp_path):
    port = free_port()
    log = tmp_path / "web.log"
    log.write_text("0\n", encoding="ascii")
    alone = node({
        "listen": [{"address": f"127.0.0.1:{port}"}],
        "sources": {"web": {"type": "file", "paths": [str(log)], "topic": "web"}},
        "sinks": {"hubs": {"type": "peer", "topics": ["web"], "nodes": [f"127.0.0.1:{port}"]}}})
    alone.start()
    alone.wait_for_output("own mesh")
    alone.stop()


def test_checks_its_options(node):
    wrong = node({"sinks": {"hubs": {"type": "peer", "topics": ["web"], "nodes": []}}})
    wrong.write_config()
    result = run("check", "-c", wrong.config_path)
    assert result.returncode == 78
    assert "nodes" in result.stdout + result.stderr
