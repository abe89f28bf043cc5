"""Tokens of the admin API: made by the command line, used over TCP, gone when revoked; slow and malformed
clients cost nothing else."""

import json
import socket
import time

import pytest

from node import run, wait_until


@pytest.fixture
def hub(node, free_port, tmp_path):
    made = node({"node": {"name": "hub", "run": str(tmp_path / "run")},
                 "admin": {"address": f"127.0.0.1:{free_port()}"}}).start()
    made.admin = made.config["admin"]["address"]
    return made


def cli(hub, *arguments, status=0):
    done = run(*arguments, "--data", hub.data)
    assert done.returncode == status, done.stderr
    return done


def remote(hub, *arguments, token=None, status=0):
    done = run(*arguments, "--node", f"http://{hub.admin}",
               *(["--token-file", token] if token else []))
    assert done.returncode == status, done.stderr
    return done


def make(hub, tmp_path, name, role, *more):
    path = tmp_path / f"{name}.token"
    path.write_text(cli(hub, "tokens", "create", name, "--role", role, *more).stdout, encoding="utf-8")
    return path


def test_a_token_opens_what_its_role_may(hub, tmp_path):
    reader, ops = make(hub, tmp_path, "reader", "read"), make(hub, tmp_path, "ops", "admin")
    for command in ("files", "sinks", "ledger", "health"):
        remote(hub, command, "-o", "json", token=reader)
    assert "401" in remote(hub, "ledger", status=1).stderr
    assert "may only read" in remote(hub, "tokens", token=reader, status=1).stderr
    rows = {row["name"]: row for row in json.loads(remote(hub, "tokens", "-o", "json", token=ops).stdout)}
    assert rows["reader"]["role"] == "read" and rows["reader"]["last_used_ms"] > 0
    assert "NAME" in cli(hub, "tokens").stdout and "never" in cli(hub, "tokens").stdout
    remote(hub, "tokens", "revoke", "reader", token=ops)
    assert "401" in remote(hub, "files", token=reader, status=1).stderr
    assert "no token 'reader'" in remote(hub, "tokens", "revoke", "reader", token=ops, status=1).stderr


def test_tokens_outlive_the_node_and_are_written_nowhere(hub, tmp_path):
    reader = make(hub, tmp_path, "reader", "read")
    remote(hub, "files", token=reader)
    hub.stop()
    text = reader.read_text(encoding="utf-8").strip()
    for path in hub.directory.rglob("*"):
        if path.is_file():
            assert text.encode() not in path.read_bytes(), path
    assert (hub.data / "tokens").stat().st_mode & 0o777 == 0o600
    hub.start()
    remote(hub, "files", token=reader)


def test_an_expired_token_is_none(hub, tmp_path):
    short = make(hub, tmp_path, "short", "read", "--expires", "1ms")
    assert "401" in remote(hub, "files", token=short, status=1).stderr


def test_the_command_line_refuses_what_would_leak(hub, tmp_path):
    token = make(hub, tmp_path, "reader", "read")
    done = run("files", "--node", "http://192.0.2.1:9692", "--token-file", token)
    assert done.returncode == 2 and "without TLS" in done.stderr
    assert run("files", "--node", "hub:9692").returncode == 2
    assert cli(hub, "files", "--token-file", token, status=2).stderr
    assert cli(hub, "tokens", "create", "x", status=2).stderr
    assert "already" in cli(hub, "tokens", "create", "reader", "--role", "read", status=1).stderr


def raw(hub, data, timeout_s=30):
    host, port = hub.admin.split(":")
    client = socket.create_connection((host, int(port)), timeout=timeout_s)
    client.sendall(data)
    return client


def answer_of(client):
    data = b""
    while part := client.recv(65536):
        data += part
    return data


def test_slow_and_malformed_clients_cost_nothing_else(hub, tmp_path):
    """Half a head is cut off after its time, too many or too large headers are refused, and meanwhile
    others are answered."""
    reader = make(hub, tmp_path, "reader", "read")
    slow = [raw(hub, b"GET /metrics HTTP/1.1\r\nHost: x\r\n") for _ in range(20)]
    started = time.monotonic()
    remote(hub, "files", token=reader)
    large = raw(hub, b"GET /metrics HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20000 + b"\r\n\r\n")
    assert b" 431 " in answer_of(large)
    many = raw(hub, b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"A: a\r\n" * 1000 + b"\r\n")
    assert b" 431 " in answer_of(many)
    split = raw(hub, b"GET /files HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\n"
                     b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert b" 400 " in answer_of(split)
    for client in slow:
        assert b" 408 " in answer_of(client)
    assert time.monotonic() - started >= 9
    wait_until(lambda: remote(hub, "health", "-o", "json").returncode == 0, what="health")
