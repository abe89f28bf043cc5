"""Bad input gets a clear end and costs nothing else: each test breaks something on a connection of its own
and then asks over another whether the broker is as it was."""

import socket
import struct

import pytest

from broker import Broker
from raw import frame, produce_body, record_batch

PRODUCE, METADATA, API_VERSIONS = 0, 3, 18


@pytest.fixture
def broker(tmp_path):
    made = Broker(tmp_path / "data", topic="web:1", request_max=1000000, memory=2000000)
    yield made
    with made.connect() as peer:
        assert ask_versions(peer) == 0, "the broker still serves"
    made.finish()


def ask_versions(peer):
    """The error of an answer that is certain."""
    return struct.unpack(">h", peer.call(API_VERSIONS, 0, b"")[:2])[0]


def produce(peer, batch):
    """The error code of the one partition."""
    return peer.produce("web", batch)[0]


@pytest.mark.parametrize("batch, error", [
    (record_batch(), 0),
    (record_batch(crc=1), 2),
    (record_batch(length=10), 2),
    (record_batch(magic=1), 43),
    (record_batch(attributes=7), 76),
    (record_batch(attributes=4), 2),
    (record_batch() + record_batch(), 87),
    (b"", 87),
])
def test_a_bad_batch_is_answered_with_its_error(broker, batch, error):
    with broker.connect() as peer:
        got = produce(peer, batch)
        assert got == error or (error and got in (2, 87, 76)), got
        assert produce(peer, record_batch()) == 0, "the connection goes on"


def test_a_request_before_api_versions_is_fine(broker):
    with broker.connect() as peer:
        assert produce(peer, record_batch()) == 0


def test_an_unknown_version_of_api_versions_is_answered_with_error_35(broker):
    with broker.connect() as peer:
        peer.send(frame(API_VERSIONS, 99, 5, b""))
        got_id, body = peer.receive()
        assert (got_id, struct.unpack(">hihhh", body)) == (5, (35, 1, 18, 0, 4))
        assert ask_versions(peer) == 0


@pytest.mark.parametrize("data", [
    frame(1234, 0, 1, b""),                                # unknown API
    frame(METADATA, 99, 1, b""),                           # unknown version
    frame(PRODUCE, 2, 1, b""),                             # shown, but refused
    frame(METADATA, 1, 1, struct.pack(">i", 0x7FFFFFFF)),  # a count beyond the bytes
    struct.pack(">i", -5) + b"xxxx",
    struct.pack(">i", 0),
    struct.pack(">i", 1000001) + b"x" * 100,               # above the limit
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"z" * 600,
])
def test_what_cannot_be_understood_closes_its_connection(broker, data):
    with broker.connect() as peer:
        peer.send(data)
        assert peer.receive() is None


def test_bytes_behind_a_whole_request_are_left_alone_as_kafka_does(broker):
    """librdkafka 2.8 sends three of them with a Metadata request for all topics."""
    with broker.connect() as peer:
        peer.send(frame(METADATA, 1, 7, struct.pack(">i", 0) + b"\0\0\0"))
        got_id, _ = peer.receive()
        assert got_id == 7
        assert ask_versions(peer) == 0


def test_half_a_request_and_silence_is_closed(tmp_path):
    broker = Broker(tmp_path / "data", idle_ms=1500)
    for part in (b"\0\0", frame(METADATA, 1, 1, b"\0\0\0\0")[:-1],
                 struct.pack(">i", 900000) + b"x" * 400000):
        with broker.connect() as peer:
            peer.send(part)
            assert peer.receive() is None
    broker.finish()


def test_answers_come_in_order_when_requests_are_pipelined_and_cut(broker):
    """Requests of several kinds, sent as one byte string in small pieces."""
    data = b""
    for i in range(300):
        kind = i % 3
        data += frame(API_VERSIONS, 0, i, b"") if kind == 0 else \
            frame(METADATA, 1, i, struct.pack(">i", 0)) if kind == 1 else \
            frame(PRODUCE, 3, i, produce_body("web", record_batch(b"%d" % i)))
    with broker.connect() as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), 777):
            peer.send(data[at:at + 777])
        assert [peer.receive()[0] for _ in range(300)] == list(range(300))


def test_no_answer_to_acks_0_and_a_refusal_closes(broker):
    with broker.connect() as peer:
        peer.send(frame(PRODUCE, 3, 1, produce_body("web", record_batch(), acks=0)))
        assert ask_versions(peer) == 0
        peer.send(frame(PRODUCE, 3, 2, produce_body("web", record_batch(crc=1), acks=0)))
        assert peer.receive() is None


def test_half_read_frames_do_not_wait_for_each_others_memory(broker):
    """More bytes of started requests than the memory limit: all are finished in the end."""
    data = frame(PRODUCE, 3, 1, produce_body("web", record_batch(b"y" * 900000)))
    peers = [broker.connect() for _ in range(8)]
    for peer in peers:
        peer.send(data[:300000])
    for peer in peers:
        peer.send(data[300000:])
    for peer in peers:
        assert peer.receive()[0] == 1
        peer.socket.close()


def test_an_end_without_reading_the_answers_costs_nothing(broker):
    for _ in range(20):
        with broker.connect() as peer:
            peer.send(frame(METADATA, 1, 1, struct.pack(">i", -1)) * 200)


def test_ten_thousand_connections(broker):
    """All are taken, one more is served, and they end together."""
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10000, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 200), hard))
    peers = []
    try:
        for _ in range(count):
            peers.append(broker.connect())
        assert ask_versions(peers[-1]) == 0
        with broker.connect() as peer:
            assert produce(peer, record_batch()) == 0
    finally:
        for peer in peers:
            peer.socket.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
