"""A node in a bad place: a full disk, a read-only or taken directory, ten thousand clients, a hostile
topic name. Each costs what it must, says what it is, and nothing else."""

import contextlib
import os
import resource
import socket
import struct
import subprocess
import threading
import time
import zlib

import pytest

import raw
from clients import TIMEOUT_S, new_producer, read, send, values
from node import PATIENCE_S, is_sanitized, run, wait_until

CONNECTIONS = 10000
FILES = 2 * CONNECTIONS


def config_of(free_port, tmp_path, **more):
    return {"node": {"name": "hub", "run": str(tmp_path / "run")},
            "listen": [{"address": f"127.0.0.1:{free_port()}"}],
            "topics": {"web": {}}, **more}


@pytest.fixture
def hub(node, free_port, tmp_path):
    return node(config_of(free_port, tmp_path), "hub").start()


@contextlib.contextmanager
def small_disk(path, size):
    """A file system of its own; needs root, as CI has it."""
    assert os.geteuid() == 0, "a file system is mounted here: run as root"
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def rss_bytes(hub):
    with open(f"/proc/{hub.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


# ---- the data directory ----

def test_a_data_directory_in_use_is_refused_and_its_owner_serves_on(hub):
    done = run("run", "-c", hub.config_path)
    assert done.returncode != 0 and str(hub.data) in done.stderr and "use" in done.stderr
    send(hub, "web", [b"x"])


def test_a_data_directory_of_another_kind_is_refused(node, free_port, tmp_path):
    hub = node(config_of(free_port, tmp_path), "hub")
    hub.data.write_text("a file", encoding="utf-8")
    hub.write_config()
    done = run("run", "-c", hub.config_path)
    assert done.returncode not in (0, -6, -11) and str(hub.data) in done.stderr
    assert hub.data.read_text(encoding="utf-8") == "a file"


def test_a_read_only_directory_is_refused_with_its_name(node, free_port, tmp_path):
    hub = node(config_of(free_port, tmp_path), "hub")
    with small_disk(hub.data, "4m"):
        subprocess.run(["mount", "-o", "remount,ro", str(hub.data)], check=True)
        hub.write_config()
        done = run("run", "-c", hub.config_path)
    assert done.returncode not in (0, -6, -11)
    assert "ead-only" in done.stderr and str(hub.data) in done.stderr


def test_a_full_disk_refuses_serves_and_recovers_by_itself(node, free_port, tmp_path):
    """Until no byte is left: what was acknowledged is served, what cannot be written is refused, and with
    room the node takes records again without a restart. Then the same after kill -9."""
    hub = node(config_of(free_port, tmp_path), "hub")
    with small_disk(hub.data, "24m"):
        hub.start()
        send(hub, "web", [b"first"])
        ballast = hub.data / "ballast"
        acknowledged, refused = [b"first"], []

        def fill():
            producer = new_producer(hub, message_timeout_ms=5000, compression_type="none")

            def on_delivery(error, message):
                (acknowledged if error is None else refused).append(message.value())

            for number in range(40):
                producer.produce("web", b"%d " % number + b"x" * 900000, on_delivery=on_delivery)
                producer.poll(0)
            assert producer.flush(TIMEOUT_S) == 0

        ballast.write_bytes(b"\0" * (4 << 20))
        fill()
        assert refused and len(acknowledged) > 1

        def check(more=()):
            """What was acknowledged is there in its order; beside it only what the producer gave up too early."""
            got = values(read(hub, "web"))
            assert [value for value in got if value not in refused] == acknowledged + list(more)

        check()
        hub.kill()
        hub.start()
        check()
        ballast.unlink()

        def is_taken():
            with raw.Peer(hub.ports[0]) as peer:
                return peer.produce("web", raw.record_batch(b"again"))[0] == 0

        wait_until(is_taken, what="room to be noticed")
        check([b"again"])
        hub.stop()


# ---- many clients ----

def test_ten_thousand_connections(node, free_port, tmp_path):
    """All are taken and one more is served well, in bounded memory; when they go, all is as before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= FILES, f"this test needs {FILES} open files: raise the hard limit"
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    peers = []
    try:
        hub = node(config_of(free_port, tmp_path), "hub").start()
        send(hub, "web", [b"before"])
        before = rss_bytes(hub)
        for number in range(CONNECTIONS):
            peer = raw.Peer(hub.ports[0])
            peers.append(peer)
            if number % 2:  # half of a request, and silence
                peer.send(raw.frame(raw.METADATA, 1, 1, b"\0\0\0\0")[:-3])
        send(hub, "web", [b"during"])
        assert values(read(hub, "web")) == [b"before", b"during"]
        # A sanitizer keeps shadow memory and redzones of its own: there the bound says only that it is one.
        each = 65536 if is_sanitized() else 8192
        assert rss_bytes(hub) - before < CONNECTIONS * each
        peers[0].api_versions()
    finally:
        for peer in peers:
            peer.socket.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    fds = f"/proc/{hub.process.pid}/fd"
    wait_until(lambda: len(os.listdir(fds)) < 100, what="all connections to be gone")
    send(hub, "web", [b"after"])
    hub.stop()


def test_more_connections_than_allowed_are_closed_at_once(node, free_port, tmp_path):
    config = config_of(free_port, tmp_path)
    config["listen"][0]["connections"] = 10
    hub = node(config, "hub").start()

    def served_of_fifteen():
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(raw.Peer(hub.ports[0])) for _ in range(15)]
            return sum(_is_served(peer) for peer in peers)

    # Again until connections of before, which the node may not have seen the end of, are gone.
    wait_until(lambda: served_of_fifteen() == 10, what="ten to be served, and no more")
    send(hub, "web", [b"x"])


def _is_served(peer):
    try:
        return bool(peer.api_versions())
    except (AssertionError, EOFError, OSError):
        return False


def test_slow_and_broken_clients_cost_a_producer_nothing(hub):
    """Byte by byte, garbage, and connections that end in the middle, beside a producer of 20,000 records."""
    stop = threading.Event()

    def disturb():
        garbage = [os.urandom(64), b"GET / HTTP/1.1\r\n\r\n", b"\x7f\xff\xff\xff", b"\0\0\0\x10abc",
                   raw.frame(raw.PRODUCE, 3, 1, raw.produce_body("web", raw.record_batch(crc=1), acks=0)),
                   raw.frame(raw.FETCH, 4, 1, b"\xff" * 40), raw.frame(999, 0, 1, b"")]
        while not stop.is_set():
            for data in garbage:
                with contextlib.suppress(OSError):
                    with socket.create_connection(("127.0.0.1", hub.ports[0]), timeout=PATIENCE_S) as peer:
                        for at in range(0, len(data), 16):
                            peer.sendall(data[at:at + 16])

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        expected = [b"%d" % number for number in range(20000)]
        send(hub, "web", expected, enable_idempotence=True)
    finally:
        stop.set()
        thread.join()
    assert values(read(hub, "web")) == expected


# ---- names ----

@pytest.mark.parametrize("name", ["../../etc/x", "a/b", "a\0b", ".", "..", "", "x" * 250, "-", "a b", "é"])
def test_a_topic_name_never_becomes_a_path(hub, name):
    before = sorted(path.name for path in hub.data.iterdir())
    with raw.Peer(hub.ports[0]) as peer:
        error = peer.metadata_error(name, may_create=True)
    assert error == 17 or name == "-"
    if name != "-":
        wait_until(lambda: sorted(path.name for path in hub.data.iterdir()) == before,  # files on their way go
                   what="nothing new in the directory")


# ---- time ----

def test_records_of_any_time_are_kept_in_order(hub):
    """Producers' clocks that jump: long ago, now, back again. Offsets and order do not mind; a time too
    far ahead is refused by name."""
    now = int(time.time() * 1000)
    with raw.Peer(hub.ports[0]) as peer:
        for offset, timestamp in enumerate((now, 1, now - 86400000, now, 0)):
            batch = raw.record_batch(b"%d" % offset, timestamp_ms=timestamp)
            assert peer.produce("web", batch) == (0, offset)
        assert peer.produce("web", raw.record_batch(timestamp_ms=now + 7200000))[0] == 32
    hub.kill()
    hub.start()
    assert values(read(hub, "web")) == [b"0", b"1", b"2", b"3", b"4"]


# ---- bombs ----

def gzip_zeros(size):
    packer = zlib.compressobj(1, wbits=31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(size >> 20)) + packer.flush()


def test_batches_that_inflate_a_thousandfold_are_refused_beside_others(node, free_port, tmp_path):
    """Workers check them: in order on their own connection, and nobody else waits for them."""
    hub = node(config_of(free_port, tmp_path, broker={"request_size": 8 << 20}), "hub").start()
    large, small = (raw.produce_body("web", raw.record_batch(records=gzip_zeros(size << 20), attributes=1))
                    for size in (64, 16))
    good = raw.produce_body("web", raw.record_batch(b"good"))
    port = hub.ports[0]
    with raw.Peer(port) as bomber, raw.Peer(port) as gone, raw.Peer(port) as other:
        for number in range(8):
            bomber.send(raw.frame(0, 3, number, large if number % 2 else small))
            gone.send(raw.frame(0, 3, number, small))
        bomber.send(raw.frame(0, 3, 8, good))
        gone.socket.close()
        assert other.produce("web", raw.record_batch(b"other"))[0] == 0
        for number in range(9):
            correlation_id, body = bomber.receive()
            assert correlation_id == number
            error = struct.unpack(">h", body[17:19])[0]
            assert error == (0 if number == 8 else 10), number
    assert sorted(values(read(hub, "web"))) == [b"good", b"other"]
    # What a sanitizer has freed it keeps for a while, up to 256 MiB.
    assert rss_bytes(hub) < (1 << 30 if is_sanitized() else 100 << 20)
