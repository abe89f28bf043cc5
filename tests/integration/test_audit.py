"""The topic __audit: what is in it, what is not, who may read it, and that it costs nothing where there is
nothing to tell."""

import json
import os
import struct
import subprocess

import raw_kafka
from node import PATIENCE_S, run, wait_until
from raw import record_batch
from raw_kafka import Connection
from security import PASSWORD, allow, certificates, metric, raw, secure  # noqa: F401

TOPIC_DENIED, POLICY_VIOLATION = 29, 44


def audit_of(node, *where):
    where = where or ("--data", node.data)
    done = run("consume", *where, "-t", "__audit", "-o", "beginning", "-e")
    return [json.loads(line) for line in done.stdout.splitlines()]


def find(node, **fields):
    return [row for row in audit_of(node)
            if all(row.get(name) == value for name, value in fields.items())]


def wait_for(node, **fields):
    return wait_until(lambda: find(node, **fields), what=f"{fields} in the audit")


def test_changes_are_told_with_who_what_and_how(node, free_port):
    made = node({"listen": [{"address": f"127.0.0.1:{free_port()}"}]}).start()
    assert run("topics", "create", "web", "--partitions", "2", "-b", made.bootstrap).returncode == 0
    assert run("topics", "create", "web", "-b", made.bootstrap).returncode != 0
    assert run("topics", "delete", "web", "--yes", "--data", made.data).returncode == 0
    (created,) = wait_for(made, action="CreateTopics", outcome="ok")
    assert created["principal"] == "User:ANONYMOUS" and created["address"] == "127.0.0.1"
    assert created["resources"] == ["topic:web"]
    assert created["details"]["topics"][0]["num_partitions"] == 2
    (refused,) = wait_for(made, action="CreateTopics", outcome="failed")
    assert refused["errors"] == ["TOPIC_ALREADY_EXISTS"]
    (deleted,) = wait_for(made, action="DeleteTopics", outcome="ok")
    assert deleted["principal"] == "User:millrace" and deleted["uid"] == os.geteuid()
    before = len(audit_of(made))
    made.stop()
    made.start()
    assert len(audit_of(made)) == before
    made.kill()
    made.start()
    assert len(audit_of(made)) == before


def test_names_of_quotas_are_told(node, free_port):
    """Kafka calls the name of a quota its key, which is no secret."""
    made = node({"listen": [{"address": f"127.0.0.1:{free_port()}"}]}).start()
    assert run("quotas", "set", "--for", "user=alice", "producer_byte_rate=1000", "--data",
               made.data).returncode == 0
    (changed,) = wait_for(made, action="AlterClientQuotas", outcome="ok")
    assert changed["details"]["entries"][0]["ops"] == [{"key": "producer_byte_rate", "value": 1000}]


def test_refusals_and_failed_logins_are_added_up(secure, certificates):  # noqa: F811
    """A flood becomes a few records with a number; nobody's password or hash is in any."""
    made = secure()
    for _ in range(3):
        with raw(made) as connection:
            assert connection.scram("SCRAM-SHA-256", "mallory", "guess")[0] != 0
    with raw(made) as connection:
        assert connection.scram("SCRAM-SHA-256", "alice", PASSWORD)[0] == 0
        for _ in range(500):
            raw_kafka.add_acl(connection, "User:alice", raw_kafka.ALL, raw_kafka.CLUSTER, "kafka-cluster")
            connection.call(raw_kafka.METADATA, 1, b"\0\0\0\1" + raw_kafka.string("secret-topic"))
    logins = wait_for(made, action="Authenticate", principal="User:mallory")
    wait_until(lambda: sum(row.get("count", 1) for row in
                           find(made, action="Authenticate", principal="User:mallory")) == 3,
               what="three failed logins")
    assert logins[0]["outcome"] == "failed" and "SCRAM-SHA-256" in logins[0]["reason"]
    for action, resource in (("Metadata", "topic:secret-topic"), ("CreateAcls", "cluster")):
        wait_until(lambda: sum(row.get("count", 1) for row in
                               find(made, action=action, outcome="denied")) == 500,
                   what=f"500 refusals of {action}")
        rows = find(made, action=action, outcome="denied")
        assert rows[0]["principal"] == "User:alice" and rows[0]["resources"] == [resource]
        assert len(rows) < 100
    users = find(made, action="AlterUserScramCredentials", outcome="ok")
    assert users and "salted_password" not in str([row for row in users if "bytes" in str(row)])
    assert "(hidden)" in str(users) and PASSWORD not in str(audit_of(made))


