"""Files that go, and file systems that come back under another number: P29 and P34, with the real binary."""

import os
import subprocess
import urllib.request

import pytest

from node import PATIENCE_S, free_port, wait_until
from test_durability_edge import check_ledger, read_topic, total

LIMIT = 4 << 20


def write(path, name, count, padding=20):
    with open(path, "a", encoding="ascii") as handle:
        handle.write("".join(f"{name} {i} {os.urandom(padding // 2).hex()}\n" for i in range(count)))


def gauge(edge, name):
    text = urllib.request.urlopen(f"http://{edge.config['admin']['address']}/metrics", timeout=PATIENCE_S).read()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.decode().splitlines()
               if line.startswith((name + " ", name + "{")))


def deleted_handles(edge, below):
    found = []
    for link in os.scandir(f"/proc/{edge.process.pid}/fd"):
        try:
            target = os.readlink(link.path)
        except FileNotFoundError:
            continue
        if target.startswith(str(below)) and target.endswith(" (deleted)"):
            found.append(target)
    return found


@pytest.fixture
def make(node, tmp_path):
    (tmp_path / "logs").mkdir()

    def make(**more):
        return node({"listen": [{"address": f"127.0.0.1:{free_port()}"}], "admin": {"address": f"127.0.0.1:{free_port()}"},
                     "sources": {"app": {"type": "file", "paths": [f"{tmp_path}/logs/*.log"], "topic": "app"}}, **more},
                    "edge")
    return make


def test_deleted_files_are_let_go_of_at_their_end(make, tmp_path):
    """P29."""
    logs = tmp_path / "logs"
    edge = make()
    edge.start()
    for i in range(20):
        write(logs / f"{i}.log", i, 10)
    wait_until(lambda: total(edge) >= 200, what="all lines")
    for i in range(20):
        (logs / f"{i}.log").unlink()
    wait_until(lambda: not deleted_handles(edge, logs), what="the handles of deleted files to be closed")
    wait_until(lambda: gauge(edge, "millrace_file_deleted_open") == 0, what="the metric to say so")
    write(logs / "new.log", "new", 1)
    wait_until(lambda: total(edge) >= 201, what="a new file's line")
    check_ledger(edge)


def test_deleted_files_that_cannot_be_read_yet_are_counted(make, tmp_path):
    """P29: the log is full, and nobody takes anything away."""
    logs = tmp_path / "logs"
    edge = make(disk={"limit": LIMIT}, topics={"app": {"when_full": "block", "segment": {"size": "1MiB"}}},
                sinks={"hub": {"type": "peer", "topics": ["app"], "nodes": [f"127.0.0.1:{free_port()}"]}})
    write(logs / "a.log", "a", 3 * LIMIT // 200, 190)
    edge.start()
    edge.wait_for_output("takes nothing more")
    os.unlink(logs / "a.log")
    wait_until(lambda: gauge(edge, "millrace_file_deleted_open_bytes") > LIMIT, what="the unread bytes to be counted")
    assert gauge(edge, "millrace_file_deleted_open") == 1
    assert deleted_handles(edge, logs)


def mount(image, directory):
    done = subprocess.run(["mount", "-o", "loop", image, directory], check=False, timeout=60, capture_output=True,
                          text=True)
    if done.returncode != 0:
        pytest.skip(f"no loop devices here, or not root: {done.stderr.strip()}")


def test_a_file_system_that_comes_back_under_another_number(make, tmp_path):
    """P34: the same inodes on another device: nothing is sent again."""
    logs = tmp_path / "logs"
    image, spacer = tmp_path / "image", tmp_path / "spacer"
    for path, size in ((image, 16 << 20), (spacer, 1 << 20)):
        with open(path, "wb") as file:
            file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", image], check=True, timeout=60)
    edge = make()
    loop = None
    mount(image, logs)
    try:
        for i in range(3):
            write(logs / f"{i}.log", i, 100)
        device = os.stat(logs / "0.log").st_dev
        edge.start()
        wait_until(lambda: total(edge) >= 300, what="all lines")
        edge.stop()
        subprocess.run(["umount", logs], check=True, timeout=60)
        loop = subprocess.run(["losetup", "-f", "--show", spacer], check=True, timeout=60, capture_output=True,
                              text=True).stdout.strip()
        mount(image, logs)
        assert os.stat(logs / "0.log").st_dev != device
        write(logs / "0.log", "late", 1)
        edge.start()
        wait_until(lambda: total(edge) >= 301, what="the new line")
        edge.stop()
        edge.start()
        lines = [line.rsplit(" ", 1)[0] for line in read_topic(edge)]
        assert sorted(lines) == sorted([f"{i} {j}" for i in range(3) for j in range(100)] + ["late 0"])
        check_ledger(edge)
        edge.stop()
    finally:
        if edge.is_running():
            edge.kill()
        subprocess.run(["umount", logs], check=False, timeout=60)
        if loop is not None:
            subprocess.run(["losetup", "-d", loop], check=False, timeout=60)
