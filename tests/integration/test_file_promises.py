"""What is promised of files, one by one, with the real binary: the table in tests/README.md says what else shows them."""

import os
import subprocess
import urllib.request

import pytest

from node import PATIENCE_S, free_port, run, wait_until
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
        done = subprocess.run(["losetup", "-f", "--show", spacer], check=False, timeout=60, capture_output=True,
                              text=True)
        if done.returncode != 0:
            pytest.skip(f"no second loop device here: {done.stderr.strip()}")
        loop = done.stdout.strip()
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


def texts(edge):
    return sorted(line.rstrip("\n") for line in read_topic(edge))


def append(path, text):
    with open(path, "a", encoding="utf-8") as handle:
        handle.write(text)


def source(tmp_path, **options):
    return {"app": {"type": "file", "paths": [f"{tmp_path}/logs/*.log"], "topic": "app", **options}}


def test_a_file_that_is_rewritten_beyond_the_old_offset(make, tmp_path):
    """P4, P7: each of two contents at one inode comes once, and a single short line does not wait."""
    log = tmp_path / "logs" / "a.log"
    edge = make()
    edge.start()
    append(log, "a\n")
    wait_until(lambda: total(edge) >= 1, what="a short line")
    append(log, "old 0\nold 1\n")
    wait_until(lambda: total(edge) >= 3, what="the old lines")
    edge.stop()
    new = [f"new {i}" for i in range(100)]
    log.write_text("".join(f"{line}\n" for line in new), encoding="ascii")  # the same inode, and longer
    edge.start()
    wait_until(lambda: total(edge) >= 103, what="the new lines")
    edge.stop()
    edge.start()
    assert texts(edge) == sorted(["a", "old 0", "old 1", *new])
    check_ledger(edge)


def test_files_that_appear_later_are_read_from_their_first_byte(make, tmp_path):
    """P35, whatever start_at says of those that were there, and also while the node is down."""
    logs = tmp_path / "logs"
    append(logs / "old.log", "old\n")
    edge = make(sources=source(tmp_path, start_at="end"))
    edge.start()
    wait_until(lambda: "old.log" in run("files", "-c", edge.config_path).stdout, what="the old file to be known")
    append(logs / "new.log", "new 0\nnew 1\n")
    wait_until(lambda: total(edge) >= 2, what="the new file")
    edge.stop()
    append(logs / "down.log", "down\n")
    edge.start()
    wait_until(lambda: total(edge) >= 3, what="the file that came while the node was down")
    assert texts(edge) == ["down", "new 0", "new 1"]


def test_long_lines_are_cut_between_characters(make, tmp_path):
    """P26: all of it comes, and the next line is whole."""
    log = tmp_path / "logs" / "a.log"
    edge = make(sources=source(tmp_path, max_line="1KiB"))
    edge.start()
    append(log, "ä" * 3000 + "\nnext\n")
    wait_until(lambda: "next" in texts(edge), what="the next line", poll_s=0.1)
    lines = [line.rstrip("\n") for line in read_topic(edge)]
    assert "".join(lines[:-1]) == "ä" * 3000
    assert len(lines) > 6 and lines[-1] == "next"


def test_container_lines_over_rotations_and_a_kill(make, tmp_path):
    """P27, P28: pieces in three files, and no end to be seen before the node was killed."""
    logs = tmp_path / "logs"
    frame = "2026-03-01T12:00:00.5Z stdout"
    edge = make(sources=source(tmp_path, format="cri", rotated_wait="1h", multiline={"timeout": "1h"}))
    edge.start()
    append(logs / "0.log", f"{frame} F first\n{frame} P ab\n")
    wait_until(lambda: total(edge) >= 1, what="the first line")
    os.rename(logs / "0.log", logs / "0.log.20260301-120001")
    append(logs / "0.log", f"{frame} P cd\n2026-03-01T12:00:00.5Z stderr F other\n")
    wait_until(lambda: total(edge) >= 2, what="the line of the other stream")
    edge.kill()
    os.rename(logs / "0.log", logs / "0.log.20260301-120002")
    append(logs / "0.log", f"{frame} F ef\n{frame} F last\n")
    edge.start()
    wait_until(lambda: total(edge) >= 4, what="the line of three files, and the last")
    assert texts(edge) == ["abcdef", "first", "last", "other"]
    check_ledger(edge)
