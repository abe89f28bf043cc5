"""Secrets of the configuration: in no core dump, no output, no answer; read again when they change."""

import json
import os
import pathlib
import signal
import socket

import pytest
import yaml

import raw_kafka
from core_memory import dumped_and_kept
from node import binary, run, wait_until
from raw_kafka import Connection
from security import MECHANISMS, certificates, metric, server_tls  # noqa: F401

PROGRAM = pathlib.Path(binary()).read_bytes()
IS_SANITIZED = b"__asan_" in PROGRAM or b"__tsan_" in PROGRAM
SECRETS = {"scram": "scram-kV3u8Qz1Xw5Lr9Tn", "plain": "plain-Yb6c2Hs8Dm4Jf0Gp",
           "cluster": "cluster-Nq7e5Ra3Zt9Bw1Ux", "oauth": "oauth-Wd2k6Mv8Ph4Ls0Cy",
           "written": "written-Tj5x9Fo1Ei7Ku3Ag"}


def admin(node, path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(node.data / "admin.sock"))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.decode(errors="replace")


@pytest.fixture
def files(tmp_path):
    """A file for each secret, also as credentials as systemd gives them."""
    where = tmp_path / "secrets"
    where.mkdir()
    for name, secret in SECRETS.items():
        (where / name).write_text(secret + "\n")
    return where


@pytest.fixture
def hub(node, free_port, certificates, files):
    """A plain listener and one with TLS, for users and nodes."""

    def make(**more):
        ports = [free_port(), free_port()]
        sasl = [*MECHANISMS, "CLUSTER-KEY"]
        made = node({
            "node": {"cluster_key": f"${{file:{files / 'cluster'}}}"},
            "listen": [{"address": f"127.0.0.1:{ports[0]}", "sasl": sasl, "insecure": True},
                       {"address": f"127.0.0.1:{ports[1]}", "advertise": f"localhost:{ports[1]}",
                        "sasl": sasl, "tls": server_tls(certificates)}],
            "authorization": {"super_users": ["scram", "plain", "written"]}, **more}, "hub")
        made.start(environment={"CREDENTIALS_DIRECTORY": str(files)})
        with Connection(str(made.socket_path)) as control:
            for user in ("scram", "plain", "written"):
                assert raw_kafka.set_user(control, user, SECRETS[user]) == {user: 0}
        return made

    return make


@pytest.fixture
def edge(node, certificates, files, tmp_path, free_port):
    """A node with a sink for each kind of secret."""

    def make(hub):
        log = tmp_path / "web.log"
        log.write_text("one\ntwo\n", encoding="utf-8")
        tls = {"ca": str(certificates / "ca.pem")}

        def sink(place, sasl, **more):
            return {"type": "peer", "topics": ["web"], "nodes": [f"localhost:{hub.ports[place]}"],
                    "prefix": f"{len(sinks)}.", "sasl": sasl, **more}

        sinks = {}
        sinks["scram"] = sink(0, {"user": "scram", "password": f"${{file:{files / 'scram'}}}"})
        sinks["plain"] = sink(1, {"mechanism": "PLAIN", "user": "plain",
                                  "password": "${cred:plain}"}, tls=tls)
        sinks["written"] = sink(0, {"user": "written", "password": SECRETS["written"]})
        sinks["cluster"] = sink(0, {"mechanism": "CLUSTER-KEY"})
        sinks["oauth"] = sink(1, {"mechanism": "OAUTHBEARER", "oauth": {
            "url": f"http://127.0.0.1:{free_port()}/token", "id": "edge",
            "secret": "${cred:oauth}"}}, tls=tls)
        made = node({"node": {"name": "edge-7", "cluster_key": "${cred:cluster}"},
                     "sources": {"web": {"type": "file", "paths": [str(log)], "topic": "web"}},
                     "sinks": sinks}, "edge")
        return made.start(environment={"CREDENTIALS_DIRECTORY": str(files)})

    return make


def sinks_of(made):
    answer = admin(made, "/sinks")
    return {sink["sink"]: sink for sink in json.loads(answer[answer.index("\r\n\r\n"):])}


def wait_for_sinks(made, names, lines=2):
    """Until each of them has delivered so many lines: it has logged in."""

    def have_delivered():
        sinks = sinks_of(made)
        return all(sum(part["delivered"] for part in sinks[name]["partitions"]) >= lines
                   for name in names)

    wait_until(have_delivered, 120, f"{names} to deliver {lines} lines")


def write_line(made):
    with open(made.directory.parent / "web.log", "a", encoding="utf-8") as log:
        log.write("another\n")


@pytest.mark.skipif(IS_SANITIZED, reason="sanitizers keep what was freed, and have terabytes of shadows")
def test_no_configured_secret_is_in_what_a_core_dump_holds(hub, edge):
    """After all of them were used: the hub has checked them, the edge has shown them."""
    made = hub()
    agent = edge(made)
    wait_for_sinks(agent, ["scram", "plain", "written", "cluster"])
    wait_until(lambda: sinks_of(agent)["oauth"]["error"], 120, "the first try at a token")
    with agent.paused():
        dumped, kept = dumped_and_kept(agent.process.pid, list(SECRETS.values()))
    assert dumped == set()
    assert kept == set(SECRETS.values())  # else the search itself finds nothing
    with made.paused():
        dumped, kept = dumped_and_kept(made.process.pid, list(SECRETS.values()))
    assert dumped == set()
    assert kept == {SECRETS["cluster"]}
    agent.stop()


