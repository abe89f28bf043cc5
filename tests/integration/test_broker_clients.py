"""Unmodified clients against the broker: kcat, kafka-python, librdkafka by confluent-kafka."""

import subprocess
import time

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient, ConfigResource
from confluent_kafka.admin import NewPartitions as ConfluentPartitions
from confluent_kafka.admin import NewTopic as ConfluentTopic
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource as PyResource
from kafka.admin import ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic

from broker import Broker
from node import KCAT, PATIENCE_S

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@pytest.fixture
def broker(tmp_path):
    made = Broker(tmp_path / "data", local="app", topic="web:3")
    yield made
    made.finish()


def kcat(broker, *arguments, text=None):
    return subprocess.run([*KCAT, "-b", broker.address, *arguments], input=text, text=True,
                          capture_output=True, timeout=PATIENCE_S, check=False)


def confluent_read(broker, topic, count, partition=0):
    """The values from the start of a partition, until the end of it."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.address, "group.id": "reader",
                                         "enable.auto.commit": False, "enable.partition.eof": True})
    consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0)])
    values = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is not None:
            assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
            if len(values) >= count:
                break
        elif message is not None:
            values.append(message.value())
    consumer.close()
    return values


def test_kcat_produces_lists_and_reads_back(broker):
    lines = [f"line {i}" for i in range(1000)]
    assert kcat(broker, "-t", "web", "-p", "1", "-P", text="\n".join(lines)).returncode == 0
    got = kcat(broker, "-t", "web", "-p", "1", "-C", "-o", "beginning", "-e", "-q")
    assert got.stdout.splitlines() == lines
    assert 'topic "web" with 3 partitions' in kcat(broker, "-L").stdout


@pytest.mark.parametrize("codec", CODECS)
def test_librdkafka_writes_idempotently_in_each_codec(broker, codec):
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.address, "linger.ms": 5,
                                         "compression.type": codec, "enable.idempotence": True})
    errors = []
    expected = [f"{codec} {i} ".encode() * 8 for i in range(5000)]
    for value in expected:
        producer.produce("ck", value, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(PATIENCE_S) == 0
    assert [error for error in errors if error] == []
    assert confluent_read(broker, "ck", len(expected)) == expected


@pytest.mark.parametrize("codec", [None, "gzip"])
def test_kafka_python_produces_and_consumes(broker, codec):
    producer = KafkaProducer(bootstrap_servers=broker.address, compression_type=codec, acks="all")
    expected = [b"%d" % i * 5 for i in range(2000)]
    for value in expected:
        producer.send("py", value)
    producer.flush()
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=broker.address, consumer_timeout_ms=PATIENCE_S * 1000)
    partition = TopicPartition("py", 0)
    consumer.assign([partition])
    consumer.seek_to_beginning()
    assert [next(consumer).value for _ in expected] == expected
    assert consumer.end_offsets([partition]) == {partition: len(expected)}
    consumer.close()


def test_kafka_python_administers_topics(broker):
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.create_topics([NewTopic("a1", 3, 1, topic_configs={"retention.ms": "1000"})])
    assert "a1" in admin.list_topics()
    rows = admin.describe_configs([PyResource(ConfigResourceType.TOPIC, "a1")])[0].resources[0][4]
    assert {row[0]: row[1] for row in rows}["retention.ms"] == "1000"
    admin.create_partitions({"a1": NewPartitions(5)})
    consumer = KafkaConsumer(bootstrap_servers=broker.address)
    assert consumer.partitions_for_topic("a1") == {0, 1, 2, 3, 4}
    consumer.close()
    admin.delete_topics(["a1"])
    assert "a1" not in admin.list_topics()
    admin.close()


def result(futures):
    return list(futures.values())[0].result(PATIENCE_S)


def failure(futures):
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        result(futures)
    return caught.value.args[0]


def test_librdkafka_administers_topics(broker):
    admin = AdminClient({"bootstrap.servers": broker.address})
    result(admin.create_topics([ConfluentTopic("c1", 2, 1, config={"cleanup.policy": "compact"})]))
    error = confluent_kafka.KafkaError
    assert failure(admin.create_topics([ConfluentTopic("c1", 2, 1)])).code() == \
        error.TOPIC_ALREADY_EXISTS
    assert failure(admin.create_topics([ConfluentTopic("no spaces", 1, 1)])).code() == \
        error.TOPIC_EXCEPTION
    assert failure(admin.create_topics([ConfluentTopic("r3", 1, 3)])).code() == \
        error.INVALID_REPLICATION_FACTOR
    assert failure(admin.create_topics([ConfluentTopic("x", 1, 1, config={"no.such": "1"})])
                   ).code() == error.INVALID_CONFIG
    settings = result(admin.describe_configs([ConfigResource("topic", "c1")]))
    assert settings["cleanup.policy"].value == "compact"
    result(admin.alter_configs([ConfigResource("topic", "c1", set_config={"retention.ms": "7"})]))
    settings = result(admin.describe_configs([ConfigResource("topic", "c1")]))
    assert settings["retention.ms"].value == "7"
    assert settings["cleanup.policy"].value == "delete", "AlterConfigs replaces all"
    assert result(admin.describe_configs([ConfigResource("broker", "1")]))["node.id"].value == "1"
    result(admin.create_partitions([ConfluentPartitions("c1", 4)]))
    assert failure(admin.create_partitions([ConfluentPartitions("c1", 1)])).code() == \
        error.INVALID_PARTITIONS
    assert len(admin.list_topics(timeout=PATIENCE_S).topics["c1"].partitions) == 4
    result(admin.delete_topics(["c1"]))
    assert "c1" not in admin.list_topics(timeout=PATIENCE_S).topics


def test_a_local_topic_refuses_foreign_records(broker):
    assert "Policy violation" in kcat(broker, "-t", "app", "-P", text="mine").stderr
    assert "UNKNOWN" not in kcat(broker, "-t", "app", "-C", "-o", "beginning", "-e").stderr


def test_transactions_are_refused_at_once(broker):
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.address,
                                         "transactional.id": "t"})
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        producer.init_transactions(PATIENCE_S)
    assert caught.value.args[0].fatal()


def test_offsets_by_time_and_committed_offsets_survive_a_kill(broker):
    """Records, topic settings and committed offsets are there after kill -9, twice."""
    kcat(broker, "-t", "web", "-p", "0", "-P", text="a\nb\nc")
    for expected in (1, 2):
        consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.address,
                                             "group.id": "g", "enable.auto.commit": False})
        partition = confluent_kafka.TopicPartition("web", 0, expected)
        consumer.commit(offsets=[partition], asynchronous=False)
        assert consumer.get_watermark_offsets(partition, timeout=PATIENCE_S) == (0, 3)
        since = confluent_kafka.TopicPartition("web", 0, int(time.time() * 1000) - 3600000)
        assert consumer.offsets_for_times([since], timeout=PATIENCE_S)[0].offset == 0
        consumer.close()
        broker.kill()
        broker.start()
        consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.address, "group.id": "g"})
        assert consumer.committed([partition], timeout=PATIENCE_S)[0].offset == expected
        consumer.close()
    assert confluent_read(broker, "web", 3) == [b"a", b"b", b"c"]
