"""Every API key that a node offers, asked by nobody, by a user without rights, and by one with rights.

A key that is offered and not in the table fails the test: whoever adds an API says here what it asks for
and where its answer says no."""

import json
import struct

import pytest

import raw_kafka
from node import run, wait_until
from raw_kafka import Connection, compact, string

TOPIC_DENIED, GROUP_DENIED, CLUSTER_DENIED = 29, 30, 31
PASSWORD = "secret enough"

ONE = struct.pack(">i", 1)
NONE = struct.pack(">i", 0)
NULL = struct.pack(">i", -1)
PARTITION = struct.pack(">i", 0)
T = string("t")
G = string("g")
ACL_FILTER = struct.pack(">b", 1) + struct.pack(">h", -1) + struct.pack(">b", 1) + \
    struct.pack(">hhbb", -1, -1, 1, 1)
ACL = struct.pack(">b", 2) + T + struct.pack(">b", 3) + string("User:x") + string("*") + \
    struct.pack(">bb", 3, 3)

# Key: version, whether it is flexible, body, where in the answer the error stands, which one.
APIS = {
    0: (3, False, struct.pack(">hhi", -1, 1, 1000) + ONE + T + ONE + PARTITION + NULL, 15,
        TOPIC_DENIED),
    1: (4, False, struct.pack(">iiiib", -1, 0, 0, 1000, 0) + ONE + T + ONE + PARTITION +
        struct.pack(">qi", 0, 1000), 19, TOPIC_DENIED),
    2: (1, False, NULL + ONE + T + ONE + PARTITION + struct.pack(">q", -1), 15, TOPIC_DENIED),
    3: (1, False, ONE + T, -10, TOPIC_DENIED),
    8: (2, False, G + NULL + string("") + struct.pack(">q", -1) + ONE + T + ONE + PARTITION +
        struct.pack(">q", 0) + string(""), 15, GROUP_DENIED),
    9: (2, False, G + ONE + T + ONE + PARTITION, -2, GROUP_DENIED),
    10: (1, False, G + b"\0", 4, GROUP_DENIED),
    11: (0, False, G + struct.pack(">i", 10000) + string("") + string("consumer") + ONE +
         string("range") + NONE, 0, GROUP_DENIED),
    12: (0, False, G + ONE + string("m"), 0, GROUP_DENIED),
    13: (0, False, G + string("m"), 0, GROUP_DENIED),
    14: (0, False, G + ONE + string("m") + NONE, 0, GROUP_DENIED),
    15: (0, False, ONE + G, 4, GROUP_DENIED),
    19: (2, False, ONE + T + struct.pack(">ih", 1, 1) + NONE + NONE + struct.pack(">ib", 1000, 0), 11,
         TOPIC_DENIED),
    20: (1, False, ONE + T + struct.pack(">i", 1000), 11, TOPIC_DENIED),
    21: (0, False, ONE + T + ONE + PARTITION + struct.pack(">q", 0) + struct.pack(">i", 1000), 27,
         TOPIC_DENIED),
    22: (0, False, struct.pack(">hi", -1, 1000), 4, CLUSTER_DENIED),
    23: (2, False, ONE + T + ONE + PARTITION + NULL + NONE, 15, TOPIC_DENIED),
    29: (1, False, ACL_FILTER, 4, CLUSTER_DENIED),
    30: (1, False, ONE + ACL, 8, CLUSTER_DENIED),
    31: (1, False, ONE + ACL_FILTER, 8, CLUSTER_DENIED),
    32: (1, False, ONE + b"\2" + T + NULL + b"\0", 8, TOPIC_DENIED),
    33: (0, False, ONE + b"\2" + T + NONE + b"\0", 8, TOPIC_DENIED),
    35: (3, True, b"\0\0", 4, CLUSTER_DENIED),
    37: (0, False, ONE + T + struct.pack(">i", 2) + NULL + struct.pack(">ib", 1000, 1), 11,
         TOPIC_DENIED),
    42: (0, False, ONE + G, 11, GROUP_DENIED),
    44: (0, False, ONE + b"\2" + T + NONE + b"\0", 8, TOPIC_DENIED),
    46: (0, True, struct.pack(">i", 1000) + b"\0\0", 4, CLUSTER_DENIED),
    47: (0, False, G + ONE + T + ONE + PARTITION, 0, GROUP_DENIED),
    48: (0, False, NONE + b"\0", 4, CLUSTER_DENIED),
    49: (0, False, ONE + ONE + string("user") + string("x") + ONE + string("producer_byte_rate") +
         struct.pack(">d", 1000) + b"\0" + b"\1", 8, CLUSTER_DENIED),
    50: (0, True, b"\0\0", 4, CLUSTER_DENIED),
    51: (0, True, b"\2" + compact("x") + b"\1\0" + b"\1\0", 7, CLUSTER_DENIED),
    61: (0, True, b"\2" + compact("t") + b"\2" + PARTITION + b"\0\0", 12, TOPIC_DENIED),
    74: (0, True, b"\0", 4, CLUSTER_DENIED),
    75: (0, True, b"\2" + compact("t") + b"\0" + struct.pack(">i", 10) + b"\xff\0", 5, TOPIC_DENIED),
}
# What needs no right: to say who one is, what is offered; to be told of the cluster one is connected to;
# and a list of groups, which leaves out what one may not see.
FREE = {17, 18, 36, 60, 16}
BEFORE_AUTHENTICATION = {17, 18}


