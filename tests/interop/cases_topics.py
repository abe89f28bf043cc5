"""Topics, their settings, the cluster."""

NO = {"num_partitions": -1, "replication_factor": -1}
ONE = {"num_partitions": 1, "replication_factor": 1}


def metadata(t):
    t.create("meta-a", 2)
    topic_id = t.create("meta.b")

    def named(*names):
        return {"topics": [{"name": name} for name in names], "allow_auto_topic_creation": False}

    t.each("two topics", "Metadata", lambda v: named("meta-a", "meta.b") if v >= 4 else
           {"topics": [{"name": "meta-a"}, {"name": "meta.b"}]})
    t.each("unknown topic", "Metadata", lambda v: named("meta-none"), least=4)
    t.each("the same topic twice", "Metadata", lambda v: named("meta-a", "meta-a"), least=4)
    t.each("the same unknown topic twice", "Metadata", lambda v: named("meta-no", "meta-no"), least=4)
    t.each("invalid names", "Metadata", lambda v: named("a b", "", ".", "..", "x" * 250, "a/b"), least=4)
    t.each("invalid names, created if missing", "Metadata", lambda v: {
        "topics": [{"name": name} for name in ("a b", "", ".", "x" * 250)]})
    t.each("one of each", "Metadata", lambda v: named("meta-none", "meta-a", "a b"), least=4)
    t.each("none", "Metadata", topics=[], least=1)
    t.each("authorized operations", "Metadata", lambda v: {
        **named("meta-a"), "include_topic_authorized_operations": True}, least=8)
    t.each("authorized operations of the cluster", "Metadata", lambda v: {
        **named("meta-a"), "include_cluster_authorized_operations": True}, least=8, most=10)
    t.each("created when missing", "Metadata", lambda v: {"topics": [{"name": f"meta-auto-{v}"}]})
    for v in (10, 11, 12, 13):
        for label, topic in (("id", {"name": None, "topic_id": topic_id}),
                             ("id and name", {"name": "meta.b", "topic_id": topic_id}),
                             ("id and other name", {"name": "meta-a", "topic_id": topic_id}),
                             ("unknown id", {"name": None, "topic_id": b"?" * 16}),
                             ("unknown id and name", {"name": "meta-a", "topic_id": b"?" * 16}),
                             ("neither id nor name", {"name": None})):
            t.ask(label, "Metadata", v, topics=[topic], allow_auto_topic_creation=False)


def api_versions(t):
    for v in range(0, 5):
        answer = t.send("ApiVersions", v, {"client_software_name": "a-b.c", "client_software_version": "1.0"})
        keys = {key["api_key"]: [key["min_version"], key["max_version"]] for key in answer.pop("api_keys")}
        for key in (0, 1, 2, 3, 8, 9, 10, 15, 16, 18, 19, 20, 21, 22, 23, 29, 30, 31, 32, 33, 35, 37, 42, 44,
                    46, 47, 50, 51, 60, 61, 74, 75):
            t.keep(f"ApiVersions: range of key {key}", v, {"range": keys.get(key)})
        for tag in ("supported_features", "finalized_features_epoch", "finalized_features"):
            answer.pop(tag, None)
        t.keep("ApiVersions: the rest", v, answer)
    for v in (3, 4):
        for label, name, version in (("empty name", "", "1"), ("empty version", "x", ""),
                                     ("bad name", "-x", "1"), ("bad name at the end", "x-", "1"),
                                     ("underscore", "x_y", "1"), ("blank", "x y", "1")):
            t.ask(label, "ApiVersions", v, client_software_name=name, client_software_version=version)


