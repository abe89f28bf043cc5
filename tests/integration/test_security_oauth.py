"""Tokens instead of passwords: OAUTHBEARER with foreign clients, with tokens that are not good, with keys
that change, and from an edge to a hub."""

import struct
import time

import pytest

import issuer
import node as node_module
import raw_kafka
from issuer import Key, Server, key_set, token
from node import PATIENCE_S, wait_until
from raw_kafka import Connection, end_offset
from security import allow, certificates, metric, raw, server_tls, sources  # noqa: F401

kafka = pytest.importorskip("kafka")
confluent_kafka = pytest.importorskip("confluent_kafka")

AUTHENTICATION_FAILED = 58
REFUSED = b'{"status":"invalid_token"}'


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    where = tmp_path_factory.mktemp("keys")
    return {algorithm: Key(where, algorithm.lower(), algorithm)
            for algorithm in ("RS256", "PS384", "ES256", "ES512")}


@pytest.fixture
def servers():
    """servers(certificates): a server of identities."""
    made = []

    def make(*arguments):
        made.append(Server(*arguments))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def asking(node, free_port, certificates, tmp_path):
    """asking(keys, **oauth): a node with a plain and a TLS listener that both take tokens. keys: a key
    set's text, or a URL."""

    def make(source, super_users=("alice",), session=None, name="node", **oauth):
        if not source.startswith("http"):
            (tmp_path / "keys.json").write_text(source)
            source = str(tmp_path / "keys.json")
        ports = [free_port(), free_port()]
        more = {"sasl_session": session} if session else {}
        return node({
            "listen": [{"address": f"127.0.0.1:{ports[0]}", "sasl": ["OAUTHBEARER", "SCRAM-SHA-512"],
                        "insecure": True, **more},
                       {"address": f"127.0.0.1:{ports[1]}", "advertise": f"localhost:{ports[1]}",
                        "sasl": ["OAUTHBEARER"], "tls": server_tls(certificates), **more}],
            "authentication": {"oauth": {"keys": source, "issuer": "https://id.test",
                                         "audience": "millrace", "clock_skew": "2s", **oauth}},
            "authorization": {"super_users": list(super_users)}}, name).start()

    return make


def message(text, name=""):
    who = f"a={name}" if name else ""
    return f"n,{who},\1auth=Bearer {text}\1\1".encode()


def log_in(connection, text, name=""):
    """The whole conversation: (error, session lifetime)."""
    assert connection.handshake("OAUTHBEARER")[0] == 0
    error, answer, lifetime = connection.authenticate(message(text, name))
    if error == 0 and answer != b"":
        assert answer == REFUSED
        error, answer, _ = connection.authenticate(b"\1")
        assert answer == b"" and connection.is_closed()
    return error, lifetime


def failures(node, reason):
    return metric(node, f'millrace_broker_authentication_failures_total{{reason="{reason}"}}')


# ---- foreign clients ----


def python_options(node, certificates, text, is_tls):
    class Provider(kafka.oauth.AbstractTokenProvider):
        def token(self):
            return text

    options = {"security_protocol": "SASL_SSL" if is_tls else "SASL_PLAINTEXT",
               "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": Provider(),
               "bootstrap_servers": f"localhost:{node.ports[1 if is_tls else 0]}"}
    return {**options, "ssl_cafile": str(certificates / "ca.pem")} if is_tls else options


def rdkafka_options(node, certificates, give, is_tls):
    options = {"security.protocol": "SASL_SSL" if is_tls else "SASL_PLAINTEXT",
               "sasl.mechanisms": "OAUTHBEARER", "broker.address.family": "v4",
               "oauth_cb": lambda _: (give(), time.time() + 60),
               "bootstrap.servers": f"localhost:{node.ports[1 if is_tls else 0]}"}
    return {**options, "ssl.ca.location": str(certificates / "ca.pem")} if is_tls else options


