"""Fetch, offsets by time and by epoch, deleting records."""

import time

from cases_produce import batch


def fetch(t):
    topic_id = t.create("fe", 2)
    for count in (3, 1, 5):
        t.produce("fe", batch(count, value=b"x" * 100))
    other = t.create("fe-other")
    t.produce("fe-other", batch(2))

    def part(offset=0, most=1 << 20, partition=0, **more):
        return {"partition": partition, "fetch_offset": offset, "partition_max_bytes": most, **more}

    def ask(label, *parts, topic="fe", least=4, most=99, **more):
        def make(v):
            ids = {"fe": topic_id, "fe-other": other}
            row = {"topic_id": ids.get(topic, b"?" * 16)} if v >= 13 else {"topic": topic}
            return {"max_wait_ms": 0, "min_bytes": 1, "topics": [{**row, "partitions": list(parts)}], **more}
        t.each(label, "Fetch", make, least=least, most=most)

    ask("from 0", part())
    ask("from the middle of a batch", part(1))
    ask("from the last", part(8))
    ask("at the end", part(9))
    ask("beyond the end", part(10))
    ask("far beyond", part(1 << 60))
    ask("offset -1", part(-1))
    ask("offset -2", part(-2))
    ask("partition 1, empty", part(partition=1))
    ask("partition 2", part(partition=2))
    ask("partition -1", part(partition=-1))
    ask("unknown topic", part(), topic="fe-none")
    ask("invalid topic", part(), topic="a b", most=12)
    ask("partition twice", part(), part(3))
    ask("two partitions", part(), part(partition=1))
    ask("no partitions")
    ask("1 byte of the partition", part(most=1))
    ask("0 bytes of the partition", part(most=0))
    ask("-1 bytes of the partition", part(most=-1))
    ask("200 bytes of the partition", part(most=200))
    ask("600 bytes of the partition", part(most=600))
    ask("1 byte in all", part(), max_bytes=1)
    ask("0 bytes in all", part(), max_bytes=0)
    ask("-1 bytes in all", part(), max_bytes=-1)
    ask("read committed", part(), isolation_level=1)
    ask("read committed, at the end", part(9), isolation_level=1)
    ask("read committed, empty", part(partition=1), isolation_level=1)
    ask("isolation level 2", part(), isolation_level=2)
    ask("isolation level -1", part(), isolation_level=-1)
    ask("epoch 0", part(current_leader_epoch=0), least=9)
    ask("epoch 5", part(current_leader_epoch=5), least=9)
    ask("epoch -2", part(current_leader_epoch=-2), least=9)
    ask("last fetched epoch 0", part(5, last_fetched_epoch=0), least=12)
    ask("last fetched epoch 0, beyond the end", part(50, last_fetched_epoch=0), least=12)
    ask("last fetched epoch 7", part(5, last_fetched_epoch=7), least=12)
    ask("log start offset said", part(0, log_start_offset=3), least=5)
    ask("unknown rack", part(), least=11, rack_id="nowhere")
    ask("session 0, epoch 0 wanted", part(), least=7, session_epoch=-1, session_id=0)
    ask("session 77, epoch 1", part(), least=7, session_id=77, session_epoch=1)
    ask("session 77, epoch -1", part(), least=7, session_id=77, session_epoch=-1)
    ask("session 77, epoch 0", part(), least=7, session_id=77, session_epoch=0)
    ask("session 0, epoch 1", part(), least=7, session_id=0, session_epoch=1)
    ask("minimum is 0", part(9), min_bytes=0)
    ask("minimum is -1", part(9), min_bytes=-1)
    ask("wait -1", part(9), max_wait_ms=-1)
    ask("waits", part(9), max_wait_ms=50, least=11)
    ask("minimum larger than all there is", part(), max_wait_ms=50, min_bytes=1 << 20, least=11)
    ask("other cluster", part(), least=12, cluster_id="someone else")
    t.each("no topics", "Fetch", lambda v: {"max_wait_ms": 0, "topics": []})
    for v in (7, 12, 13):
        row = {"topic_id": topic_id} if v >= 13 else {"topic": "fe"}
        two = {"topic_id": other} if v >= 13 else {"topic": "fe-other"}
        t.ask("forgotten without a session", "Fetch", v, max_wait_ms=0, topics=[{**row, "partitions": [part()]}],
              forgotten_topics_data=[{**row, "partitions": [0]}])
        t.ask("same topic in two rows", "Fetch", v, max_wait_ms=0, topics=[
            {**row, "partitions": [part(3)]}, {**row, "partitions": [part(8)]}])
        t.ask("two topics, room for one batch", "Fetch", v, max_wait_ms=0, max_bytes=1, topics=[
            {**row, "partitions": [part()]}, {**two, "partitions": [part()]}])
        t.ask("two topics, one is wrong", "Fetch", v, max_wait_ms=0, topics=[
            {**row, "partitions": [part(100)]}, {**two, "partitions": [part()]}])
    for v, replica in ((11, {"replica_id": 9}), (15, {"replica_state": {"replica_id": 9, "replica_epoch": 1}}),
                       (11, {"replica_id": -2}), (11, {"replica_id": -3})):
        row = {"topic_id": topic_id} if v >= 13 else {"topic": "fe"}
        t.ask(f"as replica {replica}", "Fetch", v, max_wait_ms=0, topics=[{**row, "partitions": [part()]}], **replica)
    t.ask("zero id", "Fetch", 13, max_wait_ms=0, topics=[{"topic_id": bytes(16), "partitions": [part()]}])
    t.ask("zero id, full session", "Fetch", 13, max_wait_ms=0, session_epoch=0,
          topics=[{"topic_id": bytes(16), "partitions": [part()]}])
    t.fresh()