def create_topics(t):
    def create(label, *topics, least=2, each=True, **more):
        def make(v):
            rows = [{**ONE, **topic} for topic in topics]
            if v < 4:  # -1 is not a default there
                rows = [{**row, **{key: 1 for key in NO if row[key] == -1 and not row.get("assignments")}}
                        for row in rows]
            return {"topics": [{**row, "name": row["name"].replace("$", str(v))} for row in rows],
                    "timeout_ms": 10000, **more}
        t.each(label, "CreateTopics", make, least=least)

    create("plain", {"name": "ct-plain-$"})
    create("exists", {"name": "ct-plain-$"})
    create("defaults", {"name": "ct-default-$", **NO}, least=4)
    create("validate only", {"name": "ct-validate-$", "num_partitions": 3}, validate_only=True)
    create("validate only, exists", {"name": "ct-plain-$"}, validate_only=True)
    create("settings", {"name": "ct-conf-$", "configs": [{"name": "retention.ms", "value": "1000"}]})
    create("unknown setting", {"name": "ct-conf2-$", "configs": [{"name": "no.such", "value": "1"}]})
    create("invalid value", {"name": "ct-conf3-$", "configs": [{"name": "retention.ms", "value": "x"}]})
    create("null value", {"name": "ct-conf4-$", "configs": [{"name": "retention.ms", "value": None}]})
    create("setting twice", {"name": "ct-conf5-$", "configs": [
        {"name": "retention.ms", "value": "1"}, {"name": "retention.ms", "value": "2"}]})
    create("twice in one request", {"name": "ct-dup-$"}, {"name": "ct-dup-$", "num_partitions": 2})
    create("twice, and another", {"name": "ct-dup-$"}, {"name": "ct-other-$"}, {"name": "ct-dup-$"})
    create("zero partitions", {"name": "ct-zero-$", "num_partitions": 0})
    create("minus two partitions", {"name": "ct-minus-$", "num_partitions": -2})
    create("zero replicas", {"name": "ct-zero-$", "replication_factor": 0})
    create("minus two replicas", {"name": "ct-zero-$", "replication_factor": -2})
    create("too many replicas", {"name": "ct-many-$", "replication_factor": 3})
    for place, name in enumerate(("", ".", "..", "a b", "x" * 250, "a/b", "ä")):
        create(f"invalid name {place}", {"name": name})
    create("longest name", {"name": "x" * 244 + "lngt$"[:4] + "$"})
    create("collision", {"name": "ct.plain-$"})
    create("internal", {"name": "__consumer_offsets"})
    create("none")

    def assigned(*rows):
        return [{"partition_index": index, "broker_ids": list(nodes)} for index, nodes in rows]

    for label, rows in (("two", [(0, [1]), (1, [1])]), ("out of order", [(1, [1]), (0, [1])]),
                        ("gap", [(0, [1]), (2, [1])]), ("twice", [(0, [1]), (0, [1])]),
                        ("not from zero", [(1, [1])]), ("negative", [(-1, [1])]),
                        ("unknown node", [(0, [5])]), ("same node twice", [(0, [1, 1])]),
                        ("no node", [(0, [])]), ("negative node", [(0, [-1])]),
                        ("different sizes", [(0, [1]), (1, [1, 2])])):
        create(f"assignments: {label}", {"name": f"ct-as-{label.replace(' ', '-')}-$", **NO,
                                         "assignments": assigned(*rows)})
    create("assignments and partitions", {"name": "ct-as-both-$", "num_partitions": 1,
                                          "replication_factor": -1, "assignments": assigned((0, [1]))})
    create("assignments and replicas", {"name": "ct-as-both2-$", "num_partitions": -1,
                                        "replication_factor": 1, "assignments": assigned((0, [1]))})
    create("assignments, validate only", {"name": "ct-as-val-$", **NO, "assignments": assigned((0, [1]))},
           validate_only=True)


def delete_topics(t):
    for v in t.range("DeleteTopics"):
        t.create(f"dt-{v}-a")
        t.create(f"dt-{v}-b")

        def names(*words):
            return {"topics": [{"name": word} for word in words]} if v >= 6 else {"topic_names": list(words)}

        for label, words in (("unknown", ["dt-none"]), ("invalid name", ["a b"]), ("empty name", [""]),
                             ("one", [f"dt-{v}-a"]), ("again", [f"dt-{v}-a"]), ("no topics", []),
                             ("twice", [f"dt-{v}-b", f"dt-{v}-b"]),
                             ("twice unknown", ["dt-none", "dt-none"])):
            t.ask(label, "DeleteTopics", v, timeout_ms=10000, **names(*words))
    topic_id = t.create("dt-id")
    for label, topics in (("unknown id", [{"name": None, "topic_id": b"?" * 16}]),
                          ("neither", [{"name": None}]),
                          ("both", [{"name": "dt-id", "topic_id": topic_id}]),
                          ("id twice", [{"name": None, "topic_id": topic_id}] * 2),
                          ("id and its name", [{"name": None, "topic_id": topic_id}, {"name": "dt-id"}]),
                          ("by id", [{"name": None, "topic_id": topic_id}]),
                          ("by id, again", [{"name": None, "topic_id": topic_id}])):
        t.ask(label, "DeleteTopics", 6, topics=topics, timeout_ms=10000)


