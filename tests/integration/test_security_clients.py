"""Foreign clients, in each mechanism, with and without TLS, with right and wrong passwords."""

import subprocess
import time

import pytest

import node as node_module
from node import KCAT, PATIENCE_S
from security import (MECHANISMS, PASSWORD, certificates, metric, python_options,  # noqa: F401
                      rdkafka_options, secure)

kafka = pytest.importorskip("kafka")
confluent_kafka = pytest.importorskip("confluent_kafka")


@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_librdkafka_in_every_mechanism(secure, certificates, mechanism, is_tls):
    node = secure()
    options = rdkafka_options(node, certificates, mechanism, is_tls)
    producer = confluent_kafka.Producer(options)
    failures = []
    for number in range(10):
        producer.produce("t", str(number), on_delivery=lambda error, _: error and
                         failures.append(error))
    assert producer.flush(PATIENCE_S) == 0
    assert failures == []
    consumer = confluent_kafka.Consumer({**options, "group.id": "g", "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition("t", 0, 0)])
    values = []
    deadline = time.monotonic() + PATIENCE_S
    while len(values) < 10 and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            values.append(message.value())
    consumer.close()
    assert values == [str(number).encode() for number in range(10)]


@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kafka_python_in_every_mechanism(secure, certificates, mechanism, is_tls):
    """Which says SaslHandshake 0 and then sends bare tokens."""
    node = secure()
    producer = kafka.KafkaProducer(**python_options(node, certificates, mechanism, is_tls))
    assert producer.send("t", b"one").get(PATIENCE_S).offset == 0
    producer.close()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kcat_with_sasl_ssl(secure, certificates, mechanism):
    node = secure()
    options = []
    for key, value in rdkafka_options(node, certificates, mechanism, True).items():
        options += ["-X", f"{key}={value}"]
    produced = subprocess.run([*KCAT, "-P", "-t", "t", *options], input=b"a\nb\n", timeout=PATIENCE_S,
                              capture_output=True, check=False)
    assert produced.returncode == 0, produced.stderr
    consumed = subprocess.run([*KCAT, "-C", "-t", "t", "-e", "-q", *options], timeout=PATIENCE_S,
                              capture_output=True, check=False)
    assert consumed.stdout == b"a\nb\n", consumed.stderr


@pytest.mark.parametrize("user,password", [("admin", "mistaken"), ("nobody", PASSWORD)])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_a_wrong_password_and_a_stranger_are_refused_alike(secure, certificates, mechanism, user,
                                                           password):
    node = secure()
    errors = []
    producer = confluent_kafka.Producer({
        **rdkafka_options(node, certificates, mechanism, True, user, password),
        "error_cb": lambda error: errors.append(error)})
    node_module.wait_until(lambda: (producer.poll(0.1), errors)[1], what="an error")
    assert any("uthentication failed" in str(error) for error in errors), errors
    with pytest.raises(kafka.errors.KafkaError):
        kafka.KafkaProducer(**{**python_options(node, certificates, mechanism, False, user, password),
                               "api_version_auto_timeout_ms": 5000})
    assert metric(node, "millrace_broker_authentication_failures_total") >= 2
    assert password not in node.stderr()
