"""Everything that happens to logs, by chance and by the real logrotate, with the node up, stopped and killed.

MILLRACE_ACTIONS says how many things happen (60 by default; tests/chaos/rotation asks for more), MILLRACE_SEED which.
What is not promised is left out: a file that nobody ever saw under its own path cannot be known under another one
outside of the globs.
"""

import os
import random
import shutil
import signal
import subprocess

import pytest

from node import PATIENCE_S, free_port, is_sanitized, wait_until
from rotations import LOGROTATE_MODES, Judge, Log, World
from test_durability_edge import check_ledger, read_topic, total

ACTIONS = int(os.environ.get("MILLRACE_ACTIONS", "60"))
SEED = int(os.environ.get("MILLRACE_SEED", "0")) or random.randrange(1, 1 << 32)


@pytest.fixture
def tail(node, tmp_path):
    """A function that makes an edge which tails these globs, relative to the directory of the logs."""
    (tmp_path / "logs").mkdir()

    def make(*globs, **options):
        source = {"type": "file", "paths": [f"{tmp_path}/logs/{glob}" for glob in globs], "topic": "app", **options}
        return node({"listen": [{"address": f"127.0.0.1:{free_port()}"}], "sources": {"app": source},
                     "node": {"run": str(tmp_path / "run")}}, "edge")
    return make


def write(path, *lines):
    with open(path, "a", encoding="ascii") as handle:
        handle.write("".join(f"{line}\n" for line in lines))
    return list(lines)


def wait_for(edge, count):
    wait_until(lambda: total(edge) >= count, what=f"{count} records", poll_s=0.05)


def check_exactly(edge, lines):
    """These, in any order, and no more."""
    wait_for(edge, len(lines))
    edge.stop()  # in good order: what is under way comes, too
    edge.start()
    assert sorted(read_topic(edge)) == sorted(lines)
    check_ledger(edge)


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_chance_loses_and_repeats_nothing(tail, tmp_path, place):
    """Rotated files inside and outside of the globs."""
    edge = tail("**/*.log*" if place == "inside" else "**/*.log")
    world = World(tmp_path, edge, SEED, lambda condition, what: wait_until(condition, what=what, poll_s=0.05),
                  outside=place == "outside")
    world.delivered = lambda: total(edge)
    edge.start()
    for _ in range(ACTIONS):
        world.act()
    for log in world.logs:
        log.close()
    world.settle()
    edge.stop()
    edge.start()
    faults = world.judge.faults(read_topic(edge))
    assert not faults, f"seed {SEED}: {len(faults)} faults: {faults[:5]}; {world.story}"
    check_ledger(edge)


@pytest.mark.parametrize("mode", LOGROTATE_MODES)
def test_logrotate(tail, tmp_path, mode):
    """Each mode of the real one: up, stopped, killed."""
    edge = tail("*.log*")
    state = tmp_path / "state"
    state.mkdir()
    log = Log(tmp_path / "logs" / "a.log")
    judge = Judge([log])
    for turn in range(4):
        log.write(500, 100)
        edge.start()
        if turn == 0 or "copytruncate" in mode:
            wait_for(edge, log.count)
        if turn == 1:
            edge.kill()
        elif turn == 2:
            wait_for(edge, 1)
            edge.stop()
        log.write(50)
        for path in (tmp_path / "logs").glob("a.log-*"):
            os.rename(path, path.with_name(f"a.log.kept{turn}-{path.name[6:]}"))  # dateext refuses two in a second
        log.logrotate(mode, state, late_lines=20)
        log.write(50)
        if edge.is_running():
            wait_for(edge, judge.expected())
            edge.stop()
    edge.start()
    log.close()
    wait_for(edge, judge.expected())
    edge.stop()
    edge.start()
    faults = judge.faults(read_topic(edge))
    assert not faults, f"{len(faults)} faults: {faults[:5]}"
    check_ledger(edge)


def test_a_thousand_rotations_of_a_fast_writer(tail, tmp_path):
    """P2, with the rotated files outside of the globs; each is written to after it was moved."""
    edge = tail("*.log")
    edge.start()
    log = Log(tmp_path / "logs" / "a.log")
    log.write(1)
    wait_for(edge, 1)  # from here on it sees what moves
    for _ in range(1000):
        log.write(20)
        log.rename(late_lines=5)
    log.close()
    judge = Judge([log])
    wait_for(edge, judge.expected())
    faults = judge.faults(read_topic(edge))
    assert not faults, f"{len(faults)} faults: {faults[:5]}"
    check_ledger(edge)


