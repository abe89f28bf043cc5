// kafkajs against the hub in argv[2]: administration, an idempotent producer, offsets, two members of a group.
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const assert = require('assert')

const kafka = new Kafka({ clientId: 'interop', brokers: [process.argv[2]], logLevel: logLevel.ERROR,
                          retry: { retries: 2 } })

// Two members read 990 records between them, one of them leaves, the other reads on.
async function members (producer) {
  const seen = []
  const readers = []
  const done = count => new Promise((resolve, reject) => {
    const timer = setInterval(() => { if (seen.length >= count) { clearInterval(timer); resolve() } }, 20)
    setTimeout(() => { clearInterval(timer); reject(new Error(`${seen.length} of ${count}`)) }, 40000).unref()
  })
  for (const name of ['one', 'two']) {
    const reader = kafka.consumer({ groupId: 'members', sessionTimeout: 10000 })
    await reader.connect()
    await reader.subscribe({ topics: ['js'], fromBeginning: true })
    await reader.run({ eachMessage: async ({ message }) => { seen.push(message.offset + name) } })
    readers.push(reader)
  }
  await done(990)
  await readers.pop().disconnect()
  await producer.send({ topic: 'js', messages: Array.from({ length: 20 }, (_, i) =>
    ({ partition: i % 2, value: `later ${i}` })) })
  await done(1010)
  assert.strictEqual(seen.length, 1010)
  await readers.pop().disconnect()
}

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
  await members(producer)
  await producer.disconnect()
  assert((await admin.listGroups()).groups.some(row => row.groupId === 'members'))
  const described = (await admin.describeGroups(['members'])).groups[0]
  assert.deepStrictEqual([described.state, described.members.length], ['Empty', 0])
  await admin.deleteGroups(['members'])
  await admin.deleteTopics({ topics: ['js'] })
  await admin.disconnect()
  console.log('all well')
}

main().catch(error => { console.error(error); process.exit(1) })
