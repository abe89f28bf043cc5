"""What quotas do to clients. Rates are held against bytes that were counted and times that were told;
clocks only show that nothing came too early."""

import contextlib
import random
import struct
import subprocess
import time

import pytest

import raw_kafka
from node import KCAT, PATIENCE_S, wait_until
from quotas import VALUE_SIZE, fetch, produce, produce_request, set_quota
from raw_kafka import Connection, string
from security import metric

THROTTLED = 89
RATE = 1000000
FOR_EVER = 1  # a byte a second


@pytest.fixture
def hub(node, free_port):
    made = node({"listen": [{"address": f"127.0.0.1:{free_port()}"}], "topics": {"t": {}},
                 "broker": {"quota_window": "1s"}}).start()
    with Connection(str(made.socket_path)) as made.control:
        yield made


@contextlib.contextmanager
def connect(node, client_id="app", user=None):
    with Connection(("127.0.0.1", node.ports[0]), client_id=client_id) as connection:
        if user is not None:
            assert connection.scram("SCRAM-SHA-256", user, "secret enough")[0] == 0
        yield connection


def ping(connection):
    connection.call(raw_kafka.API_VERSIONS, 0, b"")


def is_silent(connection, seconds=0.3):
    """Whether nothing comes for a while."""
    connection.socket.settimeout(seconds)
    try:
        return connection.socket.recv(1, 2) is None  # MSG_PEEK
    except TimeoutError:
        return True
    finally:
        connection.socket.settimeout(PATIENCE_S)


def test_a_producer_gets_its_rate(hub):
    size = len(produce_request()) + 16
    with connect(hub) as throttled, connect(hub, "other") as free:
        began = time.monotonic()
        for _ in range(5):
            assert produce(throttled) == (0, 0) == produce(free)
        # On a slow machine a rate that is less than what it could do, in at most a minute.
        rate = int(min(RATE, max(5 * size / (time.monotonic() - began) / 3, size)))
        set_quota(hub.control, {"client-id": "app"}, producer_byte_rate=rate)
        began, told, sent = time.monotonic(), 0, 0
        while sent < 10 or (sent < 60 and time.monotonic() - began < 30):
            error, throttle = produce(throttled)
            assert error == 0
            assert throttle <= (size / rate + 0.1) * 1000  # one connection never owes more than one request
            told += throttle
            assert produce(free) == (0, 0), sent
            sent += 1
        took = time.monotonic() - began
    # The last one need not have waited, and the first second's worth was free.
    assert took >= ((sent - 1) * size - rate) / rate
    assert told <= took * 1000 + throttle
    assert told > 0
    assert metric(hub, 'millrace_broker_throttled_total{quota="producer_byte_rate"}') > 0
    assert metric(hub, 'millrace_broker_throttle_milliseconds_total{quota="producer_byte_rate"}') >= told


