"""Client quotas as they are set, listed and kept: by Kafka's APIs and by the command line."""

import json

import pytest

from node import run
from quotas import ANY, DEFAULT, EXACT, alter, describe, set_quota
from raw_kafka import Connection

INVALID_REQUEST, UNSUPPORTED_VERSION = 42, 35


@pytest.fixture
def own(node):
    return node({"listen": []}).start()


@pytest.fixture
def control(own):
    with Connection(str(own.socket_path)) as connection:
        yield connection


def cli(node, *arguments, status=0):
    done = run("quotas", *arguments, "--data", node.data)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def fill(connection):
    set_quota(connection, {"user": "alice"}, producer_byte_rate=1000, request_percentage=12.5)
    set_quota(connection, {"user": "alice", "client-id": "app"}, consumer_byte_rate=2000)
    set_quota(connection, {"user": None, "client-id": None}, consumer_byte_rate=3000)
    set_quota(connection, {"client-id": "app"}, controller_mutation_rate=0.5)
    set_quota(connection, {"client-id": None}, producer_byte_rate=4000)
    set_quota(connection, {"ip": "::ffff:10.0.0.1"}, connection_creation_rate=5)
    set_quota(connection, {"ip": None}, connection_creation_rate=6)


def entity(**names):
    return tuple(sorted(((kind.replace("_", "-"), name) for kind, name in names.items()), key=str))


def test_what_is_asked_for_is_found(control):
    fill(control)
    assert len(describe(control)[1]) == 7
    assert describe(control, strict=True) == (0, {})
    assert describe(control, ("user", EXACT, "alice")) == (0, {
        entity(user="alice"): {"producer_byte_rate": 1000, "request_percentage": 12.5},
        entity(user="alice", client_id="app"): {"consumer_byte_rate": 2000}})
    assert describe(control, ("user", EXACT, "alice"), strict=True)[1].keys() == {entity(user="alice")}
    assert describe(control, ("user", DEFAULT, None))[1].keys() == {entity(user=None, client_id=None)}
    assert describe(control, ("client-id", ANY, None))[1].keys() == {
        entity(user="alice", client_id="app"), entity(user=None, client_id=None),
        entity(client_id="app"), entity(client_id=None)}
    assert describe(control, ("client-id", ANY, None), strict=True)[1].keys() == {
        entity(client_id="app"), entity(client_id=None)}
    assert describe(control, ("user", ANY, None), ("client-id", EXACT, "app"), strict=True)[1].keys() == {
        entity(user="alice", client_id="app")}
    assert describe(control, ("ip", EXACT, "10.0.0.1")) == (0, {
        entity(ip="10.0.0.1"): {"connection_creation_rate": 5}})
    assert describe(control, ("ip", EXACT, "::ffff:a00:1"))[1].keys() == {entity(ip="10.0.0.1")}
    assert describe(control, ("user", EXACT, "bob")) == (0, {})


@pytest.mark.parametrize("components,error", [
    ([("", EXACT, "x")], INVALID_REQUEST),
    ([("group", EXACT, "x")], UNSUPPORTED_VERSION),
    ([("user", EXACT, "x"), ("user", ANY, None)], INVALID_REQUEST),
    ([("user", EXACT, None)], INVALID_REQUEST),
    ([("user", DEFAULT, "x")], INVALID_REQUEST),
    ([("user", ANY, "x")], INVALID_REQUEST),
    ([("user", 3, "x")], INVALID_REQUEST),
    ([("ip", ANY, None), ("user", ANY, None)], INVALID_REQUEST),
])
def test_filters_that_are_none(control, components, error):
    assert describe(control, *components) == (error, {})


@pytest.mark.parametrize("names,rates", [
    ({}, {"producer_byte_rate": 1}),
    ({"user": ""}, {"producer_byte_rate": 1}),
    ({"group": "x"}, {"producer_byte_rate": 1}),
    ({"user": "x", "ip": "10.0.0.1"}, {"producer_byte_rate": 1}),
    ({"ip": "nowhere"}, {"connection_creation_rate": 1}),
    ({"ip": "10.0.0.1"}, {"producer_byte_rate": 1}),
    ({"user": "x"}, {"connection_creation_rate": 1}),
    ({"user": "x"}, {"produce_rate": 1}),
    ({"user": "x"}, {"producer_byte_rate": 0}),
    ({"user": "x"}, {"producer_byte_rate": -1}),
    ({"user": "x"}, {"producer_byte_rate": 1.5}),
    ({"user": "x"}, {"producer_byte_rate": float("nan")}),
    ({"user": "x"}, {"request_percentage": float("inf")}),
    ([("user", "x"), ("user", "y")], {"producer_byte_rate": 1}),
    ({"user": "x"}, [("producer_byte_rate", 1), ("producer_byte_rate", 2)]),
])
def test_what_cannot_be_set(control, names, rates):
    (error, words), fine = alter(control, (names, rates), ({"user": "fine"}, {"producer_byte_rate": 1}))
    assert error == INVALID_REQUEST and words
    assert fine == (0, None)
    assert describe(control)[1] == {entity(user="fine"): {"producer_byte_rate": 1}}