@pytest.mark.parametrize("is_tls", [False, True])
def test_librdkafka_brings_a_token(asking, certificates, keys, is_tls):
    node = asking(key_set(*keys.values()))
    options = rdkafka_options(node, certificates, lambda: token(keys["RS256"]), is_tls)
    producer = confluent_kafka.Producer(options)
    errors = []
    producer.produce("t", b"one", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(PATIENCE_S) == 0 and errors == [None]
    consumer = confluent_kafka.Consumer({**options, "group.id": "g"})
    consumer.assign([confluent_kafka.TopicPartition("t", 0, 0)])
    records = wait_until(lambda: [r for r in [consumer.poll(0.5)] if r and not r.error()], what="a record")
    assert records[0].value() == b"one"
    consumer.close()


@pytest.mark.parametrize("is_tls", [False, True])
def test_kafka_python_brings_a_token(asking, certificates, keys, is_tls):
    """Which says SaslHandshake 0, and sends the token bare."""
    node = asking(key_set(keys["ES256"]))
    producer = kafka.KafkaProducer(**python_options(node, certificates, token(keys["ES256"]), is_tls))
    assert producer.send("t", b"one").get(PATIENCE_S).offset == 0
    producer.close()


def test_a_bad_token_is_told_to_librdkafka(asking, certificates, keys):
    node = asking(key_set(keys["RS256"]))
    told = []
    producer = confluent_kafka.Producer({
        **rdkafka_options(node, certificates, lambda: token(keys["ES256"]), True),
        "error_cb": lambda error: told.append(str(error))})
    wait_until(lambda: (producer.poll(0.1), told)[1], what="an error")
    assert any("invalid_token" in words for words in told), told
    assert "eyJ" not in node.stderr()  # no token in the log


# ---- tokens ----


def test_every_algorithm_and_whose_token_it_is(asking, keys):
    node = asking(key_set(*keys.values()), super_users=["root"])
    for key in keys.values():
        with raw(node) as connection:
            error, lifetime = log_in(connection, token(key, lifetime_s=3000))
            assert error == 0 and 2900000 <= lifetime <= 3000000
    allow(node, "User:alice", raw_kafka.ALTER, raw_kafka.CLUSTER, "kafka-cluster")
    for subject, error in (("alice", 0), ("bob", 31)):
        with raw(node) as connection:
            assert log_in(connection, token(keys["ES256"], subject), subject)[0] == 0
            assert raw_kafka.set_user(connection, "eve", "x") == {"eve": error}


def test_what_is_not_good_is_refused_counted_and_costs_nothing_else(asking, keys, tmp_path):
    node = asking(key_set(keys["RS256"], keys["ES256"]), scopes=["kafka"])
    good = keys["RS256"]
    stranger = Key(tmp_path, "rs256", "RS256")  # another key of the same name
    fine = token(good, scope="openid kafka")
    head, body, signature = fine.split(".")
    bad = [
        token(good, scope="openid"), token(good), token(good, scope="kafka", aud="others"),
        token(good, scope="kafka", aud=None), token(good, scope="kafka", iss="https://evil.test"),
        token(good, scope="kafka", lifetime_s=-3), token(good, scope="kafka", exp=None),
        token(good, scope="kafka", iat=int(time.time()) + 60),
        token(good, scope="kafka", nbf=int(time.time()) + 60), token(good, subject="", scope="kafka"),
        token(stranger, scope="kafka"), token(keys["ES512"], scope="kafka"),
        token(good, scope="kafka", header={"kid": "es256"}), f"{head}.{body}.", f"{head}.{body}.AAAA",
        issuer.encode(b'{"alg":"none"}') + f".{body}.",
        issuer.encode(b'{"alg":"HS256","kid":"rs256"}') + f".{body}.{signature}", "x", "a.b.c",
        "A" * 100000,
    ]
    with raw(node) as bystander:
        assert log_in(bystander, fine)[0] == 0
        for text, source in zip(bad, sources()):
            with raw(node, source=source) as connection:
                assert connection.handshake("OAUTHBEARER")[0] == 0
                error, answer, _ = connection.authenticate(message(text))
                assert (error, answer) == (0, REFUSED), text[:60]
                # Whatever comes now, the connection ends with Kafka's words.
                assert connection.authenticate(b"\1" if len(text) % 2 else b"")[0] == \
                    AUTHENTICATION_FAILED
                assert connection.is_closed()
        assert failures(node, "token") == len(bad)
        assert bystander.call(raw_kafka.METADATA, 1, struct.pack(">i", -1))


def test_what_is_no_message_of_the_mechanism(asking, keys):
    node = asking(key_set(keys["ES256"]))
    text = token(keys["ES256"])
    bad = [b"", b"n,,", b"\1", b"n,,\1auth=Basic x\1\1", message(text)[:-1], message(text) + b"x",
           b"p=tls-unique,,\1auth=Bearer x\1\1", b"\0alice\0secret"]
    for data, source in zip(bad, sources()):
        with raw(node, source=source) as connection:
            assert connection.handshake("OAUTHBEARER")[0] == 0
            assert connection.authenticate(data)[0] == AUTHENTICATION_FAILED
            assert connection.is_closed()
    assert failures(node, "malformed") == len(bad)
    with raw(node) as connection:  # the token of one for another
        assert connection.handshake("OAUTHBEARER")[0] == 0
        assert connection.authenticate(message(text, "root"))[0] == AUTHENTICATION_FAILED
    assert failures(node, "other_principal") == 1


def test_a_session_ends_with_its_token_unless_it_is_renewed(asking, keys):
    node = asking(key_set(keys["ES256"]), session="1h", clock_skew="0s")
    everything = struct.pack(">i", -1)
    with raw(node) as connection:
        error, lifetime = log_in(connection, token(keys["ES256"], lifetime_s=10))
        assert error == 0 and 0 < lifetime <= 10000
        assert log_in(connection, token(keys["ES256"], lifetime_s=11))[0] == 0  # by a newer one
        assert connection.call(raw_kafka.METADATA, 1, everything)

        def has_ended():
            try:
                connection.call(raw_kafka.METADATA, 1, everything)
            except (EOFError, ConnectionResetError):
                return True
            return False

        wait_until(has_ended, what="the end of the session", poll_s=0.2)
    with raw(node) as connection:  # by somebody else's
        assert log_in(connection, token(keys["ES256"]))[0] == 0
        assert log_in(connection, token(keys["ES256"], "bob"))[0] == AUTHENTICATION_FAILED
    short = asking(key_set(keys["ES256"]), session="60s", name="short")
    with raw(short) as connection:  # and not later than the listener says
        assert log_in(connection, token(keys["ES256"], lifetime_s=600)) == (0, 60000)


# ---- keys ----


def test_keys_that_change_fail_nobody(asking, keys, servers):
    """A new key is asked for when the first token comes that it has signed; other unknown keys do not
    make the node ask all the time; what is broken changes nothing."""
    server = servers()
    server.keys = key_set(keys["ES256"])
    node = asking(server.url + "/keys")
    with raw(node) as connection:
        assert log_in(connection, token(keys["ES256"]))[0] == 0
    server.keys = key_set(keys["ES256"], keys["RS256"])
    time.sleep(5)  # the least that lies between two readings
    with raw(node) as connection:
        assert log_in(connection, token(keys["RS256"]))[0] == 0
    asked, began = server.key_requests, time.monotonic()
    for _ in range(3):
        with raw(node) as connection:
            assert log_in(connection, token(keys["ES512"]))[0] == AUTHENTICATION_FAILED
    assert server.key_requests <= asked + 1 + (time.monotonic() - began) / 5
    assert metric(node, "millrace_oauth_keys") == 2


def test_a_server_of_identities_that_fails(asking, keys, servers):
    """Nobody is let in before there are keys; with the last good ones it goes on."""
    server = servers()
    server.status = 500
    node = asking(server.url + "/keys", refresh="200ms")
    with raw(node) as connection:
        assert log_in(connection, token(keys["ES256"]))[0] == AUTHENTICATION_FAILED
    assert failures(node, "busy") == 1
    server.keys, server.status = key_set(keys["ES256"]), None
    wait_until(lambda: metric(node, "millrace_oauth_keys") == 1, what="keys")
    with raw(node) as connection:
        assert log_in(connection, token(keys["ES256"]))[0] == 0
    before = metric(node, "millrace_oauth_key_refresh_failures_total")
    server.keys = "<html>"
    wait_until(lambda: metric(node, "millrace_oauth_key_refresh_failures_total") > before, what="a failure")
    with raw(node) as connection:
        assert log_in(connection, token(keys["ES256"]))[0] == 0
    node.stop()


def test_keys_over_https(asking, keys, servers, certificates, tmp_path):
    """Its certificate must be one of the authority's, and of the right name."""
    server = servers(certificates)
    server.keys = key_set(keys["ES256"])
    node = asking(server.url + "/keys", ca=str(certificates / "ca.pem"))
    wait_until(lambda: metric(node, "millrace_oauth_keys") == 1, what="keys")
    with raw(node) as connection:
        assert log_in(connection, token(keys["ES256"]))[0] == 0
    other = asking(server.url + "/keys", name="other", ca=str(certificates / "client.pem"))
    other.wait_for_output("its certificate is not taken")
    assert metric(other, "millrace_oauth_keys") == 0


# ---- from an edge to a hub ----


@pytest.fixture
def edge(node, tmp_path, certificates):
    """edge(hub, sasl): an edge that forwards two lines."""

    def make(hub, sasl):
        log = tmp_path / "web.log"
        log.write_text("one\ntwo\n", encoding="utf-8")
        return node({"sources": {"web": {"type": "file", "paths": [str(log)], "topic": "web"}},
                     "sinks": {"hubs": {"type": "peer", "topics": ["web"],
                                        "nodes": [f"localhost:{hub.ports[1]}"],
                                        "sasl": {"mechanism": "OAUTHBEARER", **sasl},
                                        "tls": {"ca": str(certificates / "ca.pem")}}}}, "edge").start()

    return make


def test_an_edge_brings_a_token_from_a_file(asking, edge, keys, tmp_path):
    """Read anew each time: a good one behind a bad one is taken."""
    hub = asking(key_set(keys["ES256"]), super_users=["edge"])
    (tmp_path / "token").write_text(token(keys["ES512"], "edge") + "\n")
    agent = edge(hub, {"token_file": str(tmp_path / "token")})
    hub.wait_for_output("authentication failed")
    assert end_offset(hub, "web") == -1
    (tmp_path / "token").write_text(token(keys["ES256"], "edge") + "\n")
    wait_until(lambda: end_offset(hub, "web") == 2, what="two records at the hub")
    assert "eyJ" not in agent.stderr() + hub.stderr()
    agent.stop()


def test_an_edge_asks_for_its_tokens(asking, edge, keys, servers):
    """Client credentials; sessions of 400 ms are renewed with the token that is still fresh."""
    server = servers()
    server.give = lambda: token(keys["ES256"], "edge")
    hub = asking(key_set(keys["ES256"]), super_users=["edge"], session="400ms")
    agent = edge(hub, {"oauth": {"url": server.url + "/token", "id": "edge", "secret": "s&cret",
                                 "scope": "kafka write"}})
    wait_until(lambda: end_offset(hub, "web") == 2, what="two records at the hub")
    wait_until(lambda: metric(hub, "millrace_broker_authentications_total") >= 4, what="renewals")
    assert server.token_requests == 1
    assert server.forms == [{"grant_type": ["client_credentials"], "scope": ["kafka write"]}]
    assert "s&cret" not in agent.stderr() + hub.stderr()
    agent.stop()


def test_an_edge_whose_secret_is_wrong_says_so(asking, edge, keys, servers):
    server = servers()
    hub = asking(key_set(keys["ES256"]))
    agent = edge(hub, {"oauth": {"url": server.url + "/token", "id": "edge", "secret": "guess"}})
    wait_until(lambda: "invalid_client" in node_module.run("sinks", "-c", agent.config_path).stdout,
               what="the reason", poll_s=0.2)
    assert "guess" not in agent.stderr()
    assert agent.is_running()
    agent.stop()


# ---- what the configuration refuses ----


@pytest.mark.parametrize("change,words", [
    ({"authentication": None}, "needs authentication.oauth"),
    ({"authentication": {"oauth": {"keys": "k.json"}}}, "keys and issuer belong"),
    ({"authentication": {"oauth": {"keys": "http://id.test/k", "issuer": "x"}}}, "use https"),
    ({"authentication": {"oauth": {"keys": "ftp://id.test/k", "issuer": "x"}}}, "is not a URL"),
    ({"listen": [{"address": "127.0.0.1:9092", "sasl": ["OAUTHBEARER"]}]}, "sends the token as it is"),
])
def test_what_the_configuration_refuses(tmp_path, change, words):
    import yaml
    config = {"node": {"data": str(tmp_path / "data")},
              "listen": [{"address": "127.0.0.1:9092", "sasl": ["OAUTHBEARER"], "insecure": True}],
              "authentication": {"oauth": {"keys": "https://id.test/k", "issuer": "x"}}, **change}
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in config.items() if value is not None}))
    result = node_module.run("check", "-c", path)
    assert result.returncode == 78 and words in result.stderr, result.stderr