def create_partitions(t):
    for v in t.range("CreatePartitions"):
        t.create(f"cp-{v}", 2)

        def ask(label, *topics, **more):
            t.ask(label, "CreatePartitions", v, topics=[{"assignments": None, **topic} for topic in topics],
                  timeout_ms=10000, **more)

        name = f"cp-{v}"
        ask("validate only", {"name": name, "count": 5}, validate_only=True)
        ask("same", {"name": name, "count": 2})
        ask("fewer", {"name": name, "count": 1})
        ask("zero", {"name": name, "count": 0})
        ask("minus one", {"name": name, "count": -1})
        ask("unknown topic", {"name": "cp-none", "count": 5})
        ask("invalid name", {"name": "a b", "count": 5})
        ask("empty name", {"name": "", "count": 5})
        ask("twice", {"name": name, "count": 3}, {"name": name, "count": 4})
        ask("no topics")
        ask("too few assignments", {"name": name, "count": 4, "assignments": [{"broker_ids": [1]}]})
        ask("too many assignments", {"name": name, "count": 3, "assignments": [{"broker_ids": [1]}] * 2})
        ask("unknown node", {"name": name, "count": 3, "assignments": [{"broker_ids": [7]}]})
        ask("same node twice", {"name": name, "count": 3, "assignments": [{"broker_ids": [1, 1]}]})
        ask("no node", {"name": name, "count": 3, "assignments": [{"broker_ids": []}]})
        ask("empty assignments", {"name": name, "count": 3, "assignments": []})
        ask("assigned", {"name": name, "count": 3, "assignments": [{"broker_ids": [1]}]})
        ask("more", {"name": name, "count": 4})
        ask("far too many", {"name": name, "count": 2000000000}, validate_only=True)


def describe_configs(t):
    t.create("dc-topic", 1, retention_ms="5000", cleanup_policy="compact,delete")
    t.settings_of("dc-topic")

    for v in t.range("DescribeConfigs"):
        def ask(label, *resources, **more):
            t.ask(label, "DescribeConfigs", v, resources=[
                {"configuration_keys": None, **one} for one in resources], **more)

        topic = {"resource_type": 2, "resource_name": "dc-topic"}
        ask("all", topic)
        ask("two keys", {**topic, "configuration_keys": ["retention.ms", "segment.bytes"]})
        ask("no keys", {**topic, "configuration_keys": []})
        ask("unknown key", {**topic, "configuration_keys": ["no.such", "retention.ms"]})
        ask("key twice", {**topic, "configuration_keys": ["retention.ms", "retention.ms"]})
        ask("synonyms", {**topic, "configuration_keys": ["retention.ms", "segment.bytes", "cleanup.policy"]},
            include_synonyms=True)
        if v >= 3:
            ask("documentation", {**topic, "configuration_keys": ["retention.ms"]},
                include_documentation=True)
        ask("unknown topic", {**topic, "resource_name": "dc-none"})
        ask("invalid topic", {**topic, "resource_name": "a b"})
        ask("empty topic", {**topic, "resource_name": ""})
        ask("resource twice", {**topic, "configuration_keys": ["retention.ms"]},
            {**topic, "configuration_keys": ["retention.ms"]})
        ask("no resources")
        node = {"resource_type": 4, "resource_name": "1"}
        ask("node", {**node, "configuration_keys": ["node.id", "log.retention.ms"]})
        ask("node, number of partitions", {**node, "configuration_keys": ["num.partitions"]},
            include_synonyms=True)
        ask("other node", {**node, "resource_name": "9"})
        ask("node without number", {**node, "resource_name": "x"})
        ask("all nodes", {**node, "resource_name": ""})
        for kind in (0, 1, 3, 5, 77, -1):
            ask(f"resource type {kind}", {"resource_type": kind, "resource_name": "x"})


