"""Produce, with batches that are wrong in each way; producer ids and what is remembered of them."""

import struct
import time
import zlib

from judge import raw, schema

PLAIN = {"timeout_ms": 10000}


def batch(count=1, value=b"v", attributes=0, producer=(-1, -1, -1), said=None, last=None, crc=None,
          length=None, magic=2, base_offset=0, records=None, times=None, behind=b"", epoch=-1, deltas=None,
          codec=None, key=None, headers=b"\0"):
    """A record batch; what is given is said, true or not."""
    if records is None:
        records = b""
        for place in range(count):
            body = b"\0" + raw.varint(0) + raw.varint(deltas[place] if deltas else place) + \
                (raw.varint(-1) if key is None else raw.varint(len(key)) + key) + \
                raw.varint(len(value)) + value + headers
            records += raw.varint(len(body)) + body
    if codec is not None:
        records = codec(records)
    first, latest = times or (int(time.time() * 1000),) * 2
    covered = struct.pack(">hiqqqhii", attributes, count - 1 if last is None else last, first, latest,
                          *producer, count if said is None else said) + records
    crc = raw.crc32c(covered) if crc is None else crc
    length = len(covered) + 9 if length is None else length
    return struct.pack(">qiibI", base_offset, length, epoch, magic, crc) + covered + behind


def old_message(magic, value=b"v"):
    body = struct.pack(">bb", magic, 0) + (struct.pack(">q", 0) if magic else b"") + \
        struct.pack(">ii", -1, len(value)) + value
    return struct.pack(">qiI", 0, len(body) + 4, zlib.crc32(body)) + body


def gzip(data):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def raw_snappy(data):
    """One literal of a raw snappy block."""
    assert len(data) <= 60
    return raw_varint(len(data)) + bytes([(len(data) - 1) << 2]) + data


def raw_varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def to(topic, *records, partition=0, acks=-1, transactional_id=None, topic_id=None):
    row = {"topic_id": topic_id} if topic_id else {"name": topic}
    return {"acks": acks, "timeout_ms": 10000, "transactional_id": transactional_id, "topic_data": [
        {**row, "partition_data": [{"index": partition, "records": one} for one in records]}]}


def requests(t):
    """What the request says besides the batch."""
    for v in t.range("Produce"):
        topic_id = t.create(f"pr-{v}", 2)

        def ask(label, values):
            t.ask(label, "Produce", v, **values)

        name, ident = f"pr-{v}", topic_id if v >= 13 else None
        ask("one", to(name, batch(), topic_id=ident))
        ask("acks 1", to(name, batch(3), acks=1, topic_id=ident))
        ask("acks 2", to(name, batch(), acks=2, topic_id=ident))
        ask("acks -2", to(name, batch(), acks=-2, topic_id=ident))
        ask("unknown topic", to("pr_none", batch(), topic_id=b"?" * 16 if ident else None))
        if not ident:
            ask("invalid topic", to("a b", batch()))
            ask("empty topic", to("", batch()))
        else:
            ask("zero id", to("", batch(), topic_id=bytes(16)))
        for partition in (2, -1, 2147483647):
            ask(f"partition {partition}", to(name, batch(), partition=partition, topic_id=ident))
        ask("no topics", {"acks": -1, **PLAIN, "topic_data": []})
        ask("no partitions", to(name, topic_id=ident))
        if v == 9:  # Kafka does not answer
            ask("null records", to(name, None))
        ask("empty records", to(name, b"", topic_id=ident))
        ask("partition twice", to(name, batch(), batch(2), topic_id=ident))
        ask("two batches", to(name, batch() + batch(), topic_id=ident))
        good, bad = to(name, batch(), topic_id=ident), to(name, batch(crc=1), partition=1, topic_id=ident)
        ask("one good, one bad topic row", {"acks": -1, **PLAIN, "topic_data":
                                            good["topic_data"] + bad["topic_data"]})
        ask("transactional id", to(name, batch(), transactional_id="tx", topic_id=ident))
        ask("empty transactional id", to(name, batch(), transactional_id="", topic_id=ident))
        t.fresh()