def test_no_configured_secret_is_printed(hub, edge, files):
    """In no log, no metrics, no answer, no dump of the configuration and no error message."""
    made = hub(log={"level": "debug"})
    agent = edge(made)
    wait_for_sinks(agent, ["scram", "plain", "written", "cluster"])
    said = [agent.stderr(), made.stderr()]
    for node in (agent, made):
        said += [admin(node, path) for path in
                 ("/metrics", "/health", "/ready", "/files", "/sinks", "/ledger", "/nothing")]
        environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(files)}
        for words in (("config", "show"), ("check",)):
            done = run(*words, "-c", node.config_path, env=environment)
            assert done.returncode == 0, done.stderr
            said += [done.stdout, done.stderr]
    broken = yaml.safe_load(agent.config_path.read_text())
    broken["sinks"]["scram"]["sasl"]["mechanism"] = f"${{file:{files / 'scram'}}}"
    broken["sinks"]["plain"]["acks"] = f"${{file:{files / 'plain'}}}"
    broken["disk"] = {"limit": f"${{file:{files / 'oauth'}}}"}
    broken["node"]["cluster_key"] = {"a": SECRETS["cluster"]}
    agent.config_path.write_text(yaml.safe_dump(broken))
    done = run("check", "-c", agent.config_path, env={**os.environ,
                                                      "CREDENTIALS_DIRECTORY": str(files)})
    assert done.returncode != 0 and "(hidden)" in done.stderr + done.stdout
    said += [done.stdout, done.stderr]
    for text in said:
        for secret in SECRETS.values():
            assert secret not in text
    agent.stop()


def reloaded(made):
    """SIGHUP, and a sign that it was served: the line of the log comes first."""
    count = made.stderr().count("are read again; restart")
    made.signal(signal.SIGHUP)
    wait_until(lambda: made.stderr().count("are read again; restart") > count, what="the reload")


def reconnect(hub, files):
    """Everybody has to log in anew."""
    hub.stop(60)
    hub.start(environment={"CREDENTIALS_DIRECTORY": str(files)})


def test_a_changed_password_counts_from_the_next_login_on(hub, edge, files):
    made = hub()
    agent = edge(made)
    wait_for_sinks(agent, ["scram", "plain", "cluster"])
    for user in ("scram", "plain"):
        (files / user).write_text(SECRETS[user][::-1])
        with Connection(str(made.socket_path)) as control:
            assert raw_kafka.set_user(control, user, SECRETS[user][::-1]) == {user: 0}
    (files / "cluster").write_text("cluster-another-key-0123")
    for node in (agent, made):
        reloaded(node)
        node.wait_for_output("node.cluster_key")
    agent.wait_for_output("sinks.scram.sasl.password")
    reconnect(made, files)
    write_line(agent)
    wait_for_sinks(agent, ["scram", "plain", "cluster"], 3)
    assert metric(agent, "millrace_secrets_reload_failing") == 0
    if not IS_SANITIZED:
        with agent.paused():
            dumped, kept = dumped_and_kept(agent.process.pid,
                                           [SECRETS["scram"], SECRETS["scram"][::-1]])
        assert dumped == set() and kept == {SECRETS["scram"][::-1]}  # the old one was wiped
    agent.stop()


def test_the_cluster_key_changes_without_a_restart_of_the_hub(hub, edge, files):
    """The edge has the new key first and is refused; after the hub's reload it is let in."""
    made = hub()
    (files / "cluster").write_text("cluster-another-key-0123")
    agent = edge(made)
    made.wait_for_output("wrong password")
    reloaded(made)
    wait_for_sinks(agent, ["cluster"])
    agent.stop()


def test_what_cannot_be_read_stays_and_raises_an_alarm(hub, edge, files):
    made = hub()
    agent = edge(made)
    wait_for_sinks(agent, ["scram", "cluster"])
    (files / "scram").unlink()
    (files / "cluster").write_text("short")  # not a key, says the option's own check
    reloaded(agent)
    wait_until(lambda: metric(agent, "millrace_secrets_reload_failing") == 2, what="the alarm")
    assert metric(agent, "millrace_secrets_reload_failures_total") == 2
    health = run("health", "--data", agent.data)
    assert health.returncode == 1 and "keep their old text" in health.stdout
    agent.wait_for_output("sinks.scram.sasl.password")
    (files / "cluster").write_text(SECRETS["cluster"])  # the hub itself needs a good one to start
    reconnect(made, files)
    write_line(agent)
    wait_for_sinks(agent, ["scram", "cluster"], 3)  # by what it has kept
    (files / "scram").write_text(SECRETS["scram"])
    reloaded(agent)
    wait_until(lambda: metric(agent, "millrace_secrets_reload_failing") == 0, what="the end of it")
    assert "keep their old text" not in run("health", "--data", agent.data).stdout
    agent.stop()


def test_what_is_no_secret_is_not_changed_but_said(node, files):
    made = node({"node": {"rack": f"${{file:{files / 'scram'}}}"}}).start()
    (files / "scram").write_text("another")
    reloaded(made)
    made.wait_for_output("taken at the next start")
    assert "another" not in made.stderr()
