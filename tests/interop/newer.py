"""kafka-python, confluent-kafka or aiokafka, as new as PyPI has them: newer.py CLIENT HOST:PORT CODEC."""

import sys
import time

COUNT = 5000


def by_kafka(address, codec, topic, expected):
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    producer = KafkaProducer(bootstrap_servers=address, acks="all", linger_ms=5,
                             compression_type=None if codec == "none" else codec)
    futures = [producer.send(topic, value) for value in expected]
    producer.flush(20)
    for future in futures:
        future.get(20)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=address, consumer_timeout_ms=15000)
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    got = [next(consumer).value for _ in expected]
    consumer.close()
    return got


def by_confluent(address, codec, topic, expected):
    import confluent_kafka
    producer = confluent_kafka.Producer({
        "bootstrap.servers": address, "compression.type": codec, "linger.ms": 5,
        "enable.idempotence": True, "message.timeout.ms": 10000})
    errors = []
    for value in expected:
        producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(20) == 0 and not any(errors), errors[:2]
    consumer = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": "g",
                                         "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    got, deadline = [], time.monotonic() + 20
    while len(got) < len(expected) and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None:
            assert message.error() is None, message.error()
            got.append(message.value())
    consumer.commit(offsets=[confluent_kafka.TopicPartition(topic, 0, 7)], asynchronous=False)
    assert consumer.committed([confluent_kafka.TopicPartition(topic, 0)], 10)[0].offset == 7
    consumer.close()
    return got


def by_aiokafka(address, codec, topic, expected):
    import asyncio
    import aiokafka

    async def there_and_back():
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=True, linger_ms=5,
                                             compression_type=None if codec == "none" else codec)
        await producer.start()
        await asyncio.gather(*[await producer.send(topic, value) for value in expected])
        await producer.stop()
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=address, group_id=None)
        await consumer.start()
        consumer.assign([aiokafka.TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        got = [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in expected]
        await consumer.stop()
        return got

    return asyncio.run(there_and_back())


def main():
    client, address, codec = sys.argv[1:]
    expected = [f"{codec} {number} ".encode() * 6 for number in range(COUNT)]
    by = {"kafka": by_kafka, "confluent": by_confluent, "aiokafka": by_aiokafka}[client]
    assert by(address, codec, f"newer-{client}-{codec}", expected) == expected
    print("all well")


main()
