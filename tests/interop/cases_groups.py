"""Groups without members, and their offsets."""

import time


def coordinators(t):
    settle(t)
    for v in t.range("FindCoordinator"):
        for label, kind, key in (("group", 0, "g"), ("empty group", 0, ""), ("long group", 0, "x" * 300),
                                 ("kind 2", 2, "x"), ("kind 3", 3, "x"), ("kind -1", -1, "x"),
                                 ("group with blanks", 0, "a b")):
            if v >= 4:
                t.ask(label, "FindCoordinator", v, key_type=kind, coordinator_keys=[key])
            elif v >= 1 or kind == 0:
                t.ask(label, "FindCoordinator", v, key=key, key_type=kind)
        if v >= 4:
            t.ask("three", "FindCoordinator", v, coordinator_keys=["a", "b", "a"])
            t.ask("none", "FindCoordinator", v, coordinator_keys=[])


def settle(t):
    """Until the coordinator is there: Kafka makes __consumer_offsets first."""
    t.send("FindCoordinator", 3, {"key": "settle"})
    for _ in range(300):
        answer = t.send("OffsetFetch", 7, {"group_id": "settle", "topics": []})
        if isinstance(answer, dict) and answer["error_code"] == 0:
            return
        time.sleep(0.1)
    raise AssertionError("no coordinator")


def offsets(t):
    settle(t)
    topic_id = t.create("of", 3)

    def row(partition=0, offset=5, metadata="m", **more):
        return {"partition_index": partition, "committed_offset": offset, "committed_metadata": metadata, **more}

    def commit(label, *rows, topic="of", least=2, group=None, **more):
        def make(v):
            ident = {"topic_id": topic_id if topic == "of" else b"?" * 16} if v >= 10 else {"name": topic}
            return {"group_id": f"of-{v}" if group is None else group,
                    "topics": [{**ident, "partitions": list(rows)}], **more}
        t.each(label, "OffsetCommit", make, least=least)

    def fetch(label, *partitions, topic="of", group=None, everything=False, **more):
        def make(v):
            name = f"of-{max(v, 2)}" if group is None else group
            if v >= 8:
                ident = {"topic_id": topic_id if topic == "of" else b"?" * 16} if v >= 10 else {"name": topic}
                topics = None if everything else [{**ident, "partition_indexes": list(partitions)}]
                return {"groups": [{"group_id": name, "topics": topics}], **more}
            return {"group_id": name, "topics": None if everything else [
                {"name": topic, "partition_indexes": list(partitions)}], **more}
        t.each(label, "OffsetFetch", make, least=2 if everything else 1)

    fetch("before any", 0)
    fetch("before any, all", everything=True)
    commit("one", row())
    commit("two", row(1, 7, ""), row(2, 8, None))
    commit("with epoch", row(0, 6, "e", committed_leader_epoch=0), least=6)
    commit("partition 3", row(3))
    commit("partition -1", row(-1))
    commit("good and bad", row(0, 9), row(7, 9))
    commit("unknown topic", row(), topic="of-none")
    commit("offset -1", row(1, -1))
    commit("offset -5", row(1, -5))
    commit("largest offset", row(2, 2**63 - 1))
    commit("metadata of 4096", row(0, 1, "x" * 4096))
    commit("metadata of 4097", row(0, 1, "x" * 4097))
    commit("epoch -7", row(0, 10, "q", committed_leader_epoch=-7), least=6)
    commit("twice", row(1, 20), row(1, 21))
    commit("no partitions")
    commit("empty group", row(), group="")
    commit("generation 1", row(), generation_id_or_member_epoch=1)
    commit("generation 0", row(), generation_id_or_member_epoch=0)
    commit("member", row(), member_id="someone")
    commit("member, generation", row(), member_id="someone", generation_id_or_member_epoch=3)
    commit("member of a new group", row(), member_id="someone", generation_id_or_member_epoch=3, group="of-newer")
    commit("generation of a new group", row(), generation_id_or_member_epoch=3, group="of-newest")
    commit("instance", row(), group_instance_id="i", least=7)
    t.each("no topics", "OffsetCommit", lambda v: {"group_id": "of-none", "topics": []})
    t.each("retention", "OffsetCommit", lambda v: {
        "group_id": "of-retention", "retention_time_ms": 1000, "topics": [{"name": "of", "partitions": [row()]}]},
           least=2, most=4)
    fetch("one", 0)
    fetch("three", 0, 1, 2)
    fetch("partition 9 and -1", 9, -1)
    fetch("twice", 0, 0)
    fetch("unknown topic", 0, topic="of-none")
    fetch("invalid topic", 0, topic="a b")
    fetch("no partitions")
    fetch("unknown group", 0, group="of-unknown")
    fetch("empty group", 0, group="")
    fetch("all", everything=True)
    fetch("all of an unknown group", group="of-unknown", everything=True)
    for v in t.range("OffsetFetch"):
        if v >= 7:
            groups = {"groups": [{"group_id": f"of-{v}", "topics": None}]} if v >= 8 else \
                {"group_id": f"of-{v}", "topics": None}
            t.ask("stable", "OffsetFetch", v, require_stable=True, **groups)
        if v >= 8:
            t.ask("two groups", "OffsetFetch", v, groups=[{"group_id": f"of-{v}", "topics": None},
                                                          {"group_id": "of-unknown", "topics": None}])
            t.ask("no groups", "OffsetFetch", v, groups=[])
            t.ask("group twice", "OffsetFetch", v, groups=[{"group_id": f"of-{v}", "topics": None}] * 2)
            t.ask("no topics", "OffsetFetch", v, groups=[{"group_id": f"of-{v}", "topics": []}])
        else:
            t.ask("no topics", "OffsetFetch", v, group_id=f"of-{max(v, 2)}", topics=[])
        if v >= 9:
            t.ask("member", "OffsetFetch", v, groups=[{"group_id": f"of-{v}", "topics": None,
                                                       "member_id": "someone", "member_epoch": 3}])


