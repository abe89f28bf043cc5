"""Answers as Apache Kafka 4.1 gives them, where millrace once gave others. What is here was found by
tests/interop/differential, which asks both."""

import struct

import pytest

import raw
import schema

INVALID_TOPIC, UNSUPPORTED_VERSION, POLICY_VIOLATION, INVALID_CONFIG, INVALID_REQUEST = 17, 35, 44, 40, 42
UNKNOWN_TOPIC, CORRUPT, INVALID_RECORD, OUT_OF_RANGE, FENCED = 3, 2, 87, 1, 74


@pytest.fixture
def peer(node, tmp_path, free_port):
    port = free_port()
    node({"node": {"id": 1, "run": str(tmp_path / "run")},
          "listen": [{"address": f"127.0.0.1:{port}"}]}, "hub").start()
    with raw.Peer(port) as connection:
        yield connection


def ask(peer, api, version, **values):
    """The answer to one request, by the descriptions of queue/wire."""
    key, request, response = schema.APIS[api]
    body = schema.encode(request.name, version, values)
    if version >= request.flexible:
        body = b"\0" + body
    answer = peer.call(key, version, body)
    if version >= response.flexible and api != "ApiVersions":
        answer = answer[1:]
    return schema.decode(response.name, version, answer)


def create(peer, name, partitions=1, **configs):
    answer = ask(peer, "CreateTopics", 7, timeout_ms=10000, topics=[{
        "name": name, "num_partitions": partitions, "replication_factor": 1,
        "configs": [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()]}])
    assert answer["topics"][0]["error_code"] == 0
    return answer["topics"][0]["topic_id"]


def alter(peer, *rows, topic="t", resources=1):
    """The errors of IncrementalAlterConfigs with (name, value, operation) rows."""
    resource = {"resource_type": 2, "resource_name": topic, "configs": [
        {"name": name, "value": value, "config_operation": operation} for name, value, operation in rows]}
    answer = ask(peer, "IncrementalAlterConfigs", 1, resources=[resource] * resources)
    return [row["error_code"] for row in answer["responses"]]


def setting(peer, name, topic="t"):
    answer = ask(peer, "DescribeConfigs", 4, resources=[
        {"resource_type": 2, "resource_name": topic, "configuration_keys": [name]}])
    return answer["results"][0]["configs"][0]["value"]


SET, DELETE, APPEND, SUBTRACT = range(4)


def test_settings_that_are_not_there_change_nothing(peer):
    """No settings at all is a change of nothing, not the end of the node."""
    create(peer, "t")
    assert alter(peer) == [0]
    answer = ask(peer, "AlterConfigs", 2, resources=[{"resource_type": 2, "resource_name": "t"}])
    assert answer["responses"][0]["error_code"] == 0
    assert alter(peer, ("no.such", None, DELETE)) == [0]
    assert alter(peer, ("no.such", "1", SET)) == [INVALID_CONFIG]


def test_lists_are_appended_to_and_subtracted_from(peer):
    create(peer, "t")
    assert alter(peer, ("cleanup.policy", "compact", APPEND)) == [0]
    assert setting(peer, "cleanup.policy") == "delete,compact"
    assert alter(peer, ("cleanup.policy", "compact", APPEND)) == [0]
    assert setting(peer, "cleanup.policy") == "delete,compact"
    assert alter(peer, ("cleanup.policy", "delete", SUBTRACT)) == [0]
    assert setting(peer, "cleanup.policy") == "compact"
    long = ",".join(f"{number}:1" for number in range(2000))
    assert alter(peer, ("leader.replication.throttled.replicas", long, APPEND)) == [0]
    assert setting(peer, "leader.replication.throttled.replicas") == long


def test_values_are_read_as_kafka_reads_them(peer):
    create(peer, "t")
    assert alter(peer, ("retention.ms", " 99 ", SET), ("preallocate", "FALSE", SET)) == [0]
    assert setting(peer, "retention.ms") == "99"
    assert setting(peer, "preallocate") == "false"
    assert alter(peer, ("retention.ms", "1", SET), ("retention.ms", "2", SET)) == [INVALID_REQUEST]
    assert alter(peer, ("retention.ms", "1", SET), resources=2) == [INVALID_REQUEST] * 2
    assert setting(peer, "retention.ms") == "99"
    assert alter(peer, ("retention.ms", "1", SET), topic="a b") == [INVALID_TOPIC]
    assert alter(peer, ("retention.ms", "1", SET), topic="") == [INVALID_REQUEST]


