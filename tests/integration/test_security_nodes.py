"""Nodes among themselves, before there are users: the cluster's key, and certificates."""

import struct

import pytest
import yaml

import node as node_module
import raw_kafka
from node import PATIENCE_S, wait_until
from raw_kafka import Connection, Scram, end_offset
from security import certificates, metric, openssl, raw, server_tls  # noqa: F401

confluent_kafka = pytest.importorskip("confluent_kafka")

KEY = "kJ2yV9c0p1Qm7sX4tR8uZ6wA"
AUTHENTICATION_FAILED = 58
raw_kafka.HASHES["CLUSTER-KEY"] = "sha512"


@pytest.fixture
def hub(node, free_port, certificates, tmp_path):
    """hub(**changes): a plain listener on loopback and one with TLS, both for users and nodes."""

    def make(sasl=("SCRAM-SHA-512", "CLUSTER-KEY"), clients="none", **authorization):
        (tmp_path / "key").write_text(KEY + "\n")
        ports = [free_port(), free_port()]
        secure = {"sasl": list(sasl)} if sasl else {}
        return node({
            "node": {"cluster_key": f"${{file:{tmp_path / 'key'}}}"},
            "listen": [{"address": f"127.0.0.1:{ports[0]}", "sasl": ["SCRAM-SHA-512", "CLUSTER-KEY"]},
                       {"address": f"127.0.0.1:{ports[1]}", "advertise": f"localhost:{ports[1]}",
                        "tls": server_tls(certificates, clients=clients), **secure}],
            "authorization": authorization}, "hub").start()

    return make


@pytest.fixture
def edge(node, tmp_path):
    def make(hub, place, key=KEY, **more):
        log = tmp_path / "web.log"
        log.write_text("one\ntwo\n", encoding="utf-8")
        return node({"node": {"name": "edge-7", **({"cluster_key": key} if key else {})},
                     "sources": {"web": {"type": "file", "paths": [str(log)], "topic": "web"}},
                     "sinks": {"hubs": {"type": "peer", "topics": ["web"],
                                        "nodes": [f"localhost:{hub.ports[place]}"], **more}}},
                    "edge").start()

    return make


@pytest.mark.parametrize("is_tls", [False, True])
def test_an_edge_that_knows_the_key_forwards(hub, edge, certificates, is_tls):
    """Without any user or binding."""
    made = hub()
    tls = {"tls": {"ca": str(certificates / "ca.pem")}} if is_tls else {}
    agent = edge(made, int(is_tls), sasl={"mechanism": "CLUSTER-KEY"}, **tls)
    wait_until(lambda: end_offset(made, "web") == 2, what="two records at the hub")
    assert KEY not in agent.stderr() + made.stderr()
    assert KEY not in node_module.run("config", "show", "-c", made.config_path).stdout
    agent.stop()


def test_an_edge_with_another_key_is_refused(hub, edge):
    made = hub()
    agent = edge(made, 0, KEY[::-1], sasl={"mechanism": "CLUSTER-KEY"})
    made.wait_for_output("wrong password")
    assert end_offset(made, "web") == -1
    assert agent.is_running()
    agent.stop()


def test_a_server_that_does_not_know_the_key_gets_nothing(hub, edge, node, free_port):
    """The proof is mutual: an edge tells its lines only to a hub that knows the key. (It is refused there;
    that it would not believe a wrong signature is a unit test of SCRAM.)"""
    port = free_port()
    other = node({"node": {"cluster_key": "x" * 20},
                  "listen": [{"address": f"127.0.0.1:{port}", "sasl": ["CLUSTER-KEY"]}]}, "other").start()
    agent = edge(other, 0, sasl={"mechanism": "CLUSTER-KEY"})
    other.wait_for_output("wrong password")
    assert end_offset(other, "web") == -1
    agent.stop()


