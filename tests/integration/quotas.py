"""Client quotas by the Kafka protocol: DescribeClientQuotas and AlterClientQuotas, version 0."""

import functools
import struct

from raw import produce_body, record_batch
from raw_kafka import string

DESCRIBE_QUOTAS, ALTER_QUOTAS = 48, 49
EXACT, DEFAULT, ANY = 0, 1, 2


def nullable(text):
    return struct.pack(">h", -1) if text is None else string(text)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values[0] if len(values) == 1 else values

    def text(self):
        size = self.take(">h")
        self.at += max(size, 0)
        return None if size < 0 else self.data[self.at - size:self.at].decode()


def alter(connection, *entries, validate_only=False):
    """entries: (entity {type: name or None}, rates {name: value or None}). Returns (error, words) of each."""
    body = struct.pack(">i", len(entries))
    for entity, rates in entries:
        items = entity.items() if isinstance(entity, dict) else entity
        body += struct.pack(">i", len(items))
        for kind, name in items:
            body += string(kind) + nullable(name)
        items = rates.items() if isinstance(rates, dict) else rates
        body += struct.pack(">i", len(items))
        for key, value in items:
            body += string(key) + struct.pack(">d?", value or 0, value is None)
    answer = Reader(connection.call(ALTER_QUOTAS, 0, body + struct.pack(">?", validate_only)))
    answer.take(">i")
    results = []
    for _ in range(answer.take(">i")):
        results.append((answer.take(">h"), answer.text()))
        for _ in range(answer.take(">i")):
            answer.text()
            answer.text()
    assert answer.at == len(answer.data)
    return results


def set_quota(connection, entity, **rates):
    assert alter(connection, (entity, rates)) == [(0, None)]


def describe(connection, *components, strict=False):
    """components: (type, match, name). Returns (error, {entity: rates}) with entity as sorted pairs."""
    body = struct.pack(">i", len(components))
    for kind, match, name in components:
        body += string(kind) + struct.pack(">b", match) + nullable(name)
    answer = Reader(connection.call(DESCRIBE_QUOTAS, 0, body + struct.pack(">?", strict)))
    answer.take(">i")
    error, found = answer.take(">h"), {}
    answer.text()
    for _ in range(max(answer.take(">i"), 0)):
        entity = tuple(sorted(((answer.text(), answer.text()) for _ in range(answer.take(">i"))),
                              key=str))
        found[entity] = {answer.text(): answer.take(">d") for _ in range(answer.take(">i"))}
    assert answer.at == len(answer.data)
    return error, found


VALUE_SIZE = 50000


@functools.lru_cache(None)
def produce_request(acks=1, topic="t"):
    """A Produce body of a little more than VALUE_SIZE bytes; made once, as the checksum is slow."""
    return produce_body(topic, record_batch(b"v" * VALUE_SIZE), acks)


def produce(connection, topic="t"):
    """Produce 3: (error, throttle time in ms)."""
    answer = connection.call(0, 3, produce_request(topic=topic))
    return struct.unpack(">h", answer[14 + len(topic):16 + len(topic)])[0], \
        struct.unpack(">i", answer[-4:])[0]


def fetch(connection, offset=0, bytes_max=1 << 20, topic="t", wait_ms=0):
    """Fetch 4: (error, throttle time in ms, bytes of records)."""
    answer = connection.call(1, 4, struct.pack(">iiiib", -1, wait_ms, 1, bytes_max, 0) +
                             struct.pack(">i", 1) + string(topic) +
                             struct.pack(">iiqi", 1, 0, offset, bytes_max))
    throttle, = struct.unpack(">i", answer[:4])
    at = 4 + 4 + 2 + len(topic) + 4 + 4
    return struct.unpack(">h", answer[at:at + 2])[0], throttle, len(answer) - at - 26
