"""Attempts to authenticate that go wrong: each gets the right answer, is counted by its reason, leaves no
secret in the log, and costs nobody else anything."""

import struct
import threading
import time

import pytest

import raw_kafka
from node import PATIENCE_S, wait_until
from raw_kafka import Connection, Scram
from security import (PASSWORD, certificates, metric, python_options, raw, rdkafka_options,  # noqa: F401
                      secure, sources)

kafka = pytest.importorskip("kafka")
confluent_kafka = pytest.importorskip("confluent_kafka")

ILLEGAL_STATE, AUTHENTICATION_FAILED = 34, 58
EVERYTHING = struct.pack(">i", -1)


def failures(node, reason):
    return metric(node, f'millrace_broker_authentication_failures_total{{reason="{reason}"}}')


@pytest.fixture
def bystander(secure):
    """A node, and a client of it that must not notice anything: (node, connection)."""
    node = secure()
    with raw(node) as connection:
        assert connection.scram("SCRAM-SHA-512", "alice", PASSWORD)[0] == 0
        yield node, connection
        assert connection.call(raw_kafka.METADATA, 1, EVERYTHING)


class Altered(Scram):
    """A client whose last message is altered before it is sent."""

    def __init__(self, change, user="admin"):
        super().__init__("SCRAM-SHA-256", user, PASSWORD)
        self.change = change

    def answer(self, challenge):
        return self.change(super().answer(challenge).decode()).encode()


@pytest.mark.parametrize("change,reason", [
    (lambda text: text.replace(",p=", "x,p="), "malformed"),  # another nonce
    (lambda text: text.replace(",r=", ",r=x"), "wrong_password"),  # old librdkafka's form, but not signed
    (lambda text: text.replace("c=biws", "c=eSws"), "malformed"),  # "y,,": another channel
    (lambda text: text.replace("c=biws", "c=cD10bHMtdW5pcXVlLCw="), "malformed"),  # "p=tls-unique,,"
    (lambda text: text.rsplit(",p=", 1)[0], "malformed"),  # no proof
    (lambda text: text[:-4] + "AAA=", "wrong_password"),
    (lambda text: text + ",x=y", "malformed"),
    (lambda text: "", "malformed"),
    (lambda text: text * 100, "malformed"),
], ids=["nonce", "nonces", "channel", "binding", "no-proof", "proof", "behind", "empty", "long"])
def test_a_last_message_of_scram_that_is_wrong(bystander, change, reason):
    node, _ = bystander
    with raw(node) as connection:
        client = Altered(change)
        assert connection.handshake("SCRAM-SHA-256")[0] == 0
        _, challenge, _ = connection.authenticate(client.first())
        assert connection.authenticate(client.answer(challenge))[0] == AUTHENTICATION_FAILED
        assert connection.is_closed()
    assert failures(node, reason) == 1


def test_every_failure_is_counted_by_its_reason(bystander):
    node, _ = bystander
    addresses = sources()

    def attempt():
        return raw(node, source=next(addresses))

    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        for user, password in (("admin", "sesame-1"), ("nobody", "sesame-2")):
            with attempt() as connection:
                assert connection.scram(mechanism, user, password)[0] == AUTHENTICATION_FAILED
    for user, password in (("admin", "sesame-3"), ("nobody", "sesame-4")):
        with attempt() as connection:
            assert connection.handshake("PLAIN")[0] == 0
            token = f"\0{user}\0{password}".encode()
            assert connection.authenticate(token)[0] == AUTHENTICATION_FAILED
    with attempt() as connection:
        connection.handshake("KERBEROS")
    with attempt() as connection:
        assert connection.handshake("PLAIN")[0] == 0
        assert connection.authenticate(b"\0" * 400000)[0] == AUTHENTICATION_FAILED
    with attempt() as connection:
        assert connection.scram("SCRAM-SHA-512", "admin", PASSWORD)[0] == 0
        assert connection.scram("SCRAM-SHA-512", "alice", PASSWORD)[0] == AUTHENTICATION_FAILED
    assert {reason: failures(node, reason) for reason in
            ("wrong_password", "unknown_user", "mechanism", "malformed", "other_principal")} == {
                "wrong_password": 3, "unknown_user": 3, "mechanism": 1, "malformed": 1,
                "other_principal": 1}
    assert "sesame" not in node.stderr() and PASSWORD not in node.stderr()


def test_guessing_one_users_password_from_many_addresses_is_slowed(secure):
    node = secure()
    for _, source in zip(range(5), sources()):
        begin = time.monotonic()
        with raw(node, source=source) as connection:
            assert connection.scram("SCRAM-SHA-256", "admin", "wrong")[0] == AUTHENTICATION_FAILED
    assert time.monotonic() - begin >= 1.6  # the fifth for this user, the first from its address
    with raw(node, source="127.0.9.9") as connection:  # the right one is not
        begin = time.monotonic()
        assert connection.scram("SCRAM-SHA-256", "admin", PASSWORD)[0] == 0
        assert time.monotonic() - begin < 3.2  # what the sixth would take


