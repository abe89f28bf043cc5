"""Unmodified Kafka clients against a hub: what is produced is consumed, whole, in order, once.

kcat, kafka-python and librdkafka (confluent-kafka), as Debian packages them. Each has its time-outs, so that a
failure costs seconds.
"""

import threading
import time

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as PyPartition

import raw
from clients import TIMEOUT_S, kcat, new_consumer, new_producer, read, send, values
from node import PATIENCE_S, wait_until

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@pytest.fixture
def hub(node, free_port, tmp_path):
    """A hub with a topic of three partitions, and one that its own source writes."""
    (tmp_path / "app.log").write_text("one\ntwo\n", encoding="utf-8")
    return node({
        "node": {"name": "hub", "id": 1, "run": str(tmp_path / "run")},
        "listen": [{"address": f"127.0.0.1:{free_port()}"}],
        "topics": {"web": {"partitions": 3}},
        "sources": {"app": {"type": "file", "paths": [str(tmp_path / "app.log")], "topic": "app"}},
    }, "hub").start()


# ---- codecs and acks ----

@pytest.mark.parametrize("codec", CODECS)
def test_librdkafka_in_each_codec_idempotently(hub, codec):
    """The batches are stored in the codec they were sent in: no client falls back in silence."""
    expected = [f"{codec} {number} ".encode() * 8 for number in range(20000)]
    send(hub, "web", expected, compression_type=codec, enable_idempotence=True)
    assert values(read(hub, "web")) == expected
    with raw.Peer(hub.ports[0]) as peer:
        if codec == "zstd":  # a client that speaks only Fetch 4 cannot know it (KIP-110)
            assert peer.fetch("web", 0)[0] == 76
        else:
            error, _, data = peer.fetch("web", 0)
            heads = raw.batches(data)
            assert error == 0 and heads[0]["producer_id"] >= 0
            assert {head["attributes"] for head in heads} == {raw.CODECS[codec]}


@pytest.mark.parametrize("codec", CODECS)
def test_kcat_in_each_codec(hub, codec):
    lines = [f"{codec} {number} " * 4 for number in range(5000)]
    done = kcat(hub, "-t", "web", "-p", "1", "-P", "-z", codec, text="\n".join(lines))
    assert done.returncode == 0, done.stderr
    got = kcat(hub, "-t", "web", "-p", "1", "-C", "-o", "beginning", "-e", "-q")
    assert got.stdout.splitlines() == lines


