"""What the tests with foreign clients share: each client with time-outs, so that a failure ends, after minutes."""

import subprocess
import time

import confluent_kafka

from node import KCAT, PATIENCE_S

TIMEOUT_S = PATIENCE_S


def kcat(hub, *arguments, text=None):
    return subprocess.run([*KCAT, "-b", hub.bootstrap, "-X", "message.timeout.ms=120000",
                           *arguments], input=text, text=True, capture_output=True, timeout=PATIENCE_S,
                          check=False)


def new_producer(hub, **options):
    return confluent_kafka.Producer({
        "bootstrap.servers": hub.bootstrap, "message.timeout.ms": 120000, "linger.ms": 5,
        **{key.replace("_", "."): value for key, value in options.items()}})


def new_consumer(hub, **options):
    return confluent_kafka.Consumer({
        "bootstrap.servers": hub.bootstrap, "group.id": "reader", "enable.auto.commit": False,
        "enable.partition.eof": True, "auto.offset.reset": "error",
        **{key.replace("_", "."): value for key, value in options.items()}})


def send(hub, topic, values, partition=0, **options):
    """Produces all, and returns the reported messages; a failed one fails the test."""
    producer = new_producer(hub, **options)
    reports, errors = [], []

    def on_delivery(error, message):
        (reports if error is None else errors).append(message if error is None else error)

    for value in values:
        while True:
            try:
                producer.produce(topic, value, partition=partition, on_delivery=on_delivery)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(TIMEOUT_S) == 0 and not errors, errors[:3]
    return reports


def read(hub, topic, partition=0, start=0, **options):
    """All messages from `start` to the end of the partition."""
    consumer = new_consumer(hub, **options)
    consumer.assign([confluent_kafka.TopicPartition(topic, partition, start)])
    messages, deadline = [], time.monotonic() + TIMEOUT_S
    while True:
        assert time.monotonic() < deadline, f"no end of {topic} after {len(messages)} messages"
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error() is None:
            messages.append(message)
            continue
        assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF, message.error()
        consumer.close()
        return messages


def values(messages):
    return [message.value() for message in messages]
