"""Unmodified Kafka clients as administrators: topics, settings, offsets, and what is refused."""

import struct
import time

import confluent_kafka
import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic
from kafka import KafkaConsumer
from kafka import TopicPartition as PyPartition
from kafka.admin import ConfigResource as PyConfigResource
from kafka.admin import ConfigResourceType, KafkaAdminClient
from kafka.admin import NewPartitions as PyNewPartitions
from kafka.admin import NewTopic as PyNewTopic
from kafka.structs import OffsetAndMetadata

import raw
from clients import TIMEOUT_S, kcat, new_consumer, new_producer, read, send, values
from node import files_below, run, wait_until


def config_of(free_port, tmp_path, **broker):
    (tmp_path / "app.log").write_text("one\ntwo\n", encoding="utf-8")
    return {
        "node": {"name": "hub", "id": 7, "run": str(tmp_path / "run")},
        "listen": [{"address": f"127.0.0.1:{free_port()}"}],
        "topics": {"web": {"partitions": 3}},
        "broker": broker,
        "sources": {"app": {"type": "file", "paths": [str(tmp_path / "app.log")], "topic": "app"}},
    }


@pytest.fixture
def hub(node, free_port, tmp_path):
    return node(config_of(free_port, tmp_path), "hub").start()


@pytest.fixture
def admin(hub):
    return AdminClient({"bootstrap.servers": hub.bootstrap})


def result(futures):
    (future,) = futures.values()
    return future.result(TIMEOUT_S)


def failure(futures):
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        result(futures)
    return caught.value.args[0].code()


def topics_of(admin):
    """Without the node's own: they come when it has something to write there."""
    return {name: len(topic.partitions)
            for name, topic in admin.list_topics(timeout=TIMEOUT_S).topics.items()
            if not name.startswith("__")}


def settings_of(admin, name, kind="topic"):
    return {key: row.value
            for key, row in result(admin.describe_configs([ConfigResource(kind, name)])).items()}


# ---- topics ----

def test_librdkafka_creates_grows_and_deletes_topics(hub, admin):
    result(admin.create_topics([NewTopic("made", 2, 1)]))
    assert topics_of(admin)["made"] == 2
    result(admin.create_partitions([NewPartitions("made", 5)]))
    wait_until(lambda: topics_of(admin)["made"] == 5, what="five partitions")
    for partition in range(5):
        send(hub, "made", [b"%d" % partition], partition=partition)
        assert values(read(hub, "made", partition)) == [b"%d" % partition]
    assert failure(admin.create_partitions([NewPartitions("made", 5)])) == KafkaError.INVALID_PARTITIONS
    assert failure(admin.create_partitions([NewPartitions("none", 5)])) == \
        KafkaError.UNKNOWN_TOPIC_OR_PART
    result(admin.delete_topics(["made"]))
    assert "made" not in topics_of(admin)
    assert failure(admin.delete_topics(["made"])) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_topic_made_again_is_empty_and_its_old_files_are_gone(hub, admin):
    for round_number in range(3):
        result(admin.create_topics([NewTopic("again", 1, 1)]))
        assert send(hub, "again", [b"%d" % round_number])[0].offset() == 0
        assert values(read(hub, "again")) == [b"%d" % round_number]
        result(admin.delete_topics(["again"]))
    wait_until(lambda: not [path for path in files_below(hub.data) if path.match("again-0/*.log")], what="no files of it")
    hub.kill()
    hub.start()
    assert "again" not in topics_of(admin)


@pytest.mark.parametrize("topic, error", [
    (NewTopic("web", 1, 1), KafkaError.TOPIC_ALREADY_EXISTS),
    (NewTopic("two words", 1, 1), KafkaError.TOPIC_EXCEPTION),
    (NewTopic("..", 1, 1), KafkaError.TOPIC_EXCEPTION),
    (NewTopic("x" * 250, 1, 1), KafkaError.TOPIC_EXCEPTION),
    (NewTopic("a", 1, 3), KafkaError.INVALID_REPLICATION_FACTOR),
    (NewTopic("a", 100000, 1), KafkaError.INVALID_PARTITIONS),
    (NewTopic("a", 1, 1, config={"no.such": "1"}), KafkaError.INVALID_CONFIG),
    (NewTopic("a", 1, 1, config={"retention.ms": "soon"}), KafkaError.INVALID_CONFIG),
    (NewTopic("a", replica_assignment=[[9]], num_partitions=1), KafkaError.INVALID_REPLICA_ASSIGNMENT),
])
def test_a_topic_that_cannot_be_is_refused_with_its_reason(admin, topic, error):
    before = topics_of(admin)
    assert failure(admin.create_topics([topic])) == error
    assert topics_of(admin) == before