def list_offsets(t):
    t.create("lo", 2)
    t.produce("lo", batch(3, times=(1600000000000, 1600000000000)))
    t.produce("lo", batch(2, times=(1600000005000, 1600000005000)))
    t.produce("lo", batch(2, times=(1600000003000, 1600000003000)))

    def ask(label, timestamp, topic="lo", partition=0, least=1, **more):
        epoch = more.pop("epoch", -1)
        t.each(label, "ListOffsets", lambda v: {"replica_id": -1, "topics": [{"name": topic, "partitions": [
            {"partition_index": partition, "timestamp": timestamp, "current_leader_epoch": epoch}]}], **more},
               least=least)

    for timestamp in (-1, -2, -3, -4, -5, -6, -7, -100, 0, 1, 1600000000000, 1600000000001, 1600000003000,
                      1600000005000, 1600000005001, 1 << 62):
        ask(f"time {timestamp}", timestamp)
        ask(f"time {timestamp}, empty", timestamp, partition=1)
    ask("unknown topic", -1, topic="lo-none")
    ask("invalid topic", -1, topic="a b")
    ask("empty topic", -1, topic="")
    ask("partition 2", -1, partition=2)
    ask("partition -1", -1, partition=-1)
    ask("epoch 0", -1, epoch=0, least=4)
    ask("epoch 4", -1, epoch=4, least=4)
    ask("epoch 4, empty time", 0, epoch=4, least=4)
    ask("epoch -3", -1, epoch=-3, least=4)
    ask("read committed", -1, isolation_level=1, least=2)
    ask("read committed, largest time", -3, isolation_level=1, least=7)
    ask("isolation level 5", -1, isolation_level=5, least=2)
    t.each("no topics", "ListOffsets", replica_id=-1, topics=[])
    for v in (1, 5, 9):
        row = {"partition_index": 0, "timestamp": -1}
        for label, rows in (("twice", [row, row]), ("twice, other time", [row, {**row, "timestamp": -2}]),
                            ("two partitions", [{**row, "partition_index": 1}, row]), ("no partitions", [])):
            t.ask(label, "ListOffsets", v, replica_id=-1, topics=[{"name": "lo", "partitions": rows}])
        for replica in (-2, -3, 5):
            t.ask(f"replica {replica}", "ListOffsets", v, replica_id=replica,
                  topics=[{"name": "lo", "partitions": [row]}])


def leader_epochs(t):
    t.create("le", 2)
    t.produce("le", batch(3))
    for v in t.range("OffsetForLeaderEpoch"):
        for label, row in (("epoch 0", {"leader_epoch": 0}), ("epoch 5", {"leader_epoch": 5}),
                           ("epoch -1", {"leader_epoch": -1}), ("epoch -5", {"leader_epoch": -5}),
                           ("partition 1, empty", {"partition": 1, "leader_epoch": 0}),
                           ("partition 1, epoch -1", {"partition": 1, "leader_epoch": -1}),
                           ("partition 2", {"partition": 2, "leader_epoch": 0}),
                           ("partition -1", {"partition": -1, "leader_epoch": 0}),
                           ("current epoch 0", {"leader_epoch": 0, "current_leader_epoch": 0}),
                           ("current epoch 7", {"leader_epoch": 0, "current_leader_epoch": 7}),
                           ("current epoch -4", {"leader_epoch": 0, "current_leader_epoch": -4})):
            t.ask(label, "OffsetForLeaderEpoch", v, topics=[{"topic": "le", "partitions": [row]}])
        for label, topics in (("unknown topic", [{"topic": "le-none", "partitions": [{"leader_epoch": 0}]}]),
                              ("invalid topic", [{"topic": "a b", "partitions": [{"leader_epoch": 0}]}]),
                              ("twice", [{"topic": "le", "partitions": [{"leader_epoch": 0}] * 2}]),
                              ("topic twice", [{"topic": "le", "partitions": [{"leader_epoch": 0}]}] * 2),
                              ("no partitions", [{"topic": "le", "partitions": []}]), ("none", [])):
            t.ask(label, "OffsetForLeaderEpoch", v, topics=topics)
        if v >= 3:
            t.ask("replica -2", "OffsetForLeaderEpoch", v, replica_id=-2,
                  topics=[{"topic": "le", "partitions": [{"leader_epoch": 0}]}])


