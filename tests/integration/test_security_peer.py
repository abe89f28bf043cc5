"""An edge that forwards to a hub which asks who it is."""

import time

import pytest

import raw_kafka
from node import wait_until
from raw_kafka import Connection, end_offset
from security import certificates, metric, server_tls  # noqa: F401

PASSWORD = "edge's own"


@pytest.fixture
def pair(node, free_port, tmp_path, certificates):
    """pair(sasl of the edge, session of the hub): the two, and the file that the edge reads."""

    def make(sasl, session="0"):
        port = free_port()
        log = tmp_path / "web.log"
        log.write_text("one\ntwo\n", encoding="utf-8")
        hub = node({"listen": [{"address": f"127.0.0.1:{port}", "advertise": f"localhost:{port}",
                                "sasl": ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"],
                                "sasl_session": session, "tls": server_tls(certificates)}]},
                   "hub").start()
        with Connection(str(hub.socket_path)) as control:
            assert raw_kafka.set_user(control, "edge", PASSWORD) == {"edge": 0}
            for operation in (raw_kafka.WRITE, raw_kafka.CREATE):
                assert raw_kafka.add_acl(control, "User:edge", operation, raw_kafka.TOPIC, "web",
                                         raw_kafka.PREFIXED) == 0
        edge = node({"sources": {"web": {"type": "file", "paths": [str(log)], "topic": "web"}},
                     "sinks": {"hubs": {"type": "peer", "topics": ["web"],
                                        "nodes": [f"localhost:{port}"], "sasl": sasl,
                                        "tls": {"ca": str(certificates / "ca.pem")}}}}, "edge")
        return hub, edge.start(), log

    return make


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_an_edge_shows_who_it_is(pair, mechanism):
    hub, edge, _ = pair({"mechanism": mechanism, "user": "edge", "password": PASSWORD})
    wait_until(lambda: end_offset(hub, "web") == 2, what="two records at the hub")
    assert PASSWORD not in edge.stderr() + hub.stderr()
    edge.stop()


@pytest.mark.parametrize("session", ["400ms", "20s"])
def test_a_session_is_renewed_while_lines_arrive(pair, session):
    """Every line arrives once, through several sessions of 400 ms; through a longer one, for which no machine
    is too slow, on the one connection."""
    hub, edge, log = pair({"user": "edge", "password": PASSWORD}, session)
    before = metric(hub, "millrace_broker_authentications_total")
    for number in range(100):
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{number}\n")
        time.sleep(0.02)
    wait_until(lambda: end_offset(hub, "web") >= 102, what="all records at the hub")
    assert end_offset(hub, "web") == 102
    wait_until(lambda: metric(hub, "millrace_broker_authentications_total") > before, what="a renewal")
    assert session == "400ms" or "no longer" not in hub.stderr()
    edge.stop()


def test_a_wrong_password_is_told_and_forwards_nothing(pair):
    hub, edge, _ = pair({"user": "edge", "password": "wrong"})
    hub.wait_for_output("authentication failed")
    assert "wrong password" in hub.stderr()
    assert end_offset(hub, "web") == -1  # there is no such topic
    assert edge.is_running()
    edge.stop()
