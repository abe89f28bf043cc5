"""Who may connect and who may do what, with clients that misbehave, and with users that have few rights."""

import pathlib
import socket
import ssl
import struct
import time

import pytest

import node as node_module
import raw_kafka
from node import PATIENCE_S
from raw_kafka import Connection, Scram
from security import (PASSWORD, allow, certificates, python_options, raw,  # noqa: F401
                      rdkafka_options, secure, server_tls)

kafka = pytest.importorskip("kafka")
confluent_kafka = pytest.importorskip("confluent_kafka")

ILLEGAL_STATE, UNSUPPORTED_MECHANISM, AUTHENTICATION_FAILED = 34, 33, 58


# ---- clients that misbehave ----


def test_nothing_before_authentication(secure):
    """Each request but ApiVersions and SaslHandshake closes the connection."""
    node = secure()
    for key, version, body in ((raw_kafka.METADATA, 1, struct.pack(">i", -1)),
                               (raw_kafka.SASL_AUTHENTICATE, 1, struct.pack(">i", 0)),
                               (raw_kafka.CREATE_ACLS, 1, struct.pack(">i", 0))):
        with raw(node) as connection, pytest.raises((EOFError, ConnectionResetError)):
            connection.call(key, version, body)
    with raw(node) as connection:
        assert struct.unpack(">h", connection.call(raw_kafka.API_VERSIONS, 0, b"")[:2])[0] == 0
        assert connection.handshake("SCRAM-SHA-512") == (0, ["PLAIN", "SCRAM-SHA-256",
                                                             "SCRAM-SHA-512"])
        with pytest.raises((EOFError, ConnectionResetError)):
            connection.call(raw_kafka.METADATA, 1, struct.pack(">i", -1))


def test_an_unknown_mechanism_is_answered_with_those_that_there_are(secure):
    node = secure(sasl=["SCRAM-SHA-512"])
    for name in ("GSSAPI", "PLAIN", "SCRAM-SHA-256", "scram-sha-512", ""):
        with raw(node) as connection:
            assert connection.handshake(name) == (UNSUPPORTED_MECHANISM, ["SCRAM-SHA-512"])
            assert connection.is_closed()


def test_sasl_where_nobody_asks(node, free_port):
    """Kafka's error 34, and the connection stays."""
    plain = node({"listen": [{"address": f"127.0.0.1:{free_port()}"}]}).start()
    with raw(plain) as connection:
        assert connection.handshake("PLAIN") == (ILLEGAL_STATE, [])
        assert connection.authenticate(b"\0a\0b")[0] == ILLEGAL_STATE
        assert connection.call(raw_kafka.METADATA, 1, struct.pack(">i", -1))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_replayed_proof_is_refused(secure, mechanism):
    """The proof that was good in one conversation is none in the next one."""
    node = secure()
    client = Scram(mechanism, "admin", PASSWORD, nonce="alwaysTheSame")
    with raw(node) as connection:
        assert connection.handshake(mechanism)[0] == 0
        _, challenge, _ = connection.authenticate(client.first())
        proof = client.answer(challenge)
        assert connection.authenticate(proof)[0] == 0
        # The same again on the connection that is open: another state, another error.
        assert connection.authenticate(proof)[0] == ILLEGAL_STATE
    with raw(node) as connection:
        assert connection.handshake(mechanism)[0] == 0
        assert connection.authenticate(client.first())[0] == 0
        assert connection.authenticate(proof)[0] == AUTHENTICATION_FAILED
        assert connection.is_closed()