@pytest.mark.parametrize("stored", ["uncompressed", "gzip", "snappy", "lz4", "zstd"])
def test_a_topic_may_name_its_codec(hub, stored):
    """compression.type: whatever producers send, idempotently and many at a time, is stored in the topic's codec."""
    admin = AdminClient({"bootstrap.servers": hub.bootstrap})
    admin.create_topics([NewTopic(stored, 1, 1, config={"compression.type": stored})])[stored].result(TIMEOUT_S)
    expected = []
    for codec in CODECS:
        for size, count in ((10, 50), (700, 2000)):  # small batches are checked where they come in, others by workers
            part = [f"{codec} {number} ".encode() * (size // 10) for number in range(count)]
            send(hub, stored, part, compression_type=codec, enable_idempotence=True)
            expected += part
    assert values(read(hub, stored)) == expected
    heads = raw.batches(next((hub.data / f"{stored}-0").glob("*.log")).read_bytes())
    assert sum(head["count"] for head in heads) == len(expected)
    assert {head["attributes"] for head in heads} == {raw.CODECS.get(stored, 0)}
    assert {head["producer_id"] >= 0 for head in heads} == {True}


@pytest.mark.parametrize("codec", [None, "gzip"])
def test_kafka_python(hub, codec):
    producer = KafkaProducer(bootstrap_servers=hub.bootstrap, compression_type=codec, acks="all",
                             retries=3)
    expected = [b"%d" % number * 5 for number in range(3000)]
    futures = [producer.send("web", value, partition=2) for value in expected]
    producer.flush(TIMEOUT_S)
    assert [future.get(TIMEOUT_S).offset for future in futures] == list(range(len(expected)))
    producer.close(TIMEOUT_S)
    consumer = KafkaConsumer(bootstrap_servers=hub.bootstrap, consumer_timeout_ms=TIMEOUT_S * 1000)
    partition = PyPartition("web", 2)
    consumer.assign([partition])
    consumer.seek_to_beginning()
    assert [next(consumer).value for _ in expected] == expected
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: len(expected)}
    consumer.close()


@pytest.mark.parametrize("acks", [0, 1, -1])
def test_each_kind_of_acknowledgement(hub, acks):
    expected = [b"%d" % number for number in range(2000)]
    send(hub, "web", expected, acks=acks)
    wait_until(lambda: len(read(hub, "web")) == len(expected), what="all records")
    assert values(read(hub, "web")) == expected


# ---- what a record carries ----

def test_keys_headers_and_timestamps_come_back_as_they_went(hub):
    now = int(time.time() * 1000)
    sent = [
        (b"key", b"value", [("a", b"1"), ("a", b"2"), ("empty", b""), ("none", None)], now - 5000),
        (None, b"", [], now - 4000),
        (b"", None, [("ünï", "wörld".encode())], now - 9000),
        (b"k" * 3000, b"\0\xff" * 1000, [(f"h{i}", bytes([i])) for i in range(200)], now),
    ]
    producer = new_producer(hub, compression_type="gzip")
    for key, value, headers, timestamp in sent:
        producer.produce("web", value, key, 0, timestamp=timestamp, headers=headers)
    assert producer.flush(TIMEOUT_S) == 0
    got = [(message.key(), message.value(), message.headers() or [], message.timestamp())
           for message in read(hub, "web")]
    create_time = confluent_kafka.TIMESTAMP_CREATE_TIME
    assert got == [(key, value, headers, (create_time, timestamp))
                   for key, value, headers, timestamp in sent]
    consumer = KafkaConsumer(bootstrap_servers=hub.bootstrap, consumer_timeout_ms=TIMEOUT_S * 1000)
    consumer.assign([PyPartition("web", 0)])
    consumer.seek_to_beginning()
    got = [next(consumer) for _ in sent]
    consumer.close()
    assert [(row.key, row.value, row.headers, row.timestamp) for row in got] == sent


def test_log_append_time_replaces_the_producers(hub):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": hub.bootstrap})
    topic = NewTopic("stamped", 1, 1, config={"message.timestamp.type": "LogAppendTime"})
    admin.create_topics([topic])["stamped"].result(TIMEOUT_S)
    began = int(time.time() * 1000)
    producer = new_producer(hub)
    producer.produce("stamped", b"x", timestamp=1000000000000)
    assert producer.flush(TIMEOUT_S) == 0
    (message,) = read(hub, "stamped")
    kind, timestamp = message.timestamp()
    assert kind == confluent_kafka.TIMESTAMP_LOG_APPEND_TIME
    assert began <= timestamp <= int(time.time() * 1000)


def test_offsets_by_time(hub):
    """The first offset whose timestamp is not before the asked time; past the last one there is none."""
    producer = new_producer(hub)
    base = int(time.time() * 1000) - 100000
    for number in range(100):
        producer.produce("web", b"x", partition=0, timestamp=base + 1000 * number)
        if number % 10 == 9:
            assert producer.flush(TIMEOUT_S) == 0
    consumer = new_consumer(hub)

    def at(timestamp):
        asked = confluent_kafka.TopicPartition("web", 0, timestamp)
        return consumer.offsets_for_times([asked], timeout=TIMEOUT_S)[0].offset

    assert [at(base + 1000 * number) for number in (0, 1, 55, 99)] == [0, 1, 55, 99]
    assert at(0) == 0 and at(base + 54001) == 55
    assert at(base + 99001) == confluent_kafka.OFFSET_END
    assert consumer.get_watermark_offsets(confluent_kafka.TopicPartition("web", 0),
                                          timeout=TIMEOUT_S) == (0, 100)
    consumer.close()
    consumer = KafkaConsumer(bootstrap_servers=hub.bootstrap)
    found = consumer.offsets_for_times({PyPartition("web", 0): base + 54001})
    assert found[PyPartition("web", 0)] == (55, base + 55000)
    assert consumer.offsets_for_times({PyPartition("web", 0): base + 99001}) == \
        {PyPartition("web", 0): None}
    consumer.close()


# ---- sizes ----

def test_messages_up_to_the_limit_are_taken_and_larger_ones_named(hub):
    limit = 1048588  # max.message.bytes, of a whole batch: 61 bytes of header, and some of the record
    big = b"x" * (limit - 61 - 20)
    assert send(hub, "web", [big], message_max_bytes=2000000)[0].offset() == 0
    producer = new_producer(hub, message_max_bytes=2000000)
    errors = []
    producer.produce("web", b"x" * limit, partition=0, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(TIMEOUT_S) == 0
    assert errors[0].code() == confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE
    producer.produce("web", b"small", partition=0)
    assert producer.flush(TIMEOUT_S) == 0
    assert values(read(hub, "web")) == [big, b"small"]


def test_a_message_larger_than_the_fetch_limits_still_comes(hub):
    """The first batch is returned whole whatever the limits (KIP-74), so that no consumer is stuck."""
    expected = [bytes([number]) * 200000 for number in range(10)]
    send(hub, "web", expected)
    got = read(hub, "web", fetch_max_bytes=50000, message_max_bytes=50000, max_partition_fetch_bytes=1000)
    assert values(got) == expected
    with raw.Peer(hub.ports[0]) as peer:
        error, _, data = peer.fetch("web", 0, bytes_max=1000, partition_bytes_max=1000)
        assert error == 0 and len(raw.batches(data)) >= 1


def test_many_large_messages(hub):
    expected = [bytes([number]) * 900000 for number in range(60)]
    send(hub, "web", expected, compression_type="none")
    assert values(read(hub, "web")) == expected


# ---- waiting ----

def test_a_waiting_consumer_gets_a_record_at_once(hub):
    """Fetches wait up to a minute for data; what comes meanwhile is not kept from them."""
    consumer = new_consumer(hub, fetch_wait_max_ms=60000, socket_timeout_ms=180000)
    consumer.assign([confluent_kafka.TopicPartition("web", 0, 0)])
    assert consumer.poll(TIMEOUT_S).error() is not None  # the end of an empty partition
    producer = new_producer(hub, linger_ms=0)
    latencies = []
    for _ in range(20):
        time.sleep(0.05)  # so that the fetch is waiting there
        began = time.monotonic()
        producer.produce("web", b"x", partition=0)
        producer.poll(0)
        message = consumer.poll(TIMEOUT_S)
        while message.error() is not None:
            message = consumer.poll(TIMEOUT_S)
        latencies.append(time.monotonic() - began)
    consumer.close()
    producer.flush(TIMEOUT_S)
    assert max(latencies) < 30, latencies


def test_a_fetch_without_data_waits_as_long_as_it_said(hub):
    with raw.Peer(hub.ports[0]) as peer:
        for wait_ms in (0, 300, 1000):
            began = time.monotonic()
            assert peer.fetch("web", 0, wait_ms=wait_ms) == (0, 0, b"")
            assert wait_ms / 1000 - 0.01 <= time.monotonic() - began


def test_a_fetch_waits_for_its_least_bytes(hub):
    """min.bytes: 3 batches are needed to reach it; a fetch that waits is answered by the third."""
    batch = raw.record_batch(b"y" * 100)
    answers = []
    with raw.Peer(hub.ports[0]) as waiting, raw.Peer(hub.ports[0]) as writing:
        thread = threading.Thread(target=lambda: answers.append(
            waiting.fetch("web", 0, wait_ms=120000, bytes_min=2 * len(batch) + 1)))
        thread.start()
        for count in range(3):
            time.sleep(0.1)
            assert not answers
            assert writing.produce("web", batch) == (0, count)
        thread.join(60)  # half of what it would wait
        assert len(raw.batches(answers[0][2])) == 3


def test_a_fetch_beyond_the_ends_is_out_of_range(hub):
    send(hub, "web", [b"x"] * 5)
    with raw.Peer(hub.ports[0]) as peer:
        assert peer.fetch("web", 5)[0] == 0
        assert peer.fetch("web", 6)[0] == 1
        assert peer.fetch("web", -1)[0] == 1
        assert peer.fetch("web", 0, partition=3)[0] == 3
        assert peer.fetch("nothing", 0)[0] == 3


# ---- life ----

def test_kill_9_between_produce_and_consume(hub):
    expected = []
    for round_number in range(5):
        part = [f"{round_number}-{number}".encode() for number in range(1000)]
        send(hub, "web", part, compression_type="lz4", enable_idempotence=True)
        expected += part
        hub.kill()
        hub.start()
        assert values(read(hub, "web")) == expected


def test_an_idempotent_producer_lives_through_kill_9_in_full_flow(hub):
    """The hub is killed and started three times under it: nothing lost, repeated, or out of order."""
    producer = new_producer(hub, enable_idempotence=True, message_timeout_ms=PATIENCE_S * 1000,
                            retry_backoff_ms=50, reconnect_backoff_max_ms=200)
    errors, count = [], 60000
    stop = threading.Event()

    def kill_and_start():
        for _ in range(3):
            if stop.wait(0.4):
                return
            hub.kill()
            hub.start()

    killer = threading.Thread(target=kill_and_start)
    killer.start()
    for number in range(count):
        while True:
            try:
                producer.produce("web", b"%d" % number, partition=0,
                                 on_delivery=lambda error, _: errors.append(error) if error else None)
                break
            except BufferError:
                producer.poll(0.05)
        if number % 100 == 0:
            producer.poll(0)
            time.sleep(0.003)
    assert producer.flush(PATIENCE_S) == 0 and not errors, errors[:3]
    stop.set()
    killer.join()
    assert values(read(hub, "web")) == [b"%d" % number for number in range(count)]


def test_a_restart_in_peace_keeps_everything_and_clients_come_back(hub):
    producer = new_producer(hub, reconnect_backoff_max_ms=200)
    consumer = new_consumer(hub, reconnect_backoff_max_ms=200)
    consumer.assign([confluent_kafka.TopicPartition("web", 0, 0)])
    got = []
    for number in range(3):
        producer.produce("web", b"%d" % number, partition=0)
        assert producer.flush(TIMEOUT_S) == 0
        deadline = time.monotonic() + TIMEOUT_S
        while len(got) <= number and time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                got.append(message.value())
        hub.stop()
        hub.start()
    consumer.close()
    assert got == [b"0", b"1", b"2"]


# ---- what is refused ----

def test_a_local_topic_refuses_foreign_records_and_serves_its_own(hub):
    wait_until(lambda: len(read(hub, "app")) == 2, what="the lines of the source")
    producer = new_producer(hub)
    errors = []
    producer.produce("app", b"mine", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(TIMEOUT_S) == 0
    assert errors[0].code() == confluent_kafka.KafkaError.POLICY_VIOLATION
    assert values(read(hub, "app")) == [b"one", b"two"]