def fetch(made, user):
    """The error of a Fetch of __audit (v4), and the answer."""
    name = raw_kafka.string("__audit")
    body = struct.pack(">iiiibi", -1, 0, 0, 1 << 20, 0, 1) + name + \
        struct.pack(">iiqi", 1, 0, 0, 1 << 20)
    with raw(made) as connection:
        assert connection.scram("SCRAM-SHA-256", user, PASSWORD)[0] == 0
        answer = connection.call(1, 4, body)
    place = 4 + 4 + len(name) + 4 + 4
    return struct.unpack(">h", answer[place:place + 2])[0], answer


def produce(made, user):
    """The error of a Produce to __audit (v3)."""
    name = raw_kafka.string("__audit")
    batch = record_batch(b"{}")
    body = struct.pack(">hhii", -1, 1, 1000, 1) + name + struct.pack(">iii", 1, 0, len(batch)) + batch
    with raw(made) as connection:
        assert connection.scram("SCRAM-SHA-256", user, PASSWORD)[0] == 0
        answer = connection.call(0, 3, body)
    place = 4 + len(name) + 4 + 4
    return struct.unpack(">h", answer[place:place + 2])[0]


def test_nobody_writes_it_and_reading_needs_the_right(secure, certificates):  # noqa: F811
    made = secure()
    wait_for(made, action="AlterUserScramCredentials")
    end = len(audit_of(made))
    assert produce(made, "admin") == POLICY_VIOLATION
    for change in (("delete", "__audit", "--yes"), ("alter", "__audit", "--config", "retention.ms=1")):
        assert run("topics", *change, "--data", made.data).returncode != 0
    assert fetch(made, "alice")[0] == TOPIC_DENIED
    allow(made, "User:alice", raw_kafka.READ, raw_kafka.TOPIC, "__audit")
    error, answer = fetch(made, "alice")
    assert error == 0 and len(answer) > 200
    wait_until(lambda: find(made, action="DeleteTopics", outcome="failed"), what="the attempt")
    assert len(audit_of(made)) > end


def test_tokens_are_in_it(node, free_port):
    made = node({"admin": {"address": f"127.0.0.1:{free_port()}"}}).start()
    assert run("tokens", "create", "ops", "--role", "admin", "--data", made.data).returncode == 0
    (created,) = wait_for(made, action="TokenCreate", outcome="ok")
    assert created["principal"] == f"uid:{os.geteuid()}" and created["resources"] == ["ops"]
    assert "mrt_" not in str(audit_of(made))
    subprocess.run(["/usr/bin/python3", "-c",
                    "import sys, urllib.request\n"
                    "try: urllib.request.urlopen(sys.argv[1])\n"
                    "except urllib.error.HTTPError as e: assert e.code == 401",
                    f"http://{made.config['admin']['address']}/files"], check=True, timeout=PATIENCE_S)
    (refused,) = wait_for(made, action="AdminRequest")
    assert refused["outcome"] == "denied" and refused["reason"] == "no token"
    assert metric(made, "millrace_audit_records_total") == 2


def test_an_idle_edge_has_none(node, tmp_path):
    """And where it is switched off there is none at all."""
    log = tmp_path / "a.log"
    log.write_text("line\n", encoding="utf-8")
    edge = node({"sources": {"a": {"type": "file", "paths": [str(log)], "topic": "a"}}}, "edge").start()
    wait_until(lambda: run("consume", "--data", edge.data, "-t", "a", "-o", "beginning", "-e").stdout,
               what="the line")
    edge.stop()
    assert not list(edge.data.glob("__audit*"))
    silent = node({"audit": {"enabled": False}}, "silent").start()
    assert run("topics", "create", "web", "--data", silent.data).returncode == 0
    silent.stop()
    assert not list(silent.data.glob("__audit*"))


def test_a_full_disk_fails_no_change(node, free_port):
    """At the disk's limit changes are made as ever, and what cannot be told is counted."""
    made = node({"listen": [{"address": f"127.0.0.1:{free_port()}"}],
                 "disk": {"limit": "3MiB"}, "topics": {"big": {"segment": {"size": "1MiB"}}}}).start()
    for _ in range(40):
        done = run("produce", "-t", "big", "--data", made.data, "--compression", "none",
                   input="x" * 100000 + "\n")
        if done.returncode != 0:
            break
    for number in range(20):
        assert run("topics", "create", f"t{number}", "--data", made.data).returncode == 0
    with Connection(str(made.socket_path)) as connection:
        assert raw_kafka.set_user(connection, "alice", PASSWORD) == {"alice": 0}
    wait_until(lambda: metric(made, "millrace_audit_records_total") >= 21, what="records")