def test_a_creation_can_be_tried(admin):
    result(admin.create_topics([NewTopic("dry", 1, 1)], validate_only=True))
    assert "dry" not in topics_of(admin)


def test_kafka_python_creates_grows_configures_and_deletes_topics(hub):
    admin = KafkaAdminClient(bootstrap_servers=hub.bootstrap)
    admin.create_topics([PyNewTopic("made", 2, 1, topic_configs={"retention.ms": "60000"})])
    assert {"made", "web", "app"} <= set(admin.list_topics())
    admin.create_partitions({"made": PyNewPartitions(4)})
    assert len(admin.describe_topics(["made"])[0]["partitions"]) == 4
    admin.alter_configs([PyConfigResource(ConfigResourceType.TOPIC, "made", {"retention.ms": "70000"})])
    answer = admin.describe_configs([PyConfigResource(ConfigResourceType.TOPIC, "made")])[0]
    assert {row[0]: row[1] for row in answer.resources[0][4]}["retention.ms"] == "70000"
    admin.delete_topics(["made"])
    assert "made" not in admin.list_topics()
    assert admin.describe_cluster()["brokers"][0]["node_id"] == 7
    admin.close()


def test_two_hundred_topics_at_once(hub, admin):
    names = [f"many-{number}" for number in range(200)]
    futures = admin.create_topics([NewTopic(name, 2, 1) for name in names])
    for future in futures.values():
        future.result(TIMEOUT_S)
    assert {name for name in topics_of(admin) if name.startswith("many-")} == set(names)
    producer = new_producer(hub)
    for name in names:
        producer.produce(name, name.encode(), partition=1)
    assert producer.flush(TIMEOUT_S) == 0
    hub.stop()
    hub.start()
    for name in names[::50]:
        assert values(read(hub, name, 1)) == [name.encode()]
    for future in admin.delete_topics(names).values():
        future.result(TIMEOUT_S)
    assert not [name for name in topics_of(admin) if name.startswith("many-")]


def test_a_topic_of_many_partitions_does_not_keep_others_waiting(hub, admin):
    """Its directories cost some milliseconds each: the hub serves meanwhile, and the topic is whole after a
    kill in the middle of it."""
    admin.list_topics(timeout=TIMEOUT_S)
    futures = admin.create_topics([NewTopic("wide", 1000, 1)])
    with raw.Peer(hub.ports[0]) as peer:
        slowest, started = 0, time.monotonic()
        while not futures["wide"].done():
            began = time.monotonic()
            peer.api_versions()
            slowest = max(slowest, time.monotonic() - began)
        took = time.monotonic() - started
    result(futures)
    assert slowest < max(took / 2, 1), f"another client waited {slowest} of {took} s"
    send(hub, "wide", [b"last"], partition=999)
    assert values(read(hub, "wide", 998)) == []
    hub.kill()
    hub.start()
    assert values(read(hub, "wide", 999)) == [b"last"]
    send(hub, "wide", [b"first"])


# ---- settings ----