def test_the_log_does_not_grow_with_the_attempts(secure):
    """A hundred at once: all are counted, and few lines are written."""
    node = secure()
    addresses = sources()

    def guess(source):
        with raw(node, source=source) as connection:
            connection.handshake("PLAIN")
            connection.authenticate(b"nothing")

    threads = [threading.Thread(target=guess, args=(next(addresses),)) for _ in range(100)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures(node, "malformed") == 100
    assert node.stderr().count("authentication failed") <= 21 + (time.monotonic() - begin)


@pytest.mark.parametrize("user", ["älice", "пользователь", "a,b=c", "ⅷ­x", "李"])
def test_names_and_passwords_that_are_not_ascii(secure, certificates, user):
    """As Kafka and librdkafka: the UTF-8 as it is, without SASLprep."""
    node = secure()
    password = "pä­ss wörd Ⅸ"
    with Connection(str(node.socket_path)) as control:
        assert raw_kafka.set_user(control, user, password) == {user: 0}
    for mechanism in ("SCRAM-SHA-512", "PLAIN"):
        topic = f"t-{mechanism}"
        producer = confluent_kafka.Producer(rdkafka_options(node, certificates, mechanism, False, user,
                                                            password))
        errors = []
        producer.produce(topic, b"x", on_delivery=lambda error, _: errors.append(error))
        producer.flush(PATIENCE_S)
        # It is known, and not allowed to.
        assert errors and errors[0].code() == confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED
    with raw(node) as connection:
        assert connection.scram("SCRAM-SHA-256", user, password)[0] == 0


def test_a_user_that_is_removed_or_changed_while_logged_in(secure):
    """As Kafka: a connection stays as it is until its session ends; then the new credential counts. The
    rights count at once."""
    node = secure()
    with Connection(str(node.socket_path)) as control, raw(node) as connection:
        assert connection.scram("SCRAM-SHA-512", "admin", PASSWORD)[0] == 0
        assert raw_kafka.remove_user(control, "admin") == {"admin": 0}
        assert raw_kafka.set_user(connection, "bob", "one") == {"bob": 0}  # still a super user
        assert connection.scram("SCRAM-SHA-512", "admin", PASSWORD)[0] == AUTHENTICATION_FAILED
        assert connection.is_closed()
        with raw(node) as other:
            assert other.scram("SCRAM-SHA-512", "bob", "one")[0] == 0
            assert raw_kafka.set_user(control, "bob", "two") == {"bob": 0}
            assert other.call(raw_kafka.METADATA, 1, EVERYTHING)
            assert other.scram("SCRAM-SHA-512", "bob", "two")[0] == 0
            assert other.scram("SCRAM-SHA-512", "bob", "one")[0] == AUTHENTICATION_FAILED


def test_a_session_is_renewed_behind_requests_that_wait(secure):
    """A fetch that waits, the handshake and a request behind it, all sent at once: answered in order."""
    node = secure()
    with Connection(str(node.socket_path)) as control:
        control.call(raw_kafka.METADATA, 1, struct.pack(">i", 1) + raw_kafka.string("t"))
    with raw(node) as connection:
        assert connection.scram("SCRAM-SHA-512", "admin", PASSWORD)[0] == 0
        wait_until(lambda: b"t" in connection.call(raw_kafka.METADATA, 1, EVERYTHING), what="the topic")
        fetch = struct.pack(">iiiibi", -1, 700, 1, 1000, 0, 1) + raw_kafka.string("t") + \
            struct.pack(">iiqi", 1, 0, 0, 1000)
        client = Scram("SCRAM-SHA-512", "admin", PASSWORD)
        first = client.first()
        for number, (key, version, body) in enumerate((
                (1, 4, fetch), (raw_kafka.SASL_HANDSHAKE, 1, raw_kafka.string("SCRAM-SHA-512")),
                (raw_kafka.SASL_AUTHENTICATE, 1, struct.pack(">i", len(first)) + first))):
            connection.send_frame(struct.pack(">hhi", key, version, 1000 + number) +
                                  raw_kafka.string("raw") + body)
        answers = [connection.read_frame() for _ in range(3)]
        assert [struct.unpack(">i", answer[:4])[0] for answer in answers] == [1000, 1001, 1002]
        size = struct.unpack(">i", answers[2][8:12])[0]
        assert connection.authenticate(client.answer(answers[2][12:12 + size]))[0] == 0
        assert connection.call(raw_kafka.METADATA, 1, EVERYTHING)


def test_who_says_something_else_in_the_middle(bystander):
    """Requests between the steps, and steps twice, close the connection."""
    node, _ = bystander
    client = Scram("SCRAM-SHA-512", "admin", PASSWORD)
    with raw(node) as connection:
        assert connection.handshake("SCRAM-SHA-512")[0] == 0
        connection.authenticate(client.first())
        with pytest.raises((EOFError, ConnectionResetError)):
            connection.call(raw_kafka.METADATA, 1, EVERYTHING)
    with raw(node) as connection:
        assert connection.handshake("SCRAM-SHA-512")[0] == 0
        with pytest.raises((EOFError, ConnectionResetError)):
            connection.handshake("SCRAM-SHA-256")
    with raw(node) as connection:
        assert connection.handshake("SCRAM-SHA-512")[0] == 0
        connection.authenticate(client.first())
        assert connection.authenticate(client.first())[0] == AUTHENTICATION_FAILED
    with raw(node) as connection:  # the mechanism of one, the message of another
        assert connection.handshake("PLAIN")[0] == 0
        assert connection.authenticate(client.first())[0] == AUTHENTICATION_FAILED


def test_a_guess_does_not_tell_who_exists(secure):
    """Both fail at the same step, with the same words."""
    node = secure()
    answers = []
    for user, source in zip(("admin", "nobody", "", "x" * 200), sources()):
        with raw(node, source=source) as connection:
            connection.handshake("PLAIN")
            token = b"\0" + user.encode() + b"\0guess"
            answers.append(connection.call(raw_kafka.SASL_AUTHENTICATE, 1,
                                           struct.pack(">i", len(token)) + token))
    assert len(set(answers)) == 1 and b"invalid credentials" in answers[0]