def alter_configs(t):
    for api, versions in (("AlterConfigs", t.range("AlterConfigs")),
                          ("IncrementalAlterConfigs", t.range("IncrementalAlterConfigs"))):
        for v in versions:
            name = f"ac-{api.lower()}-{v}"
            t.create(name)
            incremental = api.startswith("Inc")

            def ask(label, *rows, kind=2, resource=name, **more):
                configs = [{"name": row[0], "value": row[1],
                            **({"config_operation": row[2] if len(row) > 2 else 0} if incremental else {})}
                           for row in rows]
                t.ask(label, api, v, resources=[{"resource_type": kind, "resource_name": resource,
                                                 "configs": configs}], **more)

            def state(label):
                t.keep(f"{api}: settings after {label}", v, t.settings_of(name))

            ask("set", ("retention.ms", "1234"))
            ask("set two", ("retention.ms", "12345"), ("segment.bytes", "2097152"))
            state("set two")
            ask("validate only", ("retention.ms", "77"), validate_only=True)
            state("validate only")
            ask("unknown setting", ("no.such", "1"))
            ask("empty name", ("", "1"))
            ask("invalid value", ("retention.ms", "soon"))
            ask("out of range", ("retention.ms", "-5"))
            ask("empty value", ("retention.ms", ""))
            ask("null value", ("retention.ms", None))
            ask("one good, one bad", ("segment.bytes", "3145728"), ("retention.ms", "x"))
            state("one good, one bad")
            ask("same setting twice", ("retention.ms", "1"), ("retention.ms", "2"))
            state("same setting twice")
            ask("nothing")
            state("nothing")
            ask("blanks", ("retention.ms", " 99 "))
            state("blanks")
            ask("bool", ("unclean.leader.election.enable", "TRUE"))
            ask("bad bool", ("unclean.leader.election.enable", "yes"))
            ask("ratio", ("min.cleanable.dirty.ratio", "0.25"))
            ask("bad ratio", ("min.cleanable.dirty.ratio", "1.5"))
            ask("bad word", ("cleanup.policy", "shred"))
            ask("unknown topic", ("retention.ms", "1"), resource="ac-none")
            ask("invalid topic", ("retention.ms", "1"), resource="a b")
            ask("empty topic", ("retention.ms", "1"), resource="")
            ask("unknown topic, validate only", ("retention.ms", "1"), resource="ac-none", validate_only=True)
            for kind in (0, 1, 3, 77, -1):
                ask(f"resource type {kind}", ("retention.ms", "1"), kind=kind, resource="x")
            ask("other node", ("log.retention.ms", "1"), kind=4, resource="9")
            t.ask("no resources", api, v, resources=[])
            one = {"resource_type": 2, "resource_name": name, "configs": [
                {"name": "retention.ms", "value": "5"}]}
            if v == t.range(api)[-1]:  # Kafka answers only one of the two
                t.ask("resource twice", api, v, resources=[one, one])
                state("resource twice")
            if not incremental:
                continue
            ask("delete", ("retention.ms", None, 1))
            ask("delete what is not set", ("flush.ms", None, 1))
            ask("delete unknown", ("no.such", None, 1))
            ask("delete with value", ("segment.bytes", "1", 1))
            state("delete")
            ask("append", ("cleanup.policy", "compact", 2))
            state("append")
            ask("append again", ("cleanup.policy", "compact", 2))
            state("append again")
            ask("subtract", ("cleanup.policy", "delete", 3))
            state("subtract")
            ask("subtract again", ("cleanup.policy", "delete", 3))
            ask("subtract the last", ("cleanup.policy", "compact", 3))
            state("subtract the last")
            ask("append two", ("cleanup.policy", "compact,delete", 2))
            ask("append to a number", ("retention.ms", "5", 2))
            ask("subtract from a number", ("retention.ms", "5", 3))
            ask("append null", ("cleanup.policy", None, 2))
            ask("append unknown", ("no.such", "x", 2))
            ask("operation 4", ("retention.ms", "5", 4))
            ask("operation -1", ("retention.ms", "5", -1))