def test_events_that_overflow_the_kernels_queue(tail, tmp_path):
    """The node stands still while more happens than the kernel remembers."""
    edge = tail("*.log")
    edge.start()
    logs = tmp_path / "logs"
    lines = [line for i in range(100) for line in write(logs / f"{i}.log", f"{i} first")]
    wait_for(edge, 100)
    edge.signal(signal.SIGSTOP)
    for turn in range(100):
        for i in range(100):
            lines += write(logs / f"{i}.log", f"{i} {turn}")
            if turn == 50:
                os.rename(logs / f"{i}.log", logs / f"{i}.moved.log")
    lines += [line for i in range(8000) for line in write(logs / f"new{i % 500}.log", f"new {i}")]
    edge.signal(signal.SIGCONT)
    check_exactly(edge, lines)


def test_links_to_files_and_directories_change(tail, tmp_path):
    edge = tail("current.log", "now/*.log", "up/down/*.log")
    edge.start()
    logs = tmp_path / "logs"
    lines = []
    for i in range(4):
        target = logs / f"target{i}"
        directory = logs / f"directory{i}"
        lines += write(target, *(f"{i} file {j}" for j in range(10)))
        directory.mkdir()
        lines += write(directory / "a.log", f"{i} directory")
        (logs / "up" / "down").mkdir(parents=True)
        lines += write(logs / "up" / "down" / "a.log", f"{i} up")
        for name, to in (("current.log", target), ("now", directory)):
            os.symlink(to, logs / "new")
            os.rename(logs / "new", logs / name)
        wait_for(edge, len(lines))
        lines += write(target, f"{i} file late")
        lines += write(directory / "a.log", f"{i} directory late")
        wait_for(edge, len(lines))
        os.rename(logs / "up", logs / f"gone{i}")
    check_exactly(edge, lines)


def test_what_is_no_copy(tail, tmp_path):
    """P5, P6: files that begin alike are files of their own, also when one goes, and while the node is down."""
    edge = tail("*.log")
    logs = tmp_path / "logs"
    banner = [f"banner {i}" for i in range(20)]
    edge.start()
    lines = write(logs / "a.log", *banner)
    wait_for(edge, len(lines))
    lines += write(logs / "b.log", *banner)
    os.truncate(logs / "a.log", 0)
    lines += write(logs / "a.log", "a")
    wait_for(edge, len(lines))
    edge.kill()
    os.unlink(logs / "a.log")
    lines += write(logs / "a.log", *banner, "a again")
    lines += write(logs / "c.log", *banner)
    edge.start()
    check_exactly(edge, lines)


def test_compressed_while_down(tail, tmp_path):
    """Rotated once, twice, three times, some of it gzip'ed, after a kill at any moment."""
    edge = tail("*.log*")
    log = Log(tmp_path / "logs" / "a.log")
    judge = Judge([log])
    edge.start()
    for turn in range(6):
        log.write(2000, 50)
        edge.kill()
        for part in range(turn % 3 + 1):
            log.write(100)
            log.rename()
            if (turn + part) % 2 == 0:
                subprocess.run(["gzip", tmp_path / "logs" / f"a.log.r{log.rotated}"], check=True, timeout=PATIENCE_S)
        edge.start()
    log.close()
    wait_for(edge, judge.expected())
    faults = judge.faults(read_topic(edge))
    assert not faults, f"{len(faults)} faults: {faults[:5]}"
    check_ledger(edge)


def resident_kib(edge):
    with open(f"/proc/{edge.process.pid}/status", encoding="ascii") as status:
        return int(status.read().split("VmRSS:")[1].split()[0])


def test_files_that_come_and_go_leave_nothing(tail, tmp_path):
    """P31: what was read and deleted is forgotten, in memory and in the checkpoint."""
    edge = tail("*.log")
    edge.start()
    logs = tmp_path / "logs"
    count = 0
    sizes = []
    for _ in range(6):
        for _ in range(700):
            write(logs / f"{count}.log", f"{count}")
            count += 1
        wait_for(edge, count)
        shutil.rmtree(logs)
        logs.mkdir()
        sizes.append(resident_kib(edge))
    check_exactly(edge, [str(i) for i in range(count)])
    if not is_sanitized():
        assert sizes[-1] < sizes[2] + 4096, sizes