def test_channel_binding_and_other_identities_are_refused(secure):
    node = secure()
    for first in (b"p=tls-server-end-point,,n=admin,r=abc", b"n,a=root,n=admin,r=abc",
                  b"n,,n=admin,r=abc,tokenauth=true", b"n,,m=1,n=admin,r=abc", b"", b"\0" * 2000):
        with raw(node) as connection:
            assert connection.handshake("SCRAM-SHA-512")[0] == 0
            assert connection.authenticate(first)[0] == AUTHENTICATION_FAILED
            assert connection.is_closed()
    for token in (b"", b"\0\0", b"admin\0alice\0" + PASSWORD.encode(), b"\0admin\0",
                  b"\0admin\0" + PASSWORD.encode() + b"\0x"):
        with raw(node) as connection:
            assert connection.handshake("PLAIN")[0] == 0
            assert connection.authenticate(token)[0] == AUTHENTICATION_FAILED
            assert connection.is_closed()


def test_a_stranger_gets_the_same_challenge_each_time(secure):
    """Salt and iterations do not tell that the user does not exist, also not after a restart."""
    node = secure()

    def challenge(user):
        with raw(node) as connection:
            connection.handshake("SCRAM-SHA-256")
            error, text, _ = connection.authenticate(Scram("SCRAM-SHA-256", user, "x").first())
            assert error == 0
            return dict(part.split("=", 1) for part in text.decode().split(","))

    first, real = challenge("nobody"), challenge("admin")
    assert first["s"] == challenge("nobody")["s"] != challenge("somebody")["s"]
    assert len(first["s"]) == len(real["s"]) and first["i"] == real["i"]
    node.stop()
    node.start()
    assert challenge("nobody")["s"] == first["s"]


def test_failures_are_slowed_and_a_success_is_not(secure):
    node = secure()
    for _ in range(5):
        begin = time.monotonic()
        with raw(node) as connection:
            assert connection.scram("SCRAM-SHA-256", "admin", "wrong")[0] == AUTHENTICATION_FAILED
    assert time.monotonic() - begin >= 1.6  # the fifth: 100 ms doubled four times
    begin = time.monotonic()
    with raw(node) as connection:
        assert connection.scram("SCRAM-SHA-256", "admin", PASSWORD)[0] == 0
    assert time.monotonic() - begin < 3.2  # what another failure would take


def test_a_session_ends_unless_it_is_renewed(secure):
    """KIP-368: renewed in time it goes on; by somebody else it ends; too late it has ended."""
    everything = struct.pack(">i", -1)
    for session_ms in (1500, 6000, 24000, 96000):  # more, where a machine is too slow to renew in time
        node = secure(sasl_session=f"{session_ms}ms")
        with raw(node) as connection:
            began = time.monotonic()  # of the session: it ends so much later, or a little more
            try:
                assert connection.scram("SCRAM-SHA-512", "admin", PASSWORD) == (0, session_ms)
                beyond = time.monotonic() + session_ms / 1000 + 0.1
                assert connection.call(raw_kafka.METADATA, 1, everything)
                time.sleep(session_ms / 1500)
                renewed = time.monotonic()
                assert connection.scram("SCRAM-SHA-512", "admin", PASSWORD) == (0, session_ms)
                began = renewed
                time.sleep(max(beyond - time.monotonic(), 0))
                assert connection.call(raw_kafka.METADATA, 1, everything)
            except (EOFError, ConnectionResetError):
                assert time.monotonic() - began >= session_ms / 1000
                node.stop()
                continue
            time.sleep(session_ms / 1000 + 0.1)
            with pytest.raises((EOFError, ConnectionResetError)):
                connection.call(raw_kafka.METADATA, 1, everything)
        break
    with raw(node) as connection:
        assert connection.scram("SCRAM-SHA-512", "admin", PASSWORD)[0] == 0
        assert connection.scram("SCRAM-SHA-512", "alice", PASSWORD)[0] == AUTHENTICATION_FAILED
        assert connection.is_closed()
    with raw(node) as connection:
        assert connection.scram("SCRAM-SHA-512", "admin", PASSWORD)[0] == 0
        assert connection.handshake("PLAIN")[0] == ILLEGAL_STATE
        assert connection.is_closed()


def test_a_stranger_may_not_send_large_requests(secure):
    node = secure()
    with raw(node) as connection:
        connection.socket.sendall(struct.pack(">i", 1024 * 1024))
        assert connection.is_closed()