def log_in(connection, name="edge-7", key=KEY):
    assert connection.handshake("CLUSTER-KEY")[0] == 0
    client = Scram("CLUSTER-KEY", name, key)
    error, challenge, _ = connection.authenticate(client.first())
    if error:
        return error
    error, proof, _ = connection.authenticate(client.answer(challenge))
    if not error:
        client.check(proof)
    return error


def test_what_a_node_may(hub):
    """Write and create topics; nothing of an administrator, of a reader, of internal topics."""
    made = hub(super_users=["admin"])
    with Connection(str(made.socket_path)) as control:
        assert raw_kafka.set_user(control, "edge-7", "secret") == {"edge-7": 0}
    with raw(made) as connection:
        assert log_in(connection) == 0
        metadata = connection.call(raw_kafka.METADATA, 1, struct.pack(">i", 1) + raw_kafka.string("web"))
        assert b"web" in metadata
        assert raw_kafka.set_user(connection, "eve", "x") == {"eve": 31}
        assert raw_kafka.add_acl(connection, "User:x", raw_kafka.ALL, raw_kafka.TOPIC, "*") == 31
        for topic, error in (("made", 0), ("__consumer_offsets2", 29)):
            body = struct.pack(">i", 1) + raw_kafka.string(topic) + struct.pack(">ihiii", 1, 1, 0, 0, 5000)
            answer = connection.call(19, 2, body + b"\0")  # CreateTopics
            at = 4 + 4 + 2 + len(topic)
            assert struct.unpack(">h", answer[at:at + 2])[0] == error
        fetch = struct.pack(">iiiibi", -1, 0, 0, 1000, 0, 1) + raw_kafka.string("made") + \
            struct.pack(">iiqi", 1, 0, 0, 1000)
        answer = connection.call(1, 4, fetch)
        assert b"made" in answer and struct.pack(">ih", 0, 29) in answer
    with raw(made) as connection:  # a user of that name is not the node
        assert connection.scram("SCRAM-SHA-512", "edge-7", "secret")[0] == 0
        metadata = connection.call(raw_kafka.METADATA, 1, struct.pack(">i", 1) + raw_kafka.string("web"))
        assert struct.pack(">h", 29) in metadata


def test_names_and_keys_that_are_none(hub):
    made = hub()
    for name, key in (("edge-7", "guess"), ("User:admin", KEY), ("a b", KEY), ("edge-7", KEY[:-1])):
        with raw(made) as connection:
            assert log_in(connection, name, key) == AUTHENTICATION_FAILED
            assert connection.is_closed()
    assert metric(made, 'millrace_broker_authentication_failures_total{reason="wrong_password"}') == 2
    assert metric(made, 'millrace_broker_authentication_failures_total{reason="malformed"}') == 2
    with raw(made) as connection:  # the key is no user's password
        assert connection.scram("SCRAM-SHA-512", "edge-7", KEY)[0] == AUTHENTICATION_FAILED


def test_an_edge_is_known_by_its_certificate(hub, edge, certificates):
    """authorization.nodes: the client's certificate is of CN=Edge-1,O=x."""
    made = hub(sasl=(), clients="required", nodes=["CN=Edge-*,O=x"], enforce="always")
    agent = edge(made, 1, key=None, tls={"ca": str(certificates / "ca.pem"),
                                         "cert": str(certificates / "client.pem"),
                                         "key": str(certificates / "client.key")})
    wait_until(lambda: end_offset(made, "web") == 2, what="two records at the hub")
    agent.stop()


def test_a_certificate_that_is_not_a_nodes_has_no_rights(hub, edge, certificates):
    made = hub(sasl=(), clients="required", nodes=["CN=edge-*,O=x", "Edge", "*-2*"], enforce="always")
    agent = edge(made, 1, key=None, tls={"ca": str(certificates / "ca.pem"),
                                         "cert": str(certificates / "client.pem"),
                                         "key": str(certificates / "client.key")})
    wait_until(lambda: metric(made, "millrace_broker_denied_total") > 0, what="a denial")
    assert end_offset(made, "web") == -1
    agent.stop()