def delete_records(t):
    for v in t.range("DeleteRecords"):
        topic = f"dr-{v}"
        t.create(topic, 2)
        for place in range(4):
            t.produce(topic, batch(5, times=(1600000000000 + place,) * 2))

        def ask(label, *rows, name=topic):
            t.ask(label, "DeleteRecords", v, timeout_ms=10000, topics=[{"name": name, "partitions": [
                {"partition_index": index, "offset": offset} for index, offset in rows]}])

        ask("to 7", (0, 7))
        ask("back to 3", (0, 3))
        ask("the same", (0, 7))
        ask("beyond the end", (0, 21))
        ask("offset -2", (0, -2))
        ask("partition 2", (2, 0))
        ask("partition -1", (-1, 0))
        ask("partition 1, empty, to 0", (1, 0))
        ask("partition 1, empty, to the end", (1, -1))
        ask("partition 1, empty, to 1", (1, 1))
        ask("unknown topic", (0, 1), name="dr-none")
        ask("invalid topic", (0, 1), name="a b")
        ask("twice", (0, 8), (0, 9))
        ask("no partitions")
        t.ask("no topics", "DeleteRecords", v, timeout_ms=10000, topics=[])
        for label, offset in (("below the start", 2), ("at the start", 9), ("above", 12)):
            answer = t.send("Fetch", 12, {"max_wait_ms": 0, "topics": [{"topic": topic, "partitions": [
                {"fetch_offset": offset, "partition_max_bytes": 1 << 20}]}]})
            t.keep(f"Fetch: after DeleteRecords, {label}", v, answer)
        for timestamp in (-1, -2, -3, -4, 0):
            answer = t.send("ListOffsets", 8, {"replica_id": -1, "topics": [{"name": topic, "partitions": [
                {"timestamp": timestamp}]}]})
            if isinstance(answer, dict):
                answer["topics"][0]["partitions"][0]["timestamp"] = \
                    answer["topics"][0]["partitions"][0]["timestamp"] > 0
            t.keep(f"ListOffsets: after DeleteRecords, time {timestamp}", v, answer)
        ask("to the end", (0, -1))
        answer = t.send("Fetch", 12, {"max_wait_ms": 0, "topics": [{"topic": topic, "partitions": [
            {"fetch_offset": 20, "partition_max_bytes": 1 << 20}]}]})
        t.keep("Fetch: after DeleteRecords of all", v, answer)
        for timestamp in (-1, -2, -3, 0):
            answer = t.send("ListOffsets", 8, {"replica_id": -1, "topics": [{"name": topic, "partitions": [
                {"timestamp": timestamp}]}]})
            t.keep(f"ListOffsets: after DeleteRecords of all, time {timestamp}", v, answer)
    t.create("dr-compacted", cleanup_policy="compact")
    t.produce("dr-compacted", batch(5, key=b"k"))
    t.ask("compacted topic", "DeleteRecords", 2, timeout_ms=10000, topics=[
        {"name": "dr-compacted", "partitions": [{"partition_index": 0, "offset": 2}]}])


def waiting(t):
    """That a Fetch waits, and that a produce ends the wait; the time is looked at, not compared."""
    t.create("wa")
    began = time.monotonic()
    t.send("Fetch", 12, {"max_wait_ms": 300, "min_bytes": 1, "topics": [
        {"topic": "wa", "partitions": [{"fetch_offset": 0, "partition_max_bytes": 1000}]}]})
    t.keep("Fetch: waits for its time", 12, time.monotonic() - began >= 0.29)


CASES = [fetch, list_offsets, leader_epochs, delete_records, waiting]