# ---- users ----


def test_users_come_change_and_go(secure):
    node = secure()
    with Connection(str(node.socket_path)) as control:
        assert raw_kafka.set_user(control, "bob", "one", [raw_kafka.SHA_512]) == {"bob": 0}
        with raw(node) as connection:
            assert connection.scram("SCRAM-SHA-512", "bob", "one")[0] == 0
        with raw(node) as connection:  # not with this mechanism
            assert connection.scram("SCRAM-SHA-256", "bob", "one")[0] == AUTHENTICATION_FAILED
        assert raw_kafka.set_user(control, "bob", "two", [raw_kafka.SHA_512]) == {"bob": 0}
        with raw(node) as connection:
            assert connection.scram("SCRAM-SHA-512", "bob", "one")[0] == AUTHENTICATION_FAILED
        node.kill()
        node.start()  # users are in the metadata
    with Connection(str(node.socket_path)) as control:
        with raw(node) as connection:
            assert connection.scram("SCRAM-SHA-512", "bob", "two")[0] == 0
        assert raw_kafka.remove_user(control, "bob", [raw_kafka.SHA_512]) == {"bob": 0}
        assert raw_kafka.remove_user(control, "bob", [raw_kafka.SHA_512]) == {"bob": 91}
        with raw(node) as connection:
            assert connection.scram("SCRAM-SHA-512", "bob", "two")[0] == AUTHENTICATION_FAILED
        assert raw_kafka.set_user(control, "bob", "x", iterations=100) == {"bob": 93}
        assert raw_kafka.set_user(control, "bob", "x", iterations=20000) == {"bob": 93}


def test_a_wrong_change_of_a_user_is_refused_whole(secure):
    """Twice in one request, without a name, of another mechanism: Kafka's errors, and nothing is done."""
    node = secure()
    with Connection(str(node.socket_path)) as control:
        twice = [raw_kafka.SHA_512, raw_kafka.SHA_512]
        assert raw_kafka.set_user(control, "bob", "x", twice) == {"bob": 92}
        assert raw_kafka.remove_user(control, "bob", [raw_kafka.SHA_512]) == {"bob": 91}
        assert raw_kafka.remove_user(control, "admin", twice) == {"admin": 92}
        assert raw_kafka.set_user(control, "", "x") == {"": 93}
        assert raw_kafka.remove_user(control, "admin", [raw_kafka.SHA_256, 7]) == {"admin": 33}
        assert raw_kafka.set_user(control, "bob", "x", [raw_kafka.SHA_256]) == {"bob": 0}
        assert raw_kafka.remove_user(control, "bob") == {"bob": 91}  # one of the two is not there
    for user, password, mechanism in (("admin", PASSWORD, "SCRAM-SHA-512"), ("bob", "x", "SCRAM-SHA-256")):
        with raw(node) as connection:
            assert connection.scram(mechanism, user, password)[0] == 0


def test_only_who_may_alter_the_cluster_makes_users(secure):
    node = secure()
    with raw(node) as connection:
        assert connection.scram("SCRAM-SHA-512", "alice", PASSWORD)[0] == 0
        assert raw_kafka.set_user(connection, "eve", "x") == {"eve": 31}
        assert raw_kafka.add_acl(connection, "User:alice", raw_kafka.ALL, raw_kafka.TOPIC, "*") == 31


# ---- rights ----


def alice(node, certificates, **more):
    return {**rdkafka_options(node, certificates, "SCRAM-SHA-512", False, "alice"), **more}