@pytest.fixture
def secure(node, free_port):
    made = node({"listen": [{"address": f"127.0.0.1:{free_port()}", "sasl": ["SCRAM-SHA-256"]}],
                 "authorization": {"super_users": ["root"]},
                 "topics": {"t": {}}}).start()
    with Connection(str(made.socket_path)) as control:
        for user in ("root", "nobody"):
            assert raw_kafka.set_user(control, user, PASSWORD, [raw_kafka.SHA_256]) == {user: 0}
    return made


def offered(connection):
    answer = connection.call(raw_kafka.API_VERSIONS, 0, b"")
    error, count = struct.unpack(">hi", answer[:6])
    assert error == 0
    return {struct.unpack(">h", answer[6 + 6 * i:8 + 6 * i])[0] for i in range(count)}


def connect(node, user=None):
    connection = Connection(("127.0.0.1", node.ports[0]))
    if user is not None:
        assert connection.scram("SCRAM-SHA-256", user, PASSWORD)[0] == 0
    return connection


def error_of(connection, key):
    version, flexible, body, place, _ = APIS[key]
    answer = connection.call(key, version, body, flexible=flexible)
    place = place if place >= 0 else len(answer) + place
    return struct.unpack(">h", answer[place:place + 2])[0]


def test_no_key_is_forgotten(secure):
    with connect(secure) as connection:
        keys = offered(connection)
    assert keys - FREE - set(APIS) == set()
    assert len(keys) > 25


def test_nobody_may_do_anything(secure):
    with connect(secure) as connection:
        keys = offered(connection)
    for key in sorted(keys - BEFORE_AUTHENTICATION):
        version, flexible, body = APIS[key][:3] if key in APIS else (0, False, b"")
        with connect(secure) as connection, pytest.raises((EOFError, ConnectionResetError)):
            connection.call(key, version, body, flexible=flexible)


def test_a_user_without_rights_is_told_so(secure):
    with connect(secure, "nobody") as connection:
        keys = offered(connection)
        errors = {key: error_of(connection, key) for key in sorted(keys & set(APIS))}
    assert errors == {key: APIS[key][4] for key in errors}


def test_a_user_with_rights_is_let_in(secure):
    """Other errors are fine (no such group, an empty record set): the question is not who asks."""
    with connect(secure, "root") as connection:
        keys = offered(connection)
        for key in sorted(keys & set(APIS)):
            assert error_of(connection, key) not in (TOPIC_DENIED, GROUP_DENIED, CLUSTER_DENIED), key


def test_the_own_socket_may_everything(secure):
    with Connection(str(secure.socket_path)) as connection:
        keys = offered(connection)
        for key in sorted(keys & set(APIS)):
            assert error_of(connection, key) not in (TOPIC_DENIED, GROUP_DENIED, CLUSTER_DENIED), key


CHANGES = {19: "CreateTopics", 20: "DeleteTopics", 21: "DeleteRecords", 30: "CreateAcls", 31: "DeleteAcls",
           33: "AlterConfigs", 37: "CreatePartitions", 42: "DeleteGroups", 44: "IncrementalAlterConfigs",
           47: "OffsetDelete", 49: "AlterClientQuotas", 51: "AlterUserScramCredentials"}


def audit_of(node):
    done = run("consume", "--data", node.data, "-t", "__audit", "-o", "beginning", "-e")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_refusal_and_every_change_is_in_the_audit(secure):
    """Whatever key is asked: a no is told, and what changes something is told in either case."""
    with connect(secure, "nobody") as connection:
        keys = offered(connection) & set(APIS)
        for key in sorted(keys):
            error_of(connection, key)
    with connect(secure, "root") as connection:
        for key in sorted(keys):
            error_of(connection, key)

    def is_complete():
        refused = {row["action"] for row in audit_of(secure)
                   if row["principal"] == "User:nobody" and row["outcome"] == "denied"}
        return len(refused) == len(keys)

    wait_until(is_complete, what="a refusal of each key")
    changed = {row["action"]: row for row in audit_of(secure) if row["principal"] == "User:root"}
    assert set(changed) == {name for key, name in CHANGES.items() if key in keys}
    assert not [row for row in changed.values() if row["outcome"] == "denied"]
