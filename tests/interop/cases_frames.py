"""Requests that are not what they seem: versions, tags, bytes too few or too many."""

import struct

from judge import bare, frame_of, raw, schema


def frames(t):
    def ask(label, data):
        t.fresh()
        answer = t.exchange(data, 7)
        t.keep(f"frame: {label}", 0, answer if isinstance(answer, str) else f"{len(answer) > 0}")
        t.fresh()

    metadata = schema.encode("metadata_request", 12, {"topics": []})
    ask("good", frame_of(3, 12, metadata, True))
    ask("bytes behind", frame_of(3, 12, metadata + b"\0\0\0", True))
    ask("cut", frame_of(3, 12, metadata[:-2], True))
    ask("empty body", frame_of(3, 12, b"", True))
    ask("Metadata 14", frame_of(3, 14, metadata, True))
    ask("Metadata -1", frame_of(3, -1, metadata, True))
    ask("Metadata 99", frame_of(3, 99, metadata, True))
    ask("key 99", frame_of(99, 0, b""))
    ask("key -1", frame_of(-1, 0, b""))
    ask("key 4", frame_of(4, 0, b""))
    ask("key 20000", frame_of(20000, 0, b""))
    ask("length 0", bare(b""))
    ask("length -1", struct.pack(">i", -1))
    ask("length 3", bare(b"\0\3\0"))
    ask("length too large", struct.pack(">i", 2**31 - 1) + b"x" * 20)
    ask("above the largest request", struct.pack(">i", 104857601) + b"x" * 20)
    ask("client id null", bare(struct.pack(">hhih", 3, 12, 7, -1) + b"\0" + metadata))
    ask("client id empty", bare(struct.pack(">hhih", 3, 12, 7, 0) + b"\0" + metadata))
    ask("client id longer than the frame", bare(struct.pack(">hhih", 3, 12, 7, 3000) + b"\0" + metadata))
    ask("client id -2", bare(struct.pack(">hhih", 3, 12, 7, -2) + b"\0" + metadata))
    ask("client id is not utf-8", bare(struct.pack(">hhih", 3, 12, 7, 2) + b"\xff\xfe\0" + metadata))
    ask("unknown tag in the header", bare(struct.pack(">hhih", 3, 12, 7, -1) + b"\1\x63\2ab" + metadata))
    ask("unknown tag in the body", frame_of(3, 12, schema.encode(
        "metadata_request", 12, {"topics": [], "_tags": [(99, b"abc")]}), True))
    ask("unknown tag in a topic", frame_of(3, 12, schema.encode(
        "metadata_request", 12, {"topics": [{"name": "fr", "_tags": [(0, b"")]}]}), True))
    ask("tag longer than the frame", frame_of(3, 12, metadata[:-1] + b"\1\x63\x7f", True))
    ask("array longer than the frame", frame_of(3, 4, struct.pack(">i", 1000000)))
    ask("array of -2", frame_of(3, 4, struct.pack(">ib", -2, 0)))
    ask("null string", frame_of(3, 4, struct.pack(">ihb", 1, -1, 0)))
    ask("string of -2", frame_of(3, 4, struct.pack(">ihb", 1, -2, 0)))
    ask("boolean 2", frame_of(3, 4, struct.pack(">ib", 0, 2)))
    ask("varint too long", frame_of(3, 12, b"\xff\xff\xff\xff\xff\xff\xff", True))
    ask("null topics in DeleteTopics", frame_of(20, 5, schema.encode(
        "delete_topics_request", 5, {"topic_names": None}), True))
    ask("null topics in CreateTopics", frame_of(19, 5, schema.encode(
        "create_topics_request", 5, {"topics": None}), True))
    ask("null topics in Fetch", frame_of(1, 12, schema.encode("fetch_request", 12, {"topics": None}), True))
    ask("null topics in ListOffsets", frame_of(2, 4, schema.encode(
        "list_offsets_request", 4, {"topics": None})))
    ask("null group in OffsetCommit", frame_of(8, 8, schema.encode(
        "offset_commit_request", 8, {"group_id": None}), True))
    ask("Produce 2", frame_of(0, 2, schema.encode("produce_request", 3, {"topic_data": []})[2:]))
    ask("Fetch 3", frame_of(1, 3, schema.encode("fetch_request", 4, {"topics": []})))
    ask("JoinGroup, not flexible as told", frame_of(3, 9, metadata))


def versions(t):
    """The lowest and highest of each API that is advertised, and one beyond; ApiVersions' own answer."""
    for version in (5, 99, -1, 32767):
        t.fresh()
        answer = t.exchange(frame_of(18, version, b"", version >= 3), 7)
        if not isinstance(answer, str):
            error, count = struct.unpack(">hi", answer[:6])
            rows = [struct.unpack(">hhh", answer[6 + 6 * i:12 + 6 * i]) for i in range(count)]
            own = [list(row) for row in rows if row[0] == 18]
            answer = {"error": error, "own": own, "rest": len(answer) - 6 - 6 * count}
        t.keep("ApiVersions: unknown version", version, answer)
        t.keep("ApiVersions: then a good one", version, isinstance(t.send("ApiVersions", 0, {}), dict))
    t.fresh()


def pipelines(t):
    """Many requests at once: the answers come in the order of the requests."""
    t.fresh()
    keys = [(18, 0, b""), (3, 4, struct.pack(">ib", 0, 0)), (16, 0, b""), (18, 3, b"\0\2a\2a\0"),
            (60, 0, b"\0\0\0")]
    t.peer.send(b"".join(raw.frame(key, version, 100 + place, body)
                         for place, (key, version, body) in enumerate(keys * 5)))
    numbers = []
    for _ in range(len(keys) * 5):
        answer = t.peer.receive()
        numbers.append(answer and answer[0])
    t.keep("pipeline: order", 0, numbers)
    t.fresh()


CASES = [frames, versions, pipelines]