def test_changes(control):
    alter(control, ({"user": "a"}, {"producer_byte_rate": 1}), validate_only=True)
    assert describe(control)[1] == {}
    set_quota(control, {"user": "a"}, producer_byte_rate=1, consumer_byte_rate=2)
    set_quota(control, {"user": "a"}, producer_byte_rate=3, consumer_byte_rate=None)
    assert describe(control)[1] == {entity(user="a"): {"producer_byte_rate": 3}}
    set_quota(control, {"user": "a"}, consumer_byte_rate=None)
    set_quota(control, {"user": "b"}, consumer_byte_rate=None)
    set_quota(control, {"user": "c"})
    assert describe(control)[1] == {entity(user="a"): {"producer_byte_rate": 3}}
    set_quota(control, {"user": "a"}, producer_byte_rate=None)
    assert describe(control)[1] == {}


def test_they_survive(own):
    with Connection(str(own.socket_path)) as connection:
        fill(connection)
        before = describe(connection)
    own.kill()
    own.start()
    with Connection(str(own.socket_path)) as connection:
        assert describe(connection) == before
        set_quota(connection, {"user": "alice"}, producer_byte_rate=None, request_percentage=None)
        before = describe(connection)
        assert len(before[1]) == 6
        # Enough changes for a snapshot to take the log's place.
        for _ in range(6):
            alter(connection, *[({"user": "x" * 1000, "client-id": f"c{i}"}, {"request_percentage": 1 + i})
                                for i in range(50)])
            alter(connection, *[({"user": "x" * 1000, "client-id": f"c{i}"}, {"request_percentage": None})
                                for i in range(50)])
    own.stop()
    own.start()
    with Connection(str(own.socket_path)) as connection:
        assert describe(connection) == before


def test_by_the_command_line(own):
    cli(own, "set", "--for", "user=alice", "producer_byte_rate=1048576", "request_percentage=12.5")
    cli(own, "set", "--for", "client-id", "--for", "user=alice", "consumer_byte_rate=4096")
    cli(own, "set", "--for", "ip=10.0.0.1", "connection_creation_rate=20")
    assert "nothing was changed" in cli(own, "set", "--for", "user=bob", "producer_byte_rate=1",
                                        "--dry-run").stderr
    rows = json.loads(cli(own, "list", "-o", "json").stdout)
    assert rows == [
        {"user": "alice", "quotas": {"producer_byte_rate": 1048576.0, "request_percentage": 12.5}},
        {"user": "alice", "client-id": "<default>", "quotas": {"consumer_byte_rate": 4096.0}},
        {"ip": "10.0.0.1", "quotas": {"connection_creation_rate": 20.0}}]
    assert json.loads(cli(own, "list", "--for", "ip=10.0.0.1", "-o", "json").stdout) == [
        {"ip": "10.0.0.1", "quotas": {"connection_creation_rate": 20.0}}]
    table = cli(own).stdout
    assert "1048576" in table and "<default>" in table and "12.5" in table
    cli(own, "remove", "--for", "user=alice", "producer_byte_rate")
    assert "1048576" not in cli(own, "--no-header").stdout
    assert "INVALID_REQUEST" in cli(own, "set", "--for", "ip=nowhere", "connection_creation_rate=1",
                                    status=1).stderr


@pytest.mark.parametrize("arguments,words", [
    (["frob"], "list, set or remove"),
    (["set", "producer_byte_rate=1"], "whose"),
    (["set", "--for", "user=x"], "which quota"),
    (["set", "--for", "group=x", "producer_byte_rate=1"], "user, client-id or ip"),
    (["set", "--for", "user=x", "producer_byte_rat=1"], "did you mean 'producer_byte_rate'"),
    (["set", "--for", "user=x", "producer_byte_rate"], "a value is wanted"),
    (["set", "--for", "user=x", "producer_byte_rate=much"], "a number greater than 0"),
    (["set", "--for", "user=x", "producer_byte_rate=0"], "a number greater than 0"),
    (["set", "--for", "user=x", "--for", "user", "producer_byte_rate=1"], "one user only"),
    (["remove", "--for", "user=x", "producer_byte_rate=1"], "only the quota's name"),
    (["list", "producer_byte_rate"], "takes no"),
])
def test_what_is_not_understood(own, arguments, words):
    assert words in cli(own, *arguments, status=2).stderr