@pytest.mark.parametrize("names,user", [
    (["uri", "subject"], "spiffe://mesh.test/edge/1"), (["dns"], "edge-1.test"),
    (["email", "dns"], "edge@mesh.test"), (["subject", "uri"], "CN=Edge,O=x"), (None, "CN=Edge,O=x"),
])
def test_what_a_certificate_is_known_by(node, free_port, certificates, tmp_path, names, user):
    """Subject or alternative names; the first kind that it has."""
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            "/O=x/CN=Edge", "-keyout", tmp_path / "c.key", "-out", tmp_path / "c.csr")
    (tmp_path / "c.ext").write_text("subjectAltName=DNS:edge-1.test,DNS:other.test,"
                                    "URI:spiffe://mesh.test/edge/1,email:edge@mesh.test\n")
    openssl("x509", "-req", "-in", tmp_path / "c.csr", "-CA", certificates / "ca.pem", "-CAkey",
            certificates / "ca.key", "-set_serial", "7", "-days", "2", "-extfile", tmp_path / "c.ext",
            "-out", tmp_path / "c.pem")
    port = free_port()
    made = node({"listen": [{"address": f"127.0.0.1:{port}", "advertise": f"localhost:{port}",
                             "tls": server_tls(certificates, clients="required")}],
                 "authorization": {"super_users": [user],
                                   **({"certificate_name": names} if names else {})}}).start()
    producer = confluent_kafka.Producer({
        "bootstrap.servers": f"localhost:{port}", "security.protocol": "SSL",
        "ssl.ca.location": str(certificates / "ca.pem"), "broker.address.family": "v4",
        "ssl.certificate.location": str(tmp_path / "c.pem"),
        "ssl.key.location": str(tmp_path / "c.key")})
    errors = []
    producer.produce("t", b"x", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(PATIENCE_S) == 0 and errors == [None], made.stderr()


def test_a_certificate_without_such_a_name_is_refused(hub, certificates, edge, node, free_port):
    """The client's has no URI."""
    port = free_port()
    made = node({"listen": [{"address": f"127.0.0.1:{port}", "tls": server_tls(certificates,
                                                                             clients="required")}],
                 "authorization": {"certificate_name": "uri"}}).start()
    agent = edge(made, 0, key=None, tls={"ca": str(certificates / "ca.pem"),
                                         "cert": str(certificates / "client.pem"),
                                         "key": str(certificates / "client.key")})
    made.wait_for_output("certificate leads to no principal")
    agent.stop()


@pytest.mark.parametrize("config,words", [
    ({"authorization": {"certificate_name": ["cn"]}}, "only subject, uri, dns and email"),
    ({"listen": [{"address": "127.0.0.1:9092", "sasl": ["CLUSTER-KEY"]}]}, "needs node.cluster_key"),
    ({"node": {"cluster_key": "short"}}, "16 to 1024 characters"),
])
def test_what_the_configuration_refuses(tmp_path, config, words):
    path = tmp_path / "m.yaml"
    config["node"] = {"data": str(tmp_path / "data"), **config.get("node", {})}
    path.write_text(yaml.safe_dump(config))
    result = node_module.run("check", "-c", path)
    assert result.returncode == 78 and words in result.stderr, result.stderr


@pytest.mark.parametrize("node_options,sasl,hosts,words", [
    ({}, {}, "127.0.0.1:1", "needs node.cluster_key"),
    ({"cluster_key": KEY}, {}, "hub.test:9092", "needs tls"),
    ({"cluster_key": KEY}, {"user": "x", "password": "y"}, "127.0.0.1:1", "this node's name"),
])
def test_what_a_sink_refuses(tmp_path, node_options, sasl, hosts, words):
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump({
        "node": {"data": str(tmp_path / "data"), **node_options},
        "sinks": {"hubs": {"type": "peer", "topics": ["x"], "nodes": [hosts],
                           "sasl": {"mechanism": "CLUSTER-KEY", **sasl}}}}))
    result = node_module.run("run", "-c", path)
    assert result.returncode != 0 and words in result.stderr, result.stderr
