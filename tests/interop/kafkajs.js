// kafkajs against the hub in argv[2]: administration, an idempotent producer, offsets. Its consumer
// always joins a group, which is not served yet.
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const assert = require('assert')

const kafka = new Kafka({ clientId: 'interop', brokers: [process.argv[2]], logLevel: logLevel.ERROR,
                          retry: { retries: 2 } })

async function main () {
  const admin = kafka.admin()
  await admin.connect()
  assert(await admin.createTopics({ topics: [{ topic: 'js', numPartitions: 2 }] }))
  assert((await admin.listTopics()).includes('js'))
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
    const messages = Array.from({ length: 500 }, (_, i) =>
      ({ partition: 0, key: `k${i}`, value: `v${i}`, headers: { h: 'x' } }))
    await producer.send({ topic: 'js', acks: -1, compression, messages })
  }
  await producer.disconnect()
  const offsets = (await admin.fetchTopicOffsets('js')).find(row => row.partition === 0)
  assert.deepStrictEqual([offsets.low, offsets.high], ['0', '1000'])
  await admin.deleteTopicRecords({ topic: 'js', partitions: [{ partition: 0, offset: '10' }] })
  const after = (await admin.fetchTopicOffsets('js')).find(row => row.partition === 0)
  assert.strictEqual(after.low, '10')
  await admin.createPartitions({ topicPartitions: [{ topic: 'js', count: 3 }] })
  const metadata = await admin.fetchTopicMetadata({ topics: ['js'] })
  assert.strictEqual(metadata.topics[0].partitions.length, 3)
  const group = await admin.fetchOffsets({ groupId: 'g', topics: ['js'] })
  assert.strictEqual(group[0].partitions[0].offset, '-1')
  await admin.deleteTopics({ topics: ['js'] })
  await admin.disconnect()
  console.log('all well')
}

main().catch(error => { console.error(error); process.exit(1) })
