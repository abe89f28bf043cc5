"""Kafka's bytes by hand, for what no client would send: frames, record batches, a few requests."""

import socket
import struct
import time

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


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = number * 2 if number >= 0 else -number * 2 - 1
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


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
    """One connection."""

    def __init__(self, port, timeout_s=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.correlation_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _exactly(self, size):
        data = bytearray()
        while len(data) < size:
            try:
                part = self.socket.recv(size - len(data))
            except ConnectionResetError:
                return None
            if not part:
                return None
            data += part
        return bytes(data)

    def receive(self):
        """One response: (correlation id, body), or None when the connection has ended."""
        prefix = self._exactly(4)
        data = prefix and self._exactly(struct.unpack(">i", prefix)[0])
        return data and (struct.unpack(">i", data[:4])[0], data[4:])

    def ask(self, api_key, version, body):
        """The body of the answer to a request."""
        self.correlation_id += 1
        self.send(frame(api_key, version, self.correlation_id, body))
        answer = self.receive()
        assert answer is not None, "the connection was closed instead of an answer"
        assert answer[0] == self.correlation_id
        return answer[1]

    def ask_flexible(self, api_key, version, body):
        """The same with headers that have tags, of which there are none."""
        answer = self.ask(api_key, version, b"\0" + body)
        assert answer[:1] == b"\0"
        return answer[1:]

    def produce(self, topic, batch, acks=1, partition=0):
        """(error, base offset)"""
        body = self.ask(PRODUCE, 3, produce_body(topic, batch, acks, partition))
        at = 4 + 2 + len(topic) + 4 + 4
        return struct.unpack(">hq", body[at:at + 10])

    def fetch(self, topic, offset, version=4, partition=0, wait_ms=0, bytes_max=1 << 20,
              partition_bytes_max=1 << 20, bytes_min=1):
        """(error, high watermark, record bytes) by Fetch 4: what the oldest clients send."""
        assert version == 4
        body = struct.pack(">iiiib", -1, wait_ms, bytes_min, bytes_max, 0) + struct.pack(">i", 1) + \
            string(topic) + struct.pack(">iiqi", 1, partition, offset, partition_bytes_max)
        answer = self.ask(FETCH, 4, body)
        at = 4 + 4 + 2 + len(topic) + 4 + 4
        error, high_watermark, _, aborted = struct.unpack(">hqqi", answer[at:at + 22])
        assert aborted <= 0
        size, = struct.unpack(">i", answer[at + 22:at + 26])
        return error, high_watermark, answer[at + 26:at + 26 + max(size, 0)]

    def delete_records(self, topic, offset, partition=0):
        """(low watermark, error)"""
        body = struct.pack(">i", 1) + string(topic) + struct.pack(">iiqi", 1, partition, offset, 5000)
        answer = self.ask(DELETE_RECORDS, 0, body)
        at = 4 + 4 + 2 + len(topic) + 4 + 4
        return struct.unpack(">qh", answer[at:at + 10])

    def metadata_error(self, topic, may_create):
        """The error of the one topic that is asked for."""
        body = self.ask(METADATA, 4, struct.pack(">i", 1) + string(topic) + bytes([may_create]))
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
        body = self.ask(API_VERSIONS, 0, b"")
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