BAD = {
    "checksum": lambda: batch(crc=1),
    "magic 0": lambda: old_message(0),
    "magic 1": lambda: old_message(1),
    "magic 3": lambda: batch(magic=3),
    "magic -1": lambda: batch(magic=-1),
    "said magic 1": lambda: batch(magic=1),
    "length too small": lambda: batch(length=48),
    "length 0": lambda: batch(length=0),
    "length negative": lambda: batch(length=-5),
    "length too large": lambda: batch(length=5000),
    "cut": lambda: batch()[:-3],
    "a few bytes": lambda: b"\0" * 7,
    "sixteen bytes": lambda: b"\0" * 16,
    "bytes behind": lambda: batch(behind=b"\0\0\0"),
    "codec 5": lambda: batch(attributes=5),
    "codec 6": lambda: batch(attributes=6),
    "codec 7": lambda: batch(attributes=7),
    "said gzip, is not": lambda: batch(attributes=1),
    "said snappy, is not": lambda: batch(attributes=2),
    "said lz4, is not": lambda: batch(attributes=3),
    "said zstd, is not": lambda: batch(attributes=4),
    "gzip, cut": lambda: batch(attributes=1, codec=lambda data: gzip(data)[:-9]),
    "more said than there": lambda: batch(2, said=3, last=2),
    "less said than there": lambda: batch(3, said=2, last=1),
    "count and delta differ": lambda: batch(2, said=2, last=5),
    "count negative": lambda: batch(1, said=-1),
    "no records": lambda: batch(0, said=0, last=-1),
    "no records, last delta 0": lambda: batch(0, said=0, last=0),
    "last delta negative": lambda: batch(1, last=-1),
    "offset deltas from 1": lambda: batch(2, deltas=[1, 2], last=2),
    "offset deltas equal": lambda: batch(2, deltas=[0, 0]),
    "offset deltas falling": lambda: batch(2, deltas=[1, 0]),
    "offset deltas with a gap": lambda: batch(2, deltas=[0, 2], last=2),
    "offset delta negative": lambda: batch(1, deltas=[-1]),
    "control": lambda: batch(attributes=32),
    "control with producer": lambda: batch(attributes=32, producer=(5, 0, 0)),
    "transactional without producer": lambda: batch(attributes=16),
    "transactional": lambda: batch(attributes=16, producer=(7777, 0, 0)),
    "delete horizon": lambda: batch(attributes=64),
    "append time": lambda: batch(attributes=8),
    "unused attributes": lambda: batch(attributes=0x4000),
    "unused attribute 7": lambda: batch(attributes=0x80),
    "far in the future": lambda: batch(times=(4102444800000, 4102444800000)),
    "from 1970": lambda: batch(times=(0, 0)),
    "time -1": lambda: batch(times=(-1, -1)),
    "time -5": lambda: batch(times=(-5, -5)),
    "largest time is wrong": lambda: batch(times=(1600000000000, 1500000000000)),
    "record longer than the batch": lambda: batch(records=raw.varint(4000) + b"\0\0\0\1\0\0"),
    "record length negative": lambda: batch(records=raw.varint(-7) + b"\0\0\0\1\0\0"),
    "key longer than the record": lambda: batch(records=raw.varint(6) + b"\0\0\0\x7f\0\0"),
    "value longer than the record": lambda: batch(records=raw.varint(6) + b"\0\0\0\1\x7f\0"),
    "headers negative": lambda: batch(records=raw.varint(7) + b"\0\0\0\1\2x" + raw.varint(-1)),
    "header key null": lambda: batch(headers=raw.varint(1) + raw.varint(-1) + raw.varint(-1)),
    "header value null": lambda: batch(headers=raw.varint(1) + raw.varint(1) + b"h" + raw.varint(-1)),
    "same header twice": lambda: batch(headers=raw.varint(2) + (raw.varint(1) + b"h" + raw.varint(1) + b"x") * 2),
    "bytes behind in the record": lambda: batch(records=raw.varint(9) + b"\0\0\0\1\2x\0\0\0"),
    "record attributes": lambda: batch(records=raw.varint(7) + b"\x7f\0\0\1\2x\0"),
    "bytes behind the records": lambda: batch(records=raw.varint(7) + b"\0\0\0\1\2x\0" + b"\0\0"),
    "leader epoch said": lambda: batch(epoch=77),
    "base offset said": lambda: batch(base_offset=55),
    "base offset negative": lambda: batch(base_offset=-9),
    "producer without epoch": lambda: batch(producer=(6000, -1, 0)),
    "producer without sequence": lambda: batch(producer=(6001, 0, -1)),
    "epoch without producer": lambda: batch(producer=(-1, 3, -1)),
    "sequence without producer": lambda: batch(producer=(-1, -1, 3)),
    "producer -2": lambda: batch(producer=(-2, -1, -1)),
    "too large": lambda: batch(value=b"x" * 1100000),
    "snappy as one block": lambda: batch(attributes=2, codec=raw_snappy),
    "gzip": lambda: batch(3, attributes=1, codec=gzip),
    "null value": lambda: batch(records=raw.varint(6) + b"\0\0\0\1\1\0"),
}


