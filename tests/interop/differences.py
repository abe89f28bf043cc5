"""Where millrace answers otherwise than Kafka 4.1 and means to. Each entry is in docs/COMPATIBILITY.md, by its
reason. A difference that no entry explains is a failure, and so is an entry that explains none."""

import dataclasses
from typing import Optional


@dataclasses.dataclass(frozen=True)
class Allowed:
    """Patterns that must match as a whole: of label, path, and (the repr of) both values."""
    reason: str
    label: str
    path: str = ".*"
    kafka: Optional[str] = None
    millrace: Optional[str] = None


TIERED = r".*configs\.(compression\.(gzip|lz4|zstd)\.level|local\.retention\.(bytes|ms)|remote\..*)"
ABSENT = "'absent'"

ALLOWED = [
    Allowed("says why", ".*", ".*error_message", "None|''", "'text'"),
    Allowed("says why, in other fields", "Produce: .*", r".*record_errors\[.\]", ABSENT, "{}"),
    Allowed("no log start offset beside an error", "Produce: .*", r".*log_start_offset", "0", "-1"),
    Allowed("no tiered storage, no recompression: no settings for them", ".*", TIERED, millrace=ABSENT),
    Allowed("flush.ms is 1000: fsync", ".*", r".*configs\.flush\.ms\..*"),
    Allowed("no feature for eligible leaders", ".*", r".*configs\.min\.insync\.replicas.*"),
    Allowed("what is stable in Kafka 4.2 is there already", "ApiVersions: range of key 2"),
    Allowed("two-phase commits are not there", "ApiVersions: range of key 22"),
    Allowed("a row without partitions is answered with a row without partitions", ".*no partitions",
            r".*\[0\]", ABSENT, "{'(name|topic|topic_id)': '[^']*'}"),
    Allowed("what is asked twice is answered twice",
            "(ListOffsets|Fetch|DeleteRecords|Produce): .*(twice.*|in two rows|topic row)"),
    Allowed("lengths below -1 are malformed, not null", "frame: (client id|array of) -2"),
    Allowed("a topic is answered when it is made", "Metadata: created when missing"),
    Allowed("Kafka fails on null names", "(Metadata: neither id nor name|DescribeTopicPartitions: invalid names)"),
    Allowed("Kafka fails on isolation levels that there are not", "(Fetch|ListOffsets): isolation level .*"),
    Allowed("Kafka fails on negative sizes", "Fetch: -1 bytes .*"),
    Allowed("Kafka fails on numbers out of range", "(CreatePartitions: far too many|IncrementalAlterConfigs: operation .*)",
            ".*error_code", "-1"),
    Allowed("Kafka does not answer", "(Produce: null records|AlterConfigs: resource twice)", "", "'NO ANSWER'"),
    Allowed("an offset that is out of range is answered with the range", "Fetch: .*(beyond|offset -|below|epoch 7|one is wrong).*",
            ".*(high_watermark|last_stable_offset|log_start_offset)", "-1"),
    Allowed("no transactions yet", "(Produce: .*transactional.*|InitProducerId: .*|FindCoordinator: .*)",
            millrace=".*(48|53|-1|None|'')"),
    Allowed("no sessions", "Fetch: session .*", ".*session_id"),
    Allowed("codecs that are not, and data that does not decompress, have a code",
            "Produce: (batch: (codec .|said .*, is not|gzip, cut)|zstd said)", ".*error_code", "-1"),
    Allowed("batches are checked to the last byte",
            "Produce: (log after )?batch: (bytes behind|offset deltas (equal|falling)|offset delta negative|"
            "delete horizon|append time|(key|value) longer than the record|producer without epoch)"),
    Allowed("a base offset is overwritten, not refused", "Produce: (log after )?batch: base offset .*"),
    Allowed("a batch that was stored before has no append time", "Produce: seq-.*", ".*log_append_time_ms",
            "'a time'", "-1"),
    Allowed("negative offsets are not committed", "OffsetCommit: offset -.", ".*", "0", "28"),
    Allowed("a group is there as long as it has offsets",
            "(OffsetDelete: again|DescribeGroups: group without offsets)"),
    Allowed("groups have no settings", "DescribeGroups: operations", ".*authorized_operations", "3400", "328"),
    Allowed("node settings are those of the configuration file", "DescribeConfigs: (node.*|all nodes)"),
    Allowed("retention has no synonyms in hours", "DescribeConfigs: synonyms", ".*retention.ms.synonyms.1."),
    Allowed("a repeated id is answered with its name", "DeleteTopics: id twice", r"responses\[0\]"),
    Allowed("no aborted transactions beside an error", "Fetch: epoch .*", ".*aborted_transactions"),
    Allowed("cleanup.policy is not empty", "IncrementalAlterConfigs: .*subtract the last"),
    Allowed("there are no followers yet: who reads is a consumer", "Fetch: as replica .*9.*"),
    Allowed("Kafka fails on the zero id", "Fetch: zero id, full session"),
    Allowed("loggers are not resources", "ListConfigResources: .*", r".*\[8, '1'\].*|.*", r"\[8, '1'\]", ABSENT),
    Allowed("the size of the disk is not told", "DescribeLogDirs: .*", ".*total_bytes"),
    Allowed("epochs below -1 are no epochs", "OffsetForLeaderEpoch: epoch -5"),
    Allowed("a deleted record is not found by time", "ListOffsets: after DeleteRecords of all, time -3"),
]
