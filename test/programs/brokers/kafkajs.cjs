/** Kafka through `kafkajs`: `eachMessage` for one topic, `eachBatch` for the same with `-batch`. */

const { Kafka, logLevel } = require('kafkajs')
const { asCaller, eachAsCaller } = require('otel-token-relay/kafkajs')
const { produce } = require('otel-token-relay/messaging')

exports.system = 'kafka'

exports.connect = async (url) => {
  const kafka = new Kafka({
    brokers: [url],
    logLevel: logLevel.NOTHING,
    requestTimeout: 3_000,
    retry: { retries: 20, maxRetryTime: 1_000 },
  })
  const producer = kafka.producer()
  await producer.connect()
  const send = (topic, text, headers) => producer.send({ topic, messages: [{ value: text, headers }] })
  return {
    produce: (topic, text) => produce(`kafka:${topic}`, (headers) => send(topic, text, headers)),
    raw: send,
    async consume(topic, handler, rejected, options) {
      const settings = { ...options, onRejected: (_, { code }) => rejected(code) }
      const single = kafka.consumer({ groupId: 'single' })
      await single.connect()
      await single.subscribe({ topic, fromBeginning: true })
      await single.run({
        partitionsConsumedConcurrently: 4,
        eachMessage: asCaller(({ message }) => handler(message.value.toString()), settings),
      })
      const batches = kafka.consumer({ groupId: 'batches' })
      await batches.connect()
      await batches.subscribe({ topic: `${topic}-batch`, fromBeginning: true })
      await batches.run({ eachBatch: eachAsCaller((message) => handler(message.value.toString()), settings) })
    },
  }
}