def produce(node, certificates, topic, **more):
    """The error of one record, or None."""
    producer = confluent_kafka.Producer(alice(node, certificates, **{"message.timeout.ms": PATIENCE_S * 1000,
                                                                     **more}))
    errors = []
    producer.produce(topic, b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(PATIENCE_S)
    assert len(errors) == 1
    return errors[0].code() if errors[0] else None


def test_nothing_is_allowed_until_it_is(secure, certificates):
    node = secure()
    denied = confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert produce(node, certificates, "web.access") == denied
    allow(node, "User:alice", raw_kafka.WRITE, raw_kafka.TOPIC, "web.", pattern=raw_kafka.PREFIXED)
    assert produce(node, certificates, "web.access") == denied  # nobody may create it
    allow(node, "User:alice", raw_kafka.CREATE, raw_kafka.TOPIC, "web.access")
    assert produce(node, certificates, "web.access") is None
    assert produce(node, certificates, "web.other") == denied
    assert produce(node, certificates, "app") == denied
    allow(node, "User:*", raw_kafka.WRITE, raw_kafka.TOPIC, "web.access", permission=raw_kafka.DENY)
    assert produce(node, certificates, "web.access") == denied


def test_topics_that_one_may_not_describe_are_invisible(secure, certificates):
    node = secure()
    admin = kafka.KafkaProducer(**python_options(node, certificates, "SCRAM-SHA-512", False))
    for topic in ("seen", "hidden"):
        admin.send(topic, b"x").get(PATIENCE_S)
    admin.close()
    allow(node, "User:alice", raw_kafka.READ, raw_kafka.TOPIC, "seen")
    client = confluent_kafka.Producer(alice(node, certificates))
    assert set(client.list_topics(timeout=PATIENCE_S).topics) == {"seen"}
    hidden = client.list_topics("hidden", timeout=PATIENCE_S).topics["hidden"]
    missing = client.list_topics("missing", timeout=PATIENCE_S).topics["missing"]
    assert hidden.error.code() == missing.error.code() == \
        confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_kafka_python_manages_bindings(secure, certificates):
    """DescribeAcls, CreateAcls and DeleteAcls as a foreign tool sends them."""
    from kafka.admin import (ACL, ACLFilter, ACLOperation, ACLPermissionType,
                             ACLResourcePatternType, KafkaAdminClient, ResourcePattern,
                             ResourcePatternFilter, ResourceType)
    node = secure()
    admin = KafkaAdminClient(**python_options(node, certificates, "SCRAM-SHA-256", True))
    binding = ACL(principal="User:alice", host="*", operation=ACLOperation.READ,
                  permission_type=ACLPermissionType.ALLOW,
                  resource_pattern=ResourcePattern(ResourceType.TOPIC, "web"))
    assert admin.create_acls([binding])["failed"] == []
    everything = ACLFilter(principal=None, host=None, operation=ACLOperation.ANY,
                           permission_type=ACLPermissionType.ANY,
                           resource_pattern=ResourcePatternFilter(
                               ResourceType.ANY, None, ACLResourcePatternType.ANY))
    found, error = admin.describe_acls(everything)
    assert found == [binding] and error is kafka.errors.NoError
    node.kill()
    node.start()
    admin = KafkaAdminClient(**python_options(node, certificates, "SCRAM-SHA-256", True))
    assert admin.describe_acls(everything)[0] == [binding]
    deleted = admin.delete_acls([everything])
    assert [acl for acl, _ in deleted[0][1]] == [binding]
    assert admin.describe_acls(everything)[0] == []


def test_enforcement_may_be_switched_off(secure, certificates):
    node = secure(authorization={"enforce": "never"})
    assert produce(node, certificates, "anything") is None


def test_what_no_binding_mentions_may_be_open(secure, certificates):
    node = secure(authorization={"allow_without_acl": True})
    assert produce(node, certificates, "open") is None
    allow(node, "User:bob", raw_kafka.READ, raw_kafka.TOPIC, "closed")
    assert produce(node, certificates, "closed") == \
        confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED


# ---- certificates ----


def test_a_certificate_says_who_its_owner_is(node, free_port, certificates):
    port = free_port()
    made = node({
        "node": {"tls": server_tls(certificates)},
        "listen": [{"address": f"127.0.0.1:{port}", "advertise": f"localhost:{port}",
                    "tls": {"clients": "required"}}],
        "authorization": {"principals": ["RULE:^CN=([^,]+).*$/$1/L", "DEFAULT"],
                          "super_users": ["edge-1"]}}).start()
    options = {"bootstrap.servers": f"localhost:{port}", "security.protocol": "SSL",
               "ssl.ca.location": str(certificates / "ca.pem"), "broker.address.family": "v4"}
    own = {"ssl.certificate.location": str(certificates / "client.pem"),
           "ssl.key.location": str(certificates / "client.key")}
    producer = confluent_kafka.Producer({**options, **own})
    errors = []
    producer.produce("t", b"x", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(PATIENCE_S) == 0 and errors == [None]
    with pytest.raises(confluent_kafka.KafkaException):
        confluent_kafka.Producer(options).list_topics(timeout=3)
    assert made.is_running()


def test_a_certificate_is_swapped_without_a_restart(node, free_port, certificates, tmp_path):
    import shutil
    import signal
    for name in ("server.pem", "server.key", "ca.pem"):
        shutil.copy(certificates / name, tmp_path / name)
    port = free_port()
    made = node({"listen": [{"address": f"127.0.0.1:{port}", "tls": server_tls(tmp_path)}]}).start()

    def serial():
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)  # Python 3.13's default
        context.check_hostname = False
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain, \
                context.wrap_socket(plain) as stream:
            return stream.getpeercert()["serialNumber"]

    before = serial()
    (tmp_path / "server.pem").write_text("not a certificate")
    made.signal(signal.SIGHUP)
    made.wait_for_output("the old ones stay")
    assert serial() == before
    for suffix in ("pem", "key"):
        shutil.copy(certificates / f"client.{suffix}", tmp_path / f"server.{suffix}")
    made.signal(signal.SIGHUP)
    made.wait_for_output("certificates read again")
    node_module.wait_until(lambda: serial() != before, what="the new certificate")


# ---- what the configuration refuses ----


@pytest.mark.parametrize("listen,words", [
    ({"address": "0.0.0.0:9092"}, "insecure: true"),
    ({"address": "0.0.0.0:9092", "sasl": ["SCRAM-SHA-512"]}, "insecure: true"),
    ({"address": "0.0.0.0:9092", "tls": {"cert": "c", "key": "k"}}, "insecure: true"),
    ({"address": "127.0.0.1:9092", "sasl": ["PLAIN"]}, "PLAIN sends the password"),
    ({"address": "127.0.0.1:9092", "sasl": ["GSSAPI"]}, "are known"),
    ({"address": "127.0.0.1:9092", "tls": {"cert": "c"}}, "belong together"),
    ({"address": "127.0.0.1:9092", "tls": {"cert": "c", "key": "k", "clients": "required"}},
     "needs tls.ca"),
])
def test_what_is_open_by_accident_is_refused(tmp_path, listen, words):
    import yaml
    path = pathlib.Path(tmp_path) / "m.yaml"
    path.write_text(yaml.safe_dump({"node": {"data": str(tmp_path / "data")}, "listen": [listen]}))
    result = node_module.run("check", "-c", path)
    assert result.returncode == 78
    assert words in result.stderr, result.stderr


def test_what_is_protected_is_taken(tmp_path, certificates):
    import yaml
    path = pathlib.Path(tmp_path) / "m.yaml"
    for listen in ({"sasl": ["SCRAM-SHA-512"], "tls": server_tls(certificates)},
                   {"tls": server_tls(certificates, clients="required")},
                   {"sasl": ["PLAIN"], "tls": server_tls(certificates)}):
        path.write_text(yaml.safe_dump({"node": {"data": str(tmp_path / "data")},
                                        "listen": [{"address": "0.0.0.0:9092", **listen}]}))
        result = node_module.run("check", "-c", path)
        assert result.returncode == 0, result.stderr
