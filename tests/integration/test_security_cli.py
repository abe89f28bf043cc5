"""`millrace users` and `millrace acls` against a node that asks who its clients are."""

import json

import pytest

from node import run
from raw_kafka import Connection


@pytest.fixture
def secure(node, free_port):
    return node({"listen": [{"address": f"127.0.0.1:{free_port()}",
                             "sasl": ["SCRAM-SHA-512", "SCRAM-SHA-256"]}]}).start()


def cli(node, *arguments, status=0, **keywords):
    done = run(*arguments, "--data", node.data, **keywords)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def login(node, user, password, mechanism="SCRAM-SHA-512"):
    with Connection(("127.0.0.1", node.ports[0])) as connection:
        return connection.scram(mechanism, user, password)[0]


def test_a_user_is_made_changed_and_removed(secure, tmp_path):
    cli(secure, "users", "create", "alice", input="one, with = and ,\nignored\n")
    assert login(secure, "alice", "one, with = and ,") == 0
    assert login(secure, "alice", "one, with = and ,", "SCRAM-SHA-256") == 0
    secret = tmp_path / "secret"
    secret.write_text("two\n", encoding="utf-8")
    cli(secure, "users", "create", "alice", "--password-file", secret, "--iterations", "8192")
    assert login(secure, "alice", "one, with = and ,") == 58
    assert login(secure, "alice", "two") == 0
    cli(secure, "users", "create", "bob", "--mechanism", "SCRAM-SHA-256", input="x\n")
    users = {row["user"]: row["credentials"]
             for row in json.loads(cli(secure, "users", "-o", "json").stdout)}
    assert users == {"alice": [{"mechanism": "SCRAM-SHA-256", "iterations": 8192},
                               {"mechanism": "SCRAM-SHA-512", "iterations": 8192}],
                     "bob": [{"mechanism": "SCRAM-SHA-256", "iterations": 4096}]}
    cli(secure, "users", "delete", "alice")
    assert login(secure, "alice", "two") == 58
    assert "alice" not in cli(secure, "users").stdout
    assert "RESOURCE_NOT_FOUND" in cli(secure, "users", "delete", "alice", status=1).stderr
    assert "two" not in secure.stderr().replace("not in time", "")


def test_rights_are_given_and_taken(secure):
    cli(secure, "acls", "add", "--allow", "alice", "--operation", "read", "--operation", "write",
        "--topic", "web.", "--prefixed")
    cli(secure, "acls", "add", "--deny", "User:*", "--operation", "Write", "--topic", "frozen",
        "--host", "10.0.0.1")
    cli(secure, "acls", "add", "--allow", "alice", "--cluster")
    rows = json.loads(cli(secure, "acls", "list", "-o", "json").stdout)
    assert len(rows) == 4
    assert {"permission": "deny", "principal": "User:*", "host": "10.0.0.1", "operation": "write",
            "resource": "topic", "pattern": "literal", "name": "frozen"} in rows
    assert {"permission": "allow", "principal": "User:alice", "host": "*", "operation": "all",
            "resource": "cluster", "pattern": "literal", "name": "kafka-cluster"} in rows
    assert "frozen" in cli(secure, "acls").stdout
    assert len(json.loads(cli(secure, "acls", "list", "--topic", "web.", "-o", "json").stdout)) == 2
    cli(secure, "acls", "remove", "--allow", "alice", "--topic", "web.", "--prefixed")
    cli(secure, "acls", "remove", "--allow", "alice", "--topic", "web.", "--prefixed", status=1)
    assert len(json.loads(cli(secure, "acls", "list", "-o", "json").stdout)) == 2


@pytest.mark.parametrize("arguments,words", [
    (["users", "frob"], "list, create or delete"),
    (["users", "create"], "one name"),
    (["users", "create", "x", "--mechanism", "PLAIN"], "is wanted"),
    (["users", "create", "x", "--iterations", "1"], "4096"),
    (["acls", "add", "--topic", "t"], "whom"),
    (["acls", "add", "--allow", "a"], "with what"),
    (["acls", "add", "--allow", "a", "--topic", "t", "--group", "g"], "one resource"),
    (["acls", "add", "--allow", "a", "--topic", "t", "--operation", "raed"], "did you mean 'read'"),
])
def test_what_is_not_understood(secure, arguments, words):
    assert words in cli(secure, *arguments, status=2, input="x\n").stderr


def test_an_empty_password_is_none(secure):
    assert "password" in cli(secure, "users", "create", "x", status=2, input="\n").stderr
    assert "password" in cli(secure, "users", "create", "x", status=2, input="y" * 600 + "\n").stderr
    assert json.loads(cli(secure, "users", "-o", "json").stdout) == []
