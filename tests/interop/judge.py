"""Asks two brokers the same, and tells where their answers differ.

A case is a function of a Target; it is run once against each broker, and every answer is kept under a label.
Answers are made comparable first: ids become names, texts of errors become "text", ports and times go."""

import pathlib
import re
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import raw  # noqa: E402
import schema  # noqa: E402

ANSWER_TIMEOUT_S = 6
ANONYMOUS = ("host", "port", "rack", "cluster_id", "log_dir", "total_bytes", "usable_bytes",
             "partition_size", "controller_id")


# Where Kafka's own order is that of a hash table, or of threads.
UNORDERED = ("Metadata:", "CreateTopics:", "CreatePartitions:", "DeleteTopics:", "OffsetCommit:",
             "OffsetFetch:")
NAMES = ("name", "topic", "topic_id", "index", "partition_index", "partition", "group_id", "error_code")


class Target:
    """One of the two brokers, and what it has answered: {label: {version: answer}}."""

    def __init__(self, name, port, versions=None):
        self.name = name
        self.port = port
        self.peer = None
        self.ids = {}
        self.answers = {}
        self.versions = versions or {}
        self.changes = 0

    def fresh(self):
        """A new connection."""
        if self.peer is not None:
            self.peer.socket.close()
        self.peer = raw.Peer(self.port, ANSWER_TIMEOUT_S)
        return self.peer

    def exchange(self, data, correlation_id):
        """The answer to these bytes without its length, or the word for why there is none."""
        if self.peer is None:
            self.fresh()
        try:
            self.peer.send(data)
            answer = self.peer.receive()
        except socket.timeout:
            self.fresh()
            return "NO ANSWER"
        except OSError:
            answer = None
        if answer is None:
            self.peer = None
            return "CLOSED"
        if answer[0] != correlation_id:
            self.peer = None
            return f"correlation id {answer[0]}"
        return answer[1]

    def send(self, api, version, values, behind=b""):
        """The answer as a dictionary, or a word."""
        key, request, response = schema.APIS[api]
        flexible = version >= request.flexible
        body = (b"\0" if flexible else b"") + schema.encode(request.name, version, values) + behind
        answer = self.exchange(raw.frame(key, version, 7, body), 7)
        if isinstance(answer, str):
            return answer
        if version >= response.flexible and key != 18:
            answer = answer[1:]
        try:
            return schema.decode(response.name, version, answer)
        except (ValueError, UnicodeDecodeError) as error:
            return f"UNREADABLE: {error}: {answer[:200].hex()}"

    def keep(self, label, version, answer):
        versions = self.answers.setdefault(label, {})
        assert version not in versions, f"twice the same question: {label} {version}"
        answer = without_version(self.plain(answer), version)
        versions[version] = in_order(answer) if label.startswith(UNORDERED) else answer

    def ask(self, label, api, version, behind=b"", **values):
        """Asks and keeps. Returns the answer as it came."""
        answer = self.send(api, version, values, behind)
        self.keep(f"{api}: {label}", version, answer)
        return answer

    def each(self, label, api, make=None, least=0, most=99, **values):
        """Asks in every version; make(version) gives the values, or a part of them."""
        for version in self.range(api):
            if least <= version <= most:
                self.ask(label, api, version, **values, **(make(version) if make else {}))

    def range(self, api):
        low, high = self.versions[schema.APIS[api][0]]
        return range(max(low, schema.APIS[api][1].low), high + 1)

    def create(self, topic, partitions=1, **configs):
        """A topic that must not exist yet, and its id."""
        answer = self.send("CreateTopics", 7, {"topics": [{
            "name": topic, "num_partitions": partitions, "replication_factor": 1,
            "configs": [{"name": name.replace("_", "."), "value": value}
                        for name, value in configs.items()]}], "timeout_ms": 10000})
        assert answer["topics"][0]["error_code"] == 0, f"{self.name}: {answer}"
        topic_id = answer["topics"][0]["topic_id"]
        self.ids[topic_id] = topic
        for partition in range(partitions):
            self.wait_for_leader(topic, partition)
        return topic_id

    def wait_for_leader(self, topic, partition):
        for _ in range(300):
            answer = self.send("ListOffsets", 5, {"replica_id": -1, "topics": [{"name": topic, "partitions": [
                {"partition_index": partition, "timestamp": -1}]}]})
            if answer["topics"][0]["partitions"][0]["error_code"] == 0:
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.name}: no leader of {topic}")

    def settings_of(self, topic):
        """The topic's own settings, when all changes before have arrived: Kafka answers before it knows them
        itself, but takes them in order, so one more change tells."""
        self.changes += 1
        if self.changes == 1:
            self.create("sentinel")
        mark = {"resource_type": 2, "resource_name": "sentinel"}
        self.send("IncrementalAlterConfigs", 1, {"resources": [{**mark, "configs": [
            {"name": "retention.ms", "value": str(self.changes)}]}]})
        for _ in range(300):
            if self.described(mark).get("retention.ms") == str(self.changes):
                return self.described({"resource_type": 2, "resource_name": topic})
            time.sleep(0.02)
        raise AssertionError(f"{self.name}: a setting that was changed does not arrive")

    def described(self, resource):
        answer = self.send("DescribeConfigs", 4, {"resources": [{**resource, "configuration_keys": None}]})
        return {one["name"]: one["value"] for one in answer["results"][0]["configs"]
                if one["config_source"] == 1}

    def produce(self, topic, batch, partition=0, acks=-1):
        """Must succeed: the offset."""
        answer = self.send("Produce", 9, {"acks": acks, "timeout_ms": 10000, "topic_data": [{
            "name": topic, "partition_data": [{"index": partition, "records": batch}]}]})
        part = answer["responses"][0]["partition_responses"][0]
        assert part["error_code"] == 0, f"{self.name}: {part}"
        return part["base_offset"]

    # ---- what is compared ----

    def plain(self, answer, name=""):
        if isinstance(answer, dict):
            return {key: self.plain(value, key) for key, value in answer.items()}
        if isinstance(answer, list) and name == "configs":
            return {one["name"]: self.plain(one) for one in sorted(answer, key=lambda one: one["name"])}
        if isinstance(answer, list):
            return [self.plain(value, name) for value in answer]
        if isinstance(answer, bytes) and name == "records":
            return batch_words(answer)
        if isinstance(answer, bytes) and len(answer) == 16:
            return self.ids.get(answer, "zero" if answer == bytes(16) else "an id")
        if name in ANONYMOUS and answer not in (None, "", -1):
            return "something"
        if name in ("log_append_time_ms", "timestamp") and answer > 1e12 and not 16e11 <= answer < 161e10:
            return "a time"
        if name == "session_id" and answer > 0:
            return "a session"
        if name.endswith("error_message") and answer:
            return "text"
        if name == "documentation" and answer:
            return "text"
        return answer