def bad_batches(t):
    for place, (label, make) in enumerate(BAD.items()):
        topic = f"bad-{place}"
        t.create(topic)
        t.ask(f"batch: {label}", "Produce", 9, **to(topic, make()))
        after(t, f"batch: {label}", topic)
    t.create("bad-compacted", cleanup_policy="compact")
    t.ask("no key on a compacted topic", "Produce", 9, **to("bad-compacted", batch(2)))
    t.ask("empty key on a compacted topic", "Produce", 9, **to("bad-compacted", batch(2, key=b"")))
    t.create("bad-time", message_timestamp_type="LogAppendTime")
    answer = t.send("Produce", 9, to("bad-time", batch(2, times=(5, 5))))
    part = answer["responses"][0]["partition_responses"][0]
    part["log_append_time_ms"] = part["log_append_time_ms"] > 1e12
    t.keep("Produce: append time", 9, answer)
    after(t, "append time", "bad-time")
    t.create("bad-small", max_message_bytes="100")
    for size in (20, 200):
        t.ask(f"batch with {size} bytes, 100 are allowed", "Produce", 9, **to("bad-small", batch(value=b"x" * size)))
    for v in t.range("Produce"):
        if v < 13:
            t.create(f"bad-zstd-{v}")
            t.ask("zstd said", "Produce", v, **to(f"bad-zstd-{v}", batch(attributes=4)))
            t.ask("checksum", "Produce", v, **to(f"bad-zstd-{v}", batch(crc=1)))
            t.ask("far in the future", "Produce", v,
                  **to(f"bad-zstd-{v}", batch(2, times=(4102444800000, 4102444800000))))


def after(t, label, topic):
    """What the log has then."""
    answer = t.send("Fetch", 12, {"max_wait_ms": 0, "min_bytes": 0, "topics": [
        {"topic": topic, "partitions": [{"fetch_offset": 0, "partition_max_bytes": 1 << 20}]}]})
    t.keep(f"Produce: log after {label}", 12, answer if isinstance(answer, str) else
           answer["responses"][0]["partitions"])


def unanswered(t):
    """acks=0: nothing comes back, or the end."""
    t.create("quiet", 2)
    for label, values in (("good", to("quiet", batch(), acks=0)),
                          ("bad checksum", to("quiet", batch(crc=1), acks=0)),
                          ("unknown topic", to("quiet-none", batch(), acks=0)),
                          ("unknown partition", to("quiet", batch(), partition=9, acks=0))):
        t.fresh()
        key, request, _ = schema.APIS["Produce"]
        body = b"\0" + schema.encode(request.name, 9, values)
        t.peer.send(raw.frame(key, 9, 7, body) + raw.frame(18, 0, 8, b""))
        answer = t.peer.receive()
        t.keep(f"Produce: acks 0, {label}", 9, "CLOSED" if answer is None else f"answer to {answer[0]}")
    t.fresh()