def test_a_consumer_gets_its_rate(hub):
    with connect(hub, "other") as free:
        for _ in range(10):
            assert produce(free) == (0, 0)
    set_quota(hub.control, {"client-id": "app"}, consumer_byte_rate=RATE // 2)
    with connect(hub) as throttled, connect(hub, "other") as free:
        began, total, throttles = time.monotonic(), 0, []
        while total < RATE:
            error, throttle, got = fetch(throttled, bytes_max=4 * VALUE_SIZE + 1000)
            assert error == 0
            total += got
            throttles.append(throttle)
            assert fetch(free)[:2] == (0, 0)
        took = time.monotonic() - began
        assert took >= (total - got - RATE / 2) / (RATE / 2)
        assert sum(throttles) > 0
        # Not more than the window at once, whatever is asked for.
        set_quota(hub.control, {"client-id": "app"}, consumer_byte_rate=2 * VALUE_SIZE)
        wait_until(lambda: 0 < fetch(throttled)[2] < 2 * VALUE_SIZE, what="a fetch that is cut")


def test_a_fetch_beyond_the_quota_is_empty(hub):
    with connect(hub, "other") as free:
        assert produce(free) == (0, 0)
    set_quota(hub.control, {"client-id": "app"}, consumer_byte_rate=FOR_EVER)
    with connect(hub) as first, connect(hub) as second:
        error, throttle, got = fetch(first)
        assert error == 0 and got > VALUE_SIZE and throttle > 60000
        error, throttle, got = fetch(second, wait_ms=10000)
        assert error == 0 and got == 0 and throttle > 60000
        second.request(raw_kafka.API_VERSIONS, 0, b"")
        assert is_silent(second)


def test_without_an_answer_too(hub):
    """acks=0: nothing can be told, but the connection is not read from."""
    set_quota(hub.control, {"client-id": "app"}, producer_byte_rate=FOR_EVER)
    with connect(hub) as throttled, connect(hub, "other") as free:
        for _ in range(5):
            throttled.request(0, 3, produce_request(acks=0))
        throttled.request(raw_kafka.API_VERSIONS, 0, b"")
        assert is_silent(throttled)
        ping(free)
        assert metric(hub, "millrace_broker_throttled_connections") == 1
        # What is sent meanwhile waits in the socket, and is taken when the quota goes.
        set_quota(hub.control, {"client-id": "app"}, producer_byte_rate=None)
        throttled.read_frame()
        wait_until(lambda: fetch(free, offset=4)[2] > VALUE_SIZE, what="the last record")
        assert metric(hub, "millrace_broker_throttled_connections") == 0


def test_a_change_counts_at_once(hub):
    with connect(hub) as connection:
        assert produce(connection) == (0, 0)
        set_quota(hub.control, {"client-id": None}, producer_byte_rate=FOR_EVER)
        assert produce(connection)[1] > 60000
        connection.request(raw_kafka.API_VERSIONS, 0, b"")
        assert is_silent(connection)
        set_quota(hub.control, {"client-id": "app"}, producer_byte_rate=1000 * RATE)
        connection.read_frame()
        assert produce(connection) == (0, 0)
        set_quota(hub.control, {"client-id": "app"}, producer_byte_rate=None)
        assert produce(connection)[1] > 60000


def test_a_throttled_client_that_leaves(hub):
    before = 1  # the control connection; that of the start goes
    wait_until(lambda: metric(hub, "millrace_broker_connections") == before, what="one connection")
    set_quota(hub.control, {"client-id": "app"}, producer_byte_rate=FOR_EVER)
    with connect(hub) as connection:
        assert produce(connection)[1] > 60000
        assert metric(hub, "millrace_broker_connections") == before + 1
    wait_until(lambda: metric(hub, "millrace_broker_connections") == before, what="its place to be free")
    # What it has said before it left is taken, in its time.
    with connect(hub) as connection:
        for _ in range(3):
            connection.request(0, 3, produce_request(acks=0))
    set_quota(hub.control, {"client-id": "app"}, producer_byte_rate=None)
    with connect(hub, "other") as free:
        wait_until(lambda: fetch(free, offset=3)[2] > VALUE_SIZE, what="the last record")
    set_quota(hub.control, {"client-id": "app"}, producer_byte_rate=FOR_EVER)
    with connect(hub) as connection:
        assert produce(connection)[1] > 0
        hub.stop()  # with one that is muted


def test_who_is_nobody_is_anonymous(hub):
    set_quota(hub.control, {"user": "ANONYMOUS"}, producer_byte_rate=FOR_EVER)
    with connect(hub) as connection:
        assert produce(connection)[1] > 60000
    # The node's own socket has none.
    set_quota(hub.control, {"user": None}, producer_byte_rate=FOR_EVER)
    for _ in range(3):
        assert produce(hub.control) == (0, 0)


def test_users(node, free_port):
    hub = node({"listen": [{"address": f"127.0.0.1:{free_port()}", "sasl": ["SCRAM-SHA-256"]}],
                "authorization": {"super_users": ["alice", "bob"]}, "topics": {"t": {}},
                "broker": {"quota_window": "1s"}}).start()
    with Connection(str(hub.socket_path)) as control:
        for user in ("alice", "bob"):
            assert raw_kafka.set_user(control, user, "secret enough", [raw_kafka.SHA_256]) == {user: 0}
        set_quota(control, {"user": "alice"}, producer_byte_rate=FOR_EVER)
        set_quota(control, {"user": "alice", "client-id": "free"}, producer_byte_rate=1000 * RATE)
        set_quota(control, {"user": "ANONYMOUS"}, request_percentage=0.000001)
    with connect(hub, user="alice") as first, connect(hub, user="alice") as second, \
            connect(hub, user="bob") as bob, connect(hub, "free", user="alice") as free:
        assert produce(first)[1] > 60000
        assert produce(second)[1] > 60000  # one bucket for all that alice has
        assert produce(bob) == (0, 0)
        assert produce(free) == (0, 0)


def test_request_time(hub):
    """A ten-thousandth of the loop's time is soon used up by requests; who asks nothing else is not."""
    set_quota(hub.control, {"client-id": "app"}, request_percentage=0.01)
    metadata = struct.pack(">i", -1) + b"\0"
    with connect(hub) as busy, connect(hub, "other") as free:
        for _ in range(5000):
            throttle, = struct.unpack(">i", busy.call(raw_kafka.METADATA, 4, metadata)[:4])
            if throttle > 0:
                break
        assert throttle > 0
        assert struct.unpack(">i", free.call(raw_kafka.METADATA, 4, metadata)[:4])[0] == 0
    assert metric(hub, 'millrace_broker_throttled_total{quota="request_percentage"}') > 0


def test_a_fetch_that_is_woken_uses_time_again(hub):
    """One that waits for more than comes is looked at anew with each record, on its own account."""
    topic = struct.pack(">i", 1) + string("t") + struct.pack(">iiqi", 1, 0, 0, 1 << 20)
    many = struct.pack(">iiiib", -1, 60000, 1 << 30, 1 << 20, 0) + topic
    set_quota(hub.control, {"client-id": "app"}, request_percentage=0.01)  # 100 us at once
    with connect(hub) as waiting, connect(hub, "other") as free:
        waiting.request(1, 4, many)
        for _ in range(5000):  # some microseconds each
            assert produce(free) == (0, 0)
            if metric(hub, 'millrace_broker_throttled_total{quota="request_percentage"}') > 0:
                break
        else:
            pytest.fail("waking costs nothing")


def create_topic(connection, name, partitions, version=6, validate_only=False):
    """CreateTopics: (throttle time in ms, error)."""
    if version < 5:
        answer = connection.call(19, version, struct.pack(">i", 1) + string(name) +
                                 struct.pack(">ihii", partitions, 1, 0, 0) +
                                 struct.pack(">ib", 5000, validate_only))
        at = 4 + 4 + 2 + len(name)
    else:
        answer = connection.call(19, version, b"\2" + raw_kafka.compact(name) +
                                 struct.pack(">ih", partitions, 1) + b"\1\1\0" +
                                 struct.pack(">ib", 5000, validate_only) + b"\0", flexible=True)
        at = 4 + 1 + 1 + len(name)
    return struct.unpack(">i", answer[:4])[0], struct.unpack(">h", answer[at:at + 2])[0]


def test_partitions_that_come_and_go(hub):
    """KIP-599: new versions are told by an error, old ones only have to wait."""
    set_quota(hub.control, {"client-id": "app"}, controller_mutation_rate=0.01)
    with connect(hub) as connection:
        for _ in range(3):
            assert create_topic(connection, "a", 100, validate_only=True) == (0, 0)
            assert create_topic(connection, "t", 100) == (0, 36)  # is there: nothing was done
        throttle, error = create_topic(connection, "a", 5)
        assert error == 0 and throttle > 60000
    with connect(hub) as connection:
        throttle, error = create_topic(connection, "b", 1)
        assert error == THROTTLED and throttle > 60000
    with connect(hub) as connection:
        throttle, error = create_topic(connection, "b", 1, version=4)
        assert error == 0 and throttle > 60000
    with connect(hub) as connection:
        answer = connection.call(20, 5, b"\2" + raw_kafka.compact("b") + struct.pack(">i", 5000) + b"\0",
                                 flexible=True)
        assert struct.unpack(">i", answer[:4])[0] > 60000
        assert struct.unpack(">h", answer[7:9])[0] == THROTTLED
    with connect(hub, "other") as connection:
        assert create_topic(connection, "c", 1) == (0, 0)


def test_many_clients(hub):
    """More client ids than are told apart cost bounded memory, and are still limited."""
    set_quota(hub.control, {"client-id": None}, producer_byte_rate=RATE)
    with connect(hub) as connection:
        for i in range(300):
            connection.client_id = f"client-{i}"
            assert produce(connection) == (0, 0)
        assert metric(hub, "millrace_broker_quota_clients") > 0
    wait_until(lambda: metric(hub, "millrace_broker_quota_clients") == 0,
               what="those that are gone to be forgotten")


def test_another_node_slows_down(node, free_port, tmp_path):
    """A peer sink that sends too much waits as it is told; nothing is lost, repeated, or broken off."""
    lines = [f"{i} {random.randbytes(100).hex()}" for i in range(15000)]
    log = tmp_path / "app.log"
    hub = node({"listen": [{"address": f"127.0.0.1:{free_port()}"}], "broker": {"quota_window": "1s"}},
               "hub").start()
    with Connection(str(hub.socket_path)) as control:
        set_quota(control, {"client-id": None}, producer_byte_rate=RATE // 2)
    edge = node({"listen": [], "sources": {"app": {"type": "file", "paths": [str(log)], "topic": "app"}},
                 "sinks": {"hub": {"type": "peer", "topics": ["app"], "nodes": [hub.bootstrap],
                                   "request_timeout": "10s"}}}, "edge")
    log.write_text("".join(line + "\n" for line in lines), encoding="ascii")
    edge.start()

    def arrived():
        done = subprocess.run([*KCAT, "-b", hub.bootstrap, "-t", "app", "-C", "-e", "-q"], timeout=PATIENCE_S,
                              capture_output=True, text=True, check=False)
        return done.stdout.splitlines() == lines
    wait_until(arrived, what="all lines at the hub", poll_s=0.5)
    assert metric(hub, 'millrace_broker_throttled_total{quota="producer_byte_rate"}') > 0
    assert metric(edge, "millrace_client_throttles_total") > 0
    assert metric(edge, "millrace_client_failures_total") == 0