def test_topics_named_twice_are_refused_and_answered_once(peer):
    topic = {"name": "t", "num_partitions": 1, "replication_factor": 1}
    answer = ask(peer, "CreateTopics", 7, timeout_ms=10000, topics=[topic, {**topic, "name": "u"}, topic])
    assert {row["name"]: row["error_code"] for row in answer["topics"]} == {"t": INVALID_REQUEST, "u": 0}
    assert len(answer["topics"]) == 2
    topic_id = create(peer, "t")
    grown = ask(peer, "CreatePartitions", 3, timeout_ms=10000, topics=[
        {"name": "t", "count": count, "assignments": None} for count in (3, 4)])
    assert [row["error_code"] for row in grown["results"]] == [INVALID_REQUEST]
    for topics in ([{"name": "t"}] * 2, [{"name": None, "topic_id": topic_id}, {"name": "t"}]):
        gone = ask(peer, "DeleteTopics", 6, timeout_ms=10000, topics=topics)
        assert [row["error_code"] for row in gone["responses"]] == [INVALID_REQUEST]
    assert ask(peer, "DeleteTopics", 6, topics=[{"name": None}])["responses"][0]["error_code"] == \
        INVALID_REQUEST
    known = ask(peer, "Metadata", 12, topics=[{"name": "t"}] * 3, allow_auto_topic_creation=False)
    assert [row["name"] for row in known["topics"]] == ["t"]


def test_created_topics_tell_their_settings(peer):
    def made(name, *configs):
        answer = ask(peer, "CreateTopics", 7, timeout_ms=10000, topics=[{
            "name": name, "num_partitions": 1, "replication_factor": 1,
            "configs": [{"name": key, "value": value} for key, value in configs]}])
        return answer["topics"][0]

    assert made("null", ("retention.ms", None))["error_code"] == INVALID_CONFIG
    twice = made("twice", ("retention.ms", "1"), ("retention.ms", "2"))
    assert [row["value"] for row in twice["configs"] if row["name"] == "retention.ms"] == ["2"]
    assert setting(peer, "retention.ms", "twice") == "2"
    assert made("twice")["configs"] == []


def test_metadata_by_id(peer):
    """Versions 10 and 11 have ids in the request, but they count from 12 on, and more than names."""
    topic_id = create(peer, "t")
    create(peer, "u")
    for version in (10, 11):
        answer = ask(peer, "Metadata", version, topics=[{"name": None, "topic_id": topic_id}])
        assert (answer["brokers"], answer["topics"][0]["error_code"]) == ([], INVALID_REQUEST)
    answer = ask(peer, "Metadata", 12, topics=[{"name": "u", "topic_id": topic_id}])
    assert answer["topics"][0]["name"] == "t"
    answer = ask(peer, "Metadata", 12, topics=[{"name": "u", "topic_id": b"?" * 16}])
    assert (answer["topics"][0]["name"], answer["topics"][0]["error_code"]) == (None, 100)


def test_describe_topic_partitions_keeps_to_its_cursor(peer):
    create(peer, "a", 3)
    create(peer, "b", 2)

    def page(names, limit=2000, cursor=None):
        answer = ask(peer, "DescribeTopicPartitions", 0, topics=[{"name": name} for name in names],
                     response_partition_limit=limit,
                     cursor=cursor and {"topic_name": cursor[0], "partition_index": cursor[1]})
        following = answer["next_cursor"]
        return [(row["name"], row["error_code"], len(row["partitions"])) for row in answer["topics"]], \
            following and (following["topic_name"], following["partition_index"])

    assert page(["a", "b"], 0) == ([("a", 0, 1)], ("a", 1))
    assert page(["b", "a", "a"]) == ([("a", 0, 3), ("b", 0, 2)], None)
    assert page(["a", "aa", "b"], 3) == ([("a", 0, 3)], ("aa", 0))
    assert page(["a", "aa", "b"], 3, ("aa", 0)) == ([("aa", UNKNOWN_TOPIC, 0), ("b", 0, 2)], None)
    for cursor in (("a", -1), ("aa", 0), ("", 0)):
        assert page(["a", "b"], 5, cursor) == ([("a", INVALID_REQUEST, 0), ("b", INVALID_REQUEST, 0)], None)
    answer = ask(peer, "DescribeTopicPartitions", 0, topics=[{"name": "a"}], response_partition_limit=5)
    assert answer["topics"][0]["topic_authorized_operations"] == 3576