def sequences(t):
    """The rules of the idempotent producer."""
    def steps(topic, *rows):
        t.create(topic)
        for place, (label, producer, count) in enumerate(rows):
            t.ask(f"{topic} {place}: {label}", "Produce", 9, **to(topic, batch(count, producer=producer)))
        answer = t.send("DescribeProducers", 0, {"topics": [{"name": topic, "partition_indexes": [0]}]})
        for one in answer["topics"][0]["partitions"][0]["active_producers"] or []:
            one["last_timestamp"] = one["last_timestamp"] > 0
        t.keep(f"DescribeProducers: after {topic}", 0, answer)

    steps("seq-dup", *[(f"batch {i}", (100, 0, i), 1) for i in range(7)],
          *[(f"again {i}", (100, 0, i), 1) for i in (6, 5, 4, 3, 2, 1, 0)], ("next", (100, 0, 7), 1))
    steps("seq-gap", ("first", (100, 0, 0), 2), ("gap", (100, 0, 3), 1), ("right", (100, 0, 2), 1),
          ("partly again", (100, 0, 1), 2), ("again with other length", (100, 0, 0), 1))
    steps("seq-first", ("first is 5", (100, 0, 5), 1), ("then 6", (100, 0, 6), 1), ("then 0", (100, 0, 0), 1))
    steps("seq-epoch", ("epoch 3", (100, 3, 0), 1), ("older epoch", (100, 2, 0), 1),
          ("newer epoch, not 0", (100, 4, 1), 1), ("newer epoch, 0", (100, 4, 0), 1),
          ("old epoch, next", (100, 3, 1), 1), ("next", (100, 4, 1), 1),
          ("again of the older epoch", (100, 3, 0), 1))
    steps("seq-wrap", ("last number", (100, 0, 2147483647), 1), ("zero", (100, 0, 0), 1),
          ("one", (100, 0, 1), 1))
    steps("seq-wrap-inside", ("three over the end", (100, 0, 2147483646), 3), ("one", (100, 0, 1), 1),
          ("again", (100, 0, 2147483646), 3))
    steps("seq-two", ("a", (100, 0, 0), 1), ("b", (101, 0, 0), 1), ("a", (100, 0, 1), 1),
          ("b gap", (101, 0, 2), 1))
    steps("seq-large-id", ("id", (2**62 - 1, 32767, 0), 1), ("next", (2**62 - 1, 32767, 1), 1))
    for _ in range(100):  # until Kafka has ids to give
        answer = t.send("InitProducerId", 3, {"transactional_id": None, "transaction_timeout_ms": 60000})
        if answer["error_code"] != 14:
            break
        time.sleep(0.1)
    for v in t.range("InitProducerId"):
        for label, values in (("plain", {}), ("timeout 0", {"transaction_timeout_ms": 0}),
                              ("timeout -1", {"transaction_timeout_ms": -1})):
            answer = t.send("InitProducerId", v, {"transactional_id": None,
                                                       "transaction_timeout_ms": 60000, **values})
            if isinstance(answer, dict) and answer["producer_id"] >= 0:
                answer["producer_id"] = "an id"
            t.keep(f"InitProducerId: {label}", v, answer)
        for label, values in (("id without name", {"producer_id": 5, "producer_epoch": 0}),
                              ("id without epoch", {"producer_id": 5, "producer_epoch": -1}),
                              ("epoch without id", {"producer_epoch": 1}),
                              ("empty name", {"transactional_id": ""})):
            if v >= 3 or "name" in label and "id" not in label:
                answer = t.send("InitProducerId", v, {"transactional_id": None,
                                                       "transaction_timeout_ms": 60000, **values})
                if isinstance(answer, dict) and answer["producer_id"] >= 0:
                    answer["producer_id"] = "an id"
                t.keep(f"InitProducerId: {label}", v, answer)


def describe_producers(t):
    t.create("dp")
    for label, topics in (("none yet", [{"name": "dp", "partition_indexes": [0]}]),
                          ("unknown topic", [{"name": "dp-none", "partition_indexes": [0, 1]}]),
                          ("unknown partition", [{"name": "dp", "partition_indexes": [7, -1]}]),
                          ("invalid name", [{"name": "a b", "partition_indexes": [0]}]),
                          ("no partitions", [{"name": "dp", "partition_indexes": []}]),
                          ("twice", [{"name": "dp", "partition_indexes": [0, 0]}]), ("none", [])):
        t.ask(label, "DescribeProducers", 0, topics=topics)


CASES = [requests, bad_batches, unanswered, sequences, describe_producers]