def in_order(answer):
    """The same with sorted lists."""
    if isinstance(answer, dict):
        return {key: in_order(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return sorted((in_order(value) for value in answer), key=lambda value: (
            [str(value.get(name)) for name in NAMES], repr(value)) if isinstance(value, dict) else ([], repr(value)))
    return answer


def without_version(answer, version):
    """Topics and groups that are named by the version of the request, without it."""
    if isinstance(answer, dict):
        return {key: without_version(value, version) for key, value in answer.items()}
    if isinstance(answer, list):
        return [without_version(value, version) for value in answer]
    return re.sub(f"-{version}(?![0-9])", "-$", answer) if isinstance(answer, str) else answer


def batch_words(data):
    """What is in a fetched range, without its times."""
    words = []
    for head in raw.batches(data):
        words.append(" ".join(f"{name}={head[name]}" for name in (
            "base_offset", "leader_epoch", "attributes", "last_delta", "producer_id", "producer_epoch",
            "sequence", "count")))
    return words


# ---- differences ----

def shortened(value):
    return f"{len(value)} {type(value).__name__} items" if isinstance(value, (list, dict)) and len(value) > 5 \
        else value


def digest(value):
    """Enough of an item that only one side has."""
    return {name: value[name] for name in NAMES if name in value} if isinstance(value, dict) else value


def differences(left, right, path=""):
    """[(path, left's, right's)]"""
    if isinstance(left, dict) and isinstance(right, dict):
        found = []
        if "name" in left and left.get("name") != right.get("name"):
            return [(path.lstrip("."), digest(left), digest(right))]
        for key in [*left, *(key for key in right if key not in left)]:
            found += differences(left.get(key, "absent"), right.get(key, "absent"), f"{path}.{key}")
        return found
    if isinstance(left, list) and isinstance(right, list):
        found = [one for place, pair in enumerate(zip(left, right))
                 for one in differences(*pair, f"{path}[{place}]")]
        longer = left if len(left) > len(right) else right
        for place in range(min(len(left), len(right)), len(longer)):
            found.append((f"{path}[{place}]".lstrip("."), *("absent" if longer is not side else digest(longer[place])
                                                           for side in (left, right))))
        return found
    return [] if left == right else [(path.lstrip("."), shortened(left), shortened(right))]


def span(versions):
    """5,6,7 as 5-7."""
    versions, parts = sorted(versions), []
    for version in versions:
        if parts and parts[-1][1] == version - 1:
            parts[-1][1] = version
        else:
            parts.append([version, version])
    return ",".join(f"{low}-{high}" if low != high else f"{low}" for low, high in parts)


def compare(kafka, millrace):
    """[(label, versions, path, Kafka's, millrace's)], versions with the same difference in one row."""
    rows = {}
    for label in [*kafka.answers, *(one for one in millrace.answers if one not in kafka.answers)]:
        ours, theirs = millrace.answers.get(label, {}), kafka.answers.get(label, {})
        for version in sorted({*ours, *theirs}):
            for path, left, right in differences(theirs.get(version, "not asked"),
                                                 ours.get(version, "not asked")):
                rows.setdefault((label, path, repr(left), repr(right)), []).append(version)
    return [(label, versions, path, left, right) for (label, path, left, right), versions in rows.items()]


def explained(row, allowed):
    """The entry of `allowed` that explains it: patterns of label and path, and perhaps both values."""
    label, _, path, left, right = row
    for entry in allowed:
        if re.fullmatch(entry.label, label) and re.fullmatch(entry.path, path) and \
                (entry.kafka is None or re.fullmatch(entry.kafka, left)) and \
                (entry.millrace is None or re.fullmatch(entry.millrace, right)):
            return entry
    return None


def frame_of(key, version, body, flexible=False):
    return raw.frame(key, version, 7, (b"\0" if flexible else b"") + body)


def bare(data):
    return struct.pack(">i", len(data)) + data