def test_special_times_belong_to_versions(peer):
    create(peer, "t")

    def error(version, timestamp, epoch=-1):
        answer = ask(peer, "ListOffsets", version, replica_id=-1, topics=[{"name": "t", "partitions": [
            {"timestamp": timestamp, "current_leader_epoch": epoch}]}])
        return answer["topics"][0]["partitions"][0]["error_code"]

    for timestamp, since in ((-3, 7), (-4, 8), (-5, 9), (-6, 11)):
        assert error(since, timestamp) == 0
        assert error(since - 1, timestamp) == UNSUPPORTED_VERSION
    assert error(5, -1, -3) == FENCED


def test_fetch_of_sessions_epochs_and_isolation(peer):
    create(peer, "t")
    assert peer.produce("t", raw.record_batch())[0] == 0

    def fetch(**values):
        part = {"fetch_offset": 0, "partition_max_bytes": 1000, **values.pop("part", {})}
        answer = ask(peer, "Fetch", 12, topics=[{"topic": "t", "partitions": [part]}], **values)
        return answer["error_code"], [row["partitions"][0] for row in answer["responses"]]

    assert fetch(session_id=77, session_epoch=1) == (70, [])
    assert fetch(session_id=0, session_epoch=1) == (70, [])
    for epoch in (0, -1):  # both ask for all, whatever the session
        error, rows = fetch(session_id=77, session_epoch=epoch)
        assert (error, rows[0]["error_code"], len(rows[0]["records"]) > 0) == (0, 0, True)
    assert fetch(isolation_level=1)[1][0]["aborted_transactions"] == []
    assert fetch()[1][0]["aborted_transactions"] is None
    assert fetch(part={"last_fetched_epoch": 7})[1][0]["error_code"] == OUT_OF_RANGE
    assert fetch(part={"current_leader_epoch": -2})[1][0]["error_code"] == 0


def test_batches_that_are_not_whole_are_refused_for_good(peer):
    """INVALID_RECORD is final; CORRUPT_MESSAGE, which clients send again, is for damage on the way."""
    create(peer, "t")
    whole = raw.record_batch()
    for batch, error in ((whole[:-1], INVALID_RECORD), (whole[:16], INVALID_RECORD), (b"\0" * 16, CORRUPT),
                         (raw.record_batch(magic=1), INVALID_RECORD), (raw.record_batch(magic=3), CORRUPT),
                         (raw.record_batch(crc=1), CORRUPT), (raw.record_batch(attributes=1), INVALID_RECORD),
                         (raw.record_batch(count=0, records=b""), INVALID_RECORD),
                         (raw.record_batch(said_count=-1), INVALID_RECORD),
                         (struct.pack(">qi", 0, 5) + whole[12:], CORRUPT)):
        assert peer.produce("t", batch)[0] == error
    assert peer.produce("t", whole) == (0, 0)


def test_groups_without_members(peer):
    create(peer, "t")

    def commit(group, version=8, **more):
        answer = ask(peer, "OffsetCommit", version, group_id=group, topics=[
            {"name": "t", "partitions": [{"committed_offset": 5}]}], **more)
        return answer["topics"][0]["partitions"][0]["error_code"]

    assert commit("g") == 0
    assert commit("g", member_id="someone") == 0  # without a generation the member does not matter
    assert commit("g", generation_id_or_member_epoch=3) == 25
    assert commit("new", generation_id_or_member_epoch=3) == 22
    assert commit("new", 9, generation_id_or_member_epoch=3) == 69
    assert commit("") == 0  # a group, too
    found = ask(peer, "FindCoordinator", 4, coordinator_keys=[""])["coordinators"][0]
    assert (found["error_code"], found["node_id"]) == (0, 1)
    fetched = ask(peer, "OffsetFetch", 8, groups=[{"group_id": "", "topics": None}])
    assert fetched["groups"][0]["topics"][0]["partitions"][0]["committed_offset"] == 5

    def forget(group, topic, partition):
        answer = ask(peer, "OffsetDelete", 0, group_id=group, topics=[
            {"name": topic, "partitions": [{"partition_index": partition}]}])
        return answer["error_code"], [row["partitions"][0]["error_code"] for row in answer["topics"]]

    assert forget("", "t", 0) == (24, [])
    assert forget("g", "none", 0) == (0, [UNKNOWN_TOPIC])
    assert forget("g", "t", 9) == (0, [UNKNOWN_TOPIC])
    gone = ask(peer, "DeleteGroups", 2, groups_names=["g", "none", "g"])
    assert [(row["group_id"], row["error_code"]) for row in gone["results"]] == [("g", 0), ("none", 69)]