def cluster(t):
    for v in t.range("DescribeCluster"):
        t.ask("plain", "DescribeCluster", v)
        t.ask("operations", "DescribeCluster", v, include_cluster_authorized_operations=True)
        if v >= 1:
            for kind in (0, 2, 3, -1):
                t.ask(f"endpoint type {kind}", "DescribeCluster", v, endpoint_type=kind)
        if v >= 2:
            t.ask("fenced", "DescribeCluster", v, include_fenced_brokers=True)
    t.create("ld", 2)
    for v in t.range("DescribeLogDirs"):
        for label, topics in (("one", [{"topic": "ld", "partitions": [0]}]),
                              ("both", [{"topic": "ld", "partitions": [1, 0]}]),
                              ("unknown", [{"topic": "ld-none", "partitions": [0]}]),
                              ("unknown partition", [{"topic": "ld", "partitions": [9, -1]}]),
                              ("no partitions", [{"topic": "ld", "partitions": []}]),
                              ("none", [])):
            t.ask(label, "DescribeLogDirs", v, topics=topics)


def describe_topic_partitions(t):
    topic_id = t.create("dtp-a", 3)
    t.create("dtp-b", 2)
    assert topic_id

    def ask(label, names, limit=2000, cursor=None):
        t.ask(label, "DescribeTopicPartitions", 0, topics=[{"name": name} for name in names],
              response_partition_limit=limit, cursor=cursor)

    ask("two", ["dtp-a", "dtp-b"])
    ask("two, in the other order", ["dtp-b", "dtp-a"])
    ask("unknown", ["dtp-none"])
    ask("unknown between", ["dtp-b", "dtp-aa", "dtp-a"])
    ask("invalid names", ["a b", ""])
    ask("twice", ["dtp-a", "dtp-a"])
    for limit in (1, 2, 3, 4, 5, 0, -1):
        ask(f"limit {limit}", ["dtp-a", "dtp-b"], limit)
    for topic, index in (("dtp-a", 0), ("dtp-a", 1), ("dtp-a", 2), ("dtp-a", 3), ("dtp-a", 9),
                         ("dtp-a", -1), ("dtp-b", 1), ("dtp-aa", 0), ("zzz", 0), ("a", 0), ("", 0)):
        ask(f"from {topic} {index}", ["dtp-a", "dtp-b"], cursor={"topic_name": topic,
                                                               "partition_index": index})
    ask("from the middle, limit 2", ["dtp-a", "dtp-b"], 2, {"topic_name": "dtp-a", "partition_index": 2})
    ask("limit and unknown", ["dtp-a", "dtp-aa", "dtp-b"], 3)


def reassignments(t):
    t.create("ra")
    for label, topics in (("all", None), ("one", [{"name": "ra", "partition_indexes": [0]}]),
                          ("unknown", [{"name": "ra-none", "partition_indexes": [0]}]),
                          ("unknown partition", [{"name": "ra", "partition_indexes": [5]}]), ("none", [])):
        t.ask(label, "ListPartitionReassignments", 0, topics=topics, timeout_ms=10000)


def config_resources(t):
    t.create("cr-topic")
    for v in t.range("ListConfigResources"):
        for label, kinds in (("all", []), ("topics", [2]), ("nodes", [4]), ("metrics", [16]),
                             ("loggers", [8]), ("groups", [32]), ("unknown", [77]), ("unknown, too", [2, 77]),
                             ("twice", [4, 4])):
            if v == 0 and kinds:
                continue
            answer = t.send("ListConfigResources", v, {"resource_types": kinds})
            if isinstance(answer, dict):  # which topics there are is not the question
                names = {(one.get("resource_type", 16), one["resource_name"])
                         for one in answer["config_resources"]}
                answer["config_resources"] = sorted(
                    [kind, name] for kind, name in names if kind != 2 or name == "cr-topic")
            t.keep(f"ListConfigResources: {label}", v, answer)


CASES = [metadata, api_versions, create_topics, delete_topics, create_partitions, describe_configs,
         alter_configs, cluster, describe_topic_partitions, reassignments, config_resources]
