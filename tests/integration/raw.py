"""Kafka's bytes by hand, for what no client would send: frames, record batches, a few requests. The one client
of this kind: `raw_kafka` adds how one logs in, `broker` has it from Broker.connect(), `schema` makes bodies."""

import socket
import struct
import time

from node import PATIENCE_S

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, DELETE_RECORDS = 0, 1, 2, 3, 18, 21
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BATCH_HEAD = ">qiibIhiqqqhii"


def frame(api_key, version, correlation_id, body, client_id=b"raw"):
    """A request with a version 1 header."""
    head = struct.pack(">hhih", api_key, version, correlation_id, len(client_id)) + client_id
    return struct.pack(">i", len(head) + len(body)) + head + body


def string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def crc_row(value):
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


CRC_ROWS = [crc_row(value) for value in range(256)]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC_ROWS[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def unsigned(number):
    """A varint of lengths and counts."""
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def varint(number):
    """One of records, where small negative numbers are short."""
    return unsigned(number * 2 if number >= 0 else -number * 2 - 1)


def compact(data):
    """Compact string or bytes: the length plus one, then the bytes."""
    data = data.encode() if isinstance(data, str) else data
    return unsigned(len(data) + 1) + data


def record_batch(value=b"x", count=1, magic=2, attributes=0, crc=None, length=None, records=None,
                 timestamp_ms=None, said_count=None):
    """A batch of `count` equal records; what is given else than None is a lie to be told."""
    if records is None:
        records = b""
        for delta in range(count):
            body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
            records += varint(len(body)) + body
    now = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    said = count if said_count is None else said_count
    covered = struct.pack(">hiqqqhii", attributes, said - 1, now, now, -1, -1, -1, said) + records
    crc = crc32c(covered) if crc is None else crc
    length = len(covered) + 9 if length is None else length
    return struct.pack(">qiibI", 0, length, -1, magic, crc) + covered


def produce_body(topic, batch, acks=1, partition=0):
    return struct.pack(">hhii", -1, acks, 5000, 1) + string(topic) + \
        struct.pack(">iii", 1, partition, len(batch)) + batch


class Peer:
    """One connection: to a port of this host, to (host, port), or to a Unix socket by its path; perhaps from
    another of the host's own addresses."""

    def __init__(self, where, timeout_s=PATIENCE_S, source=None, client_id="raw"):
        self.client_id = client_id
        self.socket = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
        self.socket.settimeout(timeout_s)
        if source is not None:
            self.socket.bind((source, 0))
        self.connect(("127.0.0.1", where) if isinstance(where, int) else where)
        self.correlation_id = 0

    def connect(self, address):
        """A node's own socket is there a moment after its ports are."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.socket.connect(address)
            except (ConnectionRefusedError, FileNotFoundError):
                if not isinstance(address, str) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_frame(self, payload):
        """What stands behind a length: a request, or a bare token."""
        self.send(struct.pack(">i", len(payload)) + payload)

    def read_exactly(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError("the node has closed the connection")
            data += part
        return bytes(data)

    def read_frame(self):
        return self.read_exactly(struct.unpack(">i", self.read_exactly(4))[0])

    def is_closed(self):
        """Whether nothing more comes but the end."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def receive(self):
        """One response: (correlation id, body), or None when the connection has ended."""
        try:
            data = self.read_frame()
        except (EOFError, ConnectionResetError):
            return None
        return struct.unpack(">i", data[:4])[0], data[4:]

    def request(self, api_key, version, body, flexible=False):
        """Sends a request, and leaves the answer for later."""
        self.correlation_id += 1
        self.send(frame(api_key, version, self.correlation_id, (b"\0" if flexible else b"") + body,
                        self.client_id.encode()))

    def call(self, api_key, version, body, flexible=False):
        """The answer to a request behind its header; with `flexible` headers have tags, of which there are
        none. EOFError: the connection was closed instead."""
        self.request(api_key, version, body, flexible)
        answer = self.read_frame()
        assert struct.unpack(">i", answer[:4])[0] == self.correlation_id
        assert not flexible or answer[4:5] == b"\0"
        return answer[5:] if flexible else answer[4:]

    def produce(self, topic, batch, acks=1, partition=0):
        """(error, base offset)"""
        body = self.call(PRODUCE, 3, produce_body(topic, batch, acks, partition))
        at = 4 + 2 + len(topic) + 4 + 4
        return struct.unpack(">hq", body[at:at + 10])

    def fetch(self, topic, offset, version=4, partition=0, wait_ms=0, bytes_max=1 << 20,
              partition_bytes_max=1 << 20, bytes_min=1):
        """(error, high watermark, record bytes) by Fetch 4: what the oldest clients send."""
        assert version == 4
        body = struct.pack(">iiiib", -1, wait_ms, bytes_min, bytes_max, 0) + struct.pack(">i", 1) + \
            string(topic) + struct.pack(">iiqi", 1, partition, offset, partition_bytes_max)
        answer = self.call(FETCH, 4, body)
        at = 4 + 4 + 2 + len(topic) + 4 + 4
        error, high_watermark, _, aborted = struct.unpack(">hqqi", answer[at:at + 22])
        assert aborted <= 0
        size, = struct.unpack(">i", answer[at + 22:at + 26])
        return error, high_watermark, answer[at + 26:at + 26 + max(size, 0)]

    def delete_records(self, topic, offset, partition=0):
        """(low watermark, error)"""
        body = struct.pack(">i", 1) + string(topic) + struct.pack(">iiqi", 1, partition, offset, 5000)
        answer = self.call(DELETE_RECORDS, 0, body)
        at = 4 + 4 + 2 + len(topic) + 4 + 4
        return struct.unpack(">qh", answer[at:at + 10])

    def metadata_error(self, topic, may_create):
        """The error of the one topic that is asked for."""
        body = self.call(METADATA, 4, struct.pack(">i", 1) + string(topic) + bytes([may_create]))
        at = 4  # throttle time; then the nodes: id, host, port, rack
        count, = struct.unpack(">i", body[at:at + 4])
        at += 4
        for _ in range(count):
            host, = struct.unpack(">h", body[at + 4:at + 6])
            at += 6 + host + 4
            rack, = struct.unpack(">h", body[at:at + 2])
            at += 2 + max(rack, 0)
        cluster, = struct.unpack(">h", body[at:at + 2])
        at += 2 + max(cluster, 0) + 4 + 4
        return struct.unpack(">h", body[at:at + 2])[0]

    def api_versions(self):
        """{key: (min, max)}"""
        body = self.call(API_VERSIONS, 0, b"")
        error, count = struct.unpack(">hi", body[:6])
        assert error == 0
        rows = [struct.unpack(">hhh", body[6 + 6 * i:12 + 6 * i]) for i in range(count)]
        return {key: (low, high) for key, low, high in rows}


def batches(data):
    """The heads of the batches in it: dictionaries. A cut last one is left out."""
    names = ("base_offset", "length", "leader_epoch", "magic", "crc", "attributes", "last_delta",
             "base_timestamp", "max_timestamp", "producer_id", "producer_epoch", "sequence", "count")
    found = []
    while len(data) >= 61:
        head = dict(zip(names, struct.unpack(BATCH_HEAD, data[:61])))
        if len(data) < head["length"] + 12:
            break
        found.append(head)
        data = data[head["length"] + 12:]
    return found