def test_metadata_of_a_commit_is_bytes(peer):
    create(peer, "t")
    for metadata in ("Hello\0world!", "", "\0"):
        ask(peer, "OffsetCommit", 8, group_id="g", topics=[
            {"name": "t", "partitions": [{"committed_offset": 5, "committed_metadata": metadata}]}])
        fetched = ask(peer, "OffsetFetch", 7, group_id="g", topics=None)
        assert fetched["topics"][0]["partitions"][0]["metadata"] == metadata
    refused = ask(peer, "OffsetCommit", 8, group_id="a\0b", topics=[
        {"name": "t", "partitions": [{"committed_offset": 5}]}])
    assert refused["topics"][0]["partitions"][0]["error_code"] == 24, "INVALID_GROUP_ID"
    ask(peer, "DeleteTopics", 5, topic_names=["t"])
    assert ask(peer, "OffsetFetch", 8, groups=[{"group_id": "g", "topics": None}])["groups"][0]["topics"] == []


def test_all_records_that_are_wrong_are_named(peer):
    """KIP-467: by this clients know which of their records may be sent again."""
    create(peer, "t", cleanup_policy="compact")

    def record(delta, key):
        body = b"\0" + raw.varint(0) + raw.varint(delta) + \
            (raw.varint(-1) if key is None else raw.varint(len(key)) + key) + raw.varint(1) + b"v" + raw.varint(0)
        return raw.varint(len(body)) + body

    keys = [b"a", None, b"b", None, None]
    batch = raw.record_batch(count=len(keys), records=b"".join(record(*pair) for pair in enumerate(keys)))
    answer = ask(peer, "Produce", 9, acks=1, topic_data=[
        {"name": "t", "partition_data": [{"index": 0, "records": batch}]}])
    part = answer["responses"][0]["partition_responses"][0]
    assert part["error_code"] == INVALID_RECORD
    assert [row["batch_index"] for row in part["record_errors"]] == [1, 3, 4]


def test_administration(peer):
    create(peer, "t", cleanup_policy="compact")
    answer = ask(peer, "DeleteRecords", 2, topics=[{"name": "t", "partitions": [{"offset": 0}]}])
    assert answer["topics"][0]["partitions"][0]["error_code"] == POLICY_VIOLATION
    for kind, error in ((2, 114), (0, 115), (3, 115)):
        answer = ask(peer, "DescribeCluster", 1, endpoint_type=kind)
        assert (answer["error_code"], answer["endpoint_type"], answer["cluster_id"]) == (error, 1, "")
    assert ask(peer, "ListConfigResources", 1, resource_types=[77])["error_code"] == UNSUPPORTED_VERSION
    assert ask(peer, "ListPartitionReassignments", 0, topics=None)["error_message"] is None
    for name, error in (("none", UNKNOWN_TOPIC), ("a b", INVALID_TOPIC)):
        answer = ask(peer, "DescribeProducers", 0, topics=[{"name": name, "partition_indexes": [0]}])
        assert answer["topics"][0]["partitions"][0]["error_code"] == error
    for ids in ({"producer_id": 5}, {"producer_epoch": 1}):
        assert ask(peer, "InitProducerId", 3, transactional_id=None, **ids)["error_code"] == INVALID_REQUEST


def test_a_million_names_in_one_request_take_no_longer_than_reading_them(peer):
    """Looking for names that are repeated is one pass: each with each other would take minutes."""
    names = [{"name": f"{number:x}/", "num_partitions": 1, "replication_factor": 1} for number in range(100000)]
    answer = ask(peer, "CreateTopics", 5, topics=names, validate_only=True)
    assert {row["error_code"] for row in answer["topics"]} == {INVALID_TOPIC}