def test_settings_are_read_changed_and_kept(hub, admin):
    result(admin.alter_configs([ConfigResource("topic", "web", set_config={
        "retention.ms": "123456", "max.message.bytes": "5000"})]))
    settings = settings_of(admin, "web")
    assert (settings["retention.ms"], settings["max.message.bytes"]) == ("123456", "5000")
    producer = new_producer(hub)
    errors = []
    producer.produce("web", b"x" * 6000, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(TIMEOUT_S) == 0
    assert errors[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    hub.kill()
    hub.start()
    assert settings_of(admin, "web")["retention.ms"] == "123456"
    result(admin.alter_configs([ConfigResource("topic", "web", set_config={"segment.ms": "100000"})]))
    settings = settings_of(admin, "web")
    assert settings["segment.ms"] == "100000"
    assert settings["max.message.bytes"] == "1048588", "AlterConfigs sets all that it does not name back"


def test_a_wrong_setting_changes_nothing(admin):
    before = settings_of(admin, "web")
    for wrong in ({"retention.ms": "-2"}, {"cleanup.policy": "burn"}, {"no.such": "1"},
                  {"retention.ms": "5", "segment.bytes": "x"}):
        assert failure(admin.alter_configs([ConfigResource("topic", "web", set_config=wrong)])) == \
            KafkaError.INVALID_CONFIG
    assert failure(admin.describe_configs([ConfigResource("topic", "none")])) == \
        KafkaError.UNKNOWN_TOPIC_OR_PART
    assert settings_of(admin, "web") == before


def test_the_node_describes_its_own_settings(admin):
    settings = settings_of(admin, "7", "broker")
    assert settings["node.id"] == "7"


# ---- metadata, and topics that come by themselves ----

def test_the_cluster_is_this_node(hub, admin):
    metadata = admin.list_topics(timeout=TIMEOUT_S)
    (broker,) = metadata.brokers.values()
    assert (broker.id, broker.host, broker.port) == (7, "127.0.0.1", hub.ports[0])
    assert metadata.controller_id == 7 and len(metadata.cluster_id) == 22
    partition = metadata.topics["web"].partitions[0]
    assert (partition.leader, partition.replicas, partition.isrs) == (7, [7], [7])
    text = kcat(hub, "-L").stdout
    assert 'topic "web" with 3 partitions' in text and "1 brokers:" in text


def test_lists_that_java_reads_without_looking_are_not_null(hub):
    """DescribeTopicPartitions: the lists of KIP-966 are nullable, and Kafka's tools fall over a null."""
    with raw.Peer(hub.ports[0]) as peer:
        # Compact: one topic, at most 10 partitions, no cursor; each structure ends with its tags.
        body = peer.call(75, 0, b"\x02" + b"\x04web\0" + struct.pack(">i", 10) + b"\xff" + b"\0", flexible=True)
    node = b"\x02" + struct.pack(">i", 7)
    for index in range(3):
        at = body.index(struct.pack(">hii", 0, index, 7)) + 2 + 4 + 4 + 4
        assert body[at:at + 10] == node + node, "replicas and those in sync"
        assert body[at + 10:at + 14] == b"\x01\x01\x01\0", "empty: eligible, last known, offline; no tags"


def test_who_asks_for_a_topic_creates_it_or_not_as_configured(node, free_port, tmp_path):
    """A producer's question creates it; a consumer's says that it must not (and the broker may say no)."""
    willing = node(config_of(free_port, tmp_path, partitions=2), "willing").start()
    send(willing, "fresh", [b"x"], partition=1)
    admin = AdminClient({"bootstrap.servers": willing.bootstrap})
    assert topics_of(admin)["fresh"] == 2
    with raw.Peer(willing.ports[0]) as peer:
        assert peer.metadata_error("unasked", may_create=False) == 3
    assert "unasked" not in topics_of(admin)
    error = admin.list_topics("two words", timeout=TIMEOUT_S).topics["two words"].error
    assert error.code() == KafkaError.TOPIC_EXCEPTION

    strict = node(config_of(free_port, tmp_path, auto_create_topics=False), "strict").start()
    producer = new_producer(strict, topic_metadata_propagation_max_ms=500)
    errors = []
    producer.produce("fresh", b"x", on_delivery=lambda error, _: errors.append(error.code()))
    assert producer.flush(TIMEOUT_S) == 0
    assert errors == [KafkaError._UNKNOWN_TOPIC] or errors == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    assert "fresh" not in topics_of(AdminClient({"bootstrap.servers": strict.bootstrap}))


# ---- offsets ----

def test_committed_offsets_are_fetched_and_live_through_kill_9(hub):
    send(hub, "web", [b"x"] * 10)
    consumer = new_consumer(hub, group_id="g")
    partition = confluent_kafka.TopicPartition("web", 0)
    assert consumer.committed([partition], TIMEOUT_S)[0].offset == confluent_kafka.OFFSET_INVALID
    for offset in (4, 7):
        consumer.commit(offsets=[confluent_kafka.TopicPartition("web", 0, offset)], asynchronous=False)
        hub.kill()
        hub.start()
        assert consumer.committed([partition], TIMEOUT_S)[0].offset == offset
    consumer.assign([confluent_kafka.TopicPartition("web", 0, confluent_kafka.OFFSET_STORED)])
    deadline = time.monotonic() + TIMEOUT_S
    message = None
    while message is None and time.monotonic() < deadline:
        message = consumer.poll(1)
    assert message.offset() == 7
    consumer.close()
    other = new_consumer(hub, group_id="other")
    assert other.committed([partition], TIMEOUT_S)[0].offset == confluent_kafka.OFFSET_INVALID
    other.close()


def test_kafka_python_commits_with_metadata(hub):
    send(hub, "web", [b"x"] * 10)
    options = {"bootstrap_servers": hub.bootstrap, "group_id": "py", "enable_auto_commit": False}
    partition = PyPartition("web", 0)
    consumer = KafkaConsumer(**options)
    consumer.assign([partition])
    assert consumer.committed(partition) is None
    consumer.commit({partition: OffsetAndMetadata(6, "why")})
    consumer.close()
    consumer = KafkaConsumer(**options, consumer_timeout_ms=TIMEOUT_S * 1000)
    consumer.assign([partition])
    assert consumer.committed(partition, metadata=True) == OffsetAndMetadata(6, "why")
    assert next(consumer).offset == 6
    consumer.close()
    admin = KafkaAdminClient(bootstrap_servers=hub.bootstrap)
    assert admin.list_consumer_group_offsets("py") == {partition: OffsetAndMetadata(6, "why")}
    assert "py" in {row[0] for row in admin.list_consumer_groups()}
    admin.delete_consumer_groups(["py"])
    assert admin.list_consumer_group_offsets("py").get(partition, OffsetAndMetadata(-1, "")).offset == -1
    admin.close()


# ---- records that are deleted ----

def test_deleted_records_are_not_read_again(hub):
    send(hub, "web", [b"%d" % number for number in range(100)])
    with raw.Peer(hub.ports[0]) as peer:
        assert peer.delete_records("web", 40) == (40, 0)
        assert peer.fetch("web", 39)[0] == 1
        assert peer.delete_records("web", 101) == (-1, 1)
        assert peer.delete_records("web", 20) == (40, 0)
        assert peer.delete_records("app", 1)[1] == 44, "a local topic: POLICY_VIOLATION"
        assert peer.delete_records("none", 1)[1] == 3
    consumer = new_consumer(hub)
    partition = confluent_kafka.TopicPartition("web", 0)
    assert consumer.get_watermark_offsets(partition, timeout=TIMEOUT_S) == (40, 100)
    consumer.close()
    expected = [b"%d" % number for number in range(40, 100)]
    assert values(read(hub, "web", start=confluent_kafka.OFFSET_BEGINNING)) == expected
    hub.kill()
    hub.start()
    assert values(read(hub, "web", start=confluent_kafka.OFFSET_BEGINNING)) == expected
    with raw.Peer(hub.ports[0]) as peer:
        assert peer.delete_records("web", -1) == (100, 0)  # to the end
        assert peer.produce("web", raw.record_batch(b"next")) == (0, 100)


# ---- what is on the disk is Kafka's ----

def test_dump_reads_what_clients_wrote(hub):
    send(hub, "web", [b"x" * 100] * 1000, compression_type="lz4", enable_idempotence=True)
    (log,) = hub.data.glob("**/web-0/*.log")
    heads = raw.batches(log.read_bytes())
    assert sum(head["count"] for head in heads) == 1000
    assert {head["attributes"] for head in heads} == {raw.CODECS["lz4"]}
    done = run("dump", log)
    assert done.returncode == 0 and "lz4" in done.stdout, done.stderr