def groups(t):
    settle(t)
    t.create("gr", 2)

    def commit(group, topic="gr", partitions=(0,)):
        answer = t.send("OffsetCommit", 7, {"group_id": group, "topics": [{"name": topic, "partitions": [
            {"partition_index": index, "committed_offset": 3} for index in partitions]}]})
        assert answer["topics"][0]["partitions"][0]["error_code"] == 0, answer

    commit("gr-here")
    for v in t.range("DescribeGroups"):
        t.ask("known", "DescribeGroups", v, groups=["gr-here"])
        t.ask("unknown", "DescribeGroups", v, groups=["gr-none"])
        t.ask("both", "DescribeGroups", v, groups=["gr-here", "gr-none"])
        t.ask("empty name", "DescribeGroups", v, groups=[""])
        t.ask("twice", "DescribeGroups", v, groups=["gr-here", "gr-here"])
        t.ask("none", "DescribeGroups", v, groups=[])
        if v >= 3:
            t.ask("operations", "DescribeGroups", v, groups=["gr-here", "gr-none"],
                  include_authorized_operations=True)
    for v in t.range("ListGroups"):
        def listed(label, **values):
            answer = t.send("ListGroups", v, values)
            if isinstance(answer, dict):
                answer["groups"] = [one for one in answer["groups"] if one["group_id"] == "gr-here"]
            t.keep(f"ListGroups: {label}", v, answer)

        listed("all")
        if v >= 4:
            for states in (["Empty"], ["empty"], ["EMPTY"], ["Stable"], ["Dead"], ["nonsense"],
                           ["Stable", "Empty"], [""]):
                listed(f"states {states}", states_filter=states)
        if v >= 5:
            for kinds in (["classic"], ["Classic"], ["consumer"], ["share"], ["nonsense"], ["consumer", "classic"]):
                listed(f"kinds {kinds}", types_filter=kinds)
    for label, group, topics in (
            ("unknown group", "gr-none", [{"name": "gr", "partitions": [{"partition_index": 0}]}]),
            ("empty group", "", [{"name": "gr", "partitions": [{"partition_index": 0}]}]),
            ("unknown topic", "gr-here", [{"name": "gr-none", "partitions": [{"partition_index": 0}]}]),
            ("unknown partition", "gr-here", [{"name": "gr", "partitions": [{"partition_index": 9}]}]),
            ("partition without offset", "gr-here", [{"name": "gr", "partitions": [{"partition_index": 1}]}]),
            ("no partitions", "gr-here", [{"name": "gr", "partitions": []}]),
            ("no topics", "gr-here", []),
            ("one", "gr-here", [{"name": "gr", "partitions": [{"partition_index": 0}]}]),
            ("again", "gr-here", [{"name": "gr", "partitions": [{"partition_index": 0}]}])):
        t.ask(label, "OffsetDelete", 0, group_id=group, topics=topics)
    t.ask("group without offsets", "DescribeGroups", 5, groups=["gr-here"] * 3)
    for v in t.range("DeleteGroups"):
        commit(f"gr-gone-{v}")
        for label, names in (("unknown", ["gr-none"]), ("one", [f"gr-gone-{v}"]), ("again", [f"gr-gone-{v}"]),
                             ("empty", [""]), ("none", []), ("twice unknown", ["gr-none", "gr-none"])):
            t.ask(label, "DeleteGroups", v, groups_names=names)
        commit(f"gr-gone-{v}")
        t.ask("twice", "DeleteGroups", v, groups_names=[f"gr-gone-{v}"] * 2)
        commit(f"gr-gone-{v}")
        t.ask("good and unknown", "DeleteGroups", v, groups_names=["gr-none", f"gr-gone-{v}"])
        answer = t.send("OffsetFetch", 8, {"groups": [{"group_id": f"gr-gone-{v}", "topics": None}]})
        t.keep("OffsetFetch: after DeleteGroups", v, answer)


CASES = [coordinators, offsets, groups]
