/** Kafka through `@platformatic/kafka`. */

const { Consumer, Producer, stringDeserializers, stringSerializers } = require('@platformatic/kafka')
const { produce } = require('otel-token-relay/messaging')
const { asCaller } = require('otel-token-relay/platformatic-kafka')

exports.system = 'kafka'

exports.connect = async (url) => {
  const bootstrapBrokers = [url]
  const producer = new Producer({
    clientId: 'producer',
    bootstrapBrokers,
    serializers: stringSerializers,
    autocreateTopics: true,
  })
  const send = (topic, value, headers) => producer.send({ messages: [{ topic, value, headers }] })
  return {
    produce: (topic, text) => produce(`kafka:${topic}`, (headers) => send(topic, text, headers)),
    raw: send,
    async consume(topic, handler, onRejected, options) {
      const consumer = new Consumer({
        groupId: 'streams',
        clientId: 'consumer',
        bootstrapBrokers,
        deserializers: stringDeserializers,
        autocreateTopics: true,
      })
      const settings = { ...options, onRejected: (_, { code }) => onRejected(code) }
      const work = asCaller(({ value }) => handler(value), settings)
      const stream = await consumer.consume({
        topics: [topic],
        autocommit: false,
        mode: 'earliest',
        sessionTimeout: 10_000,
        heartbeatInterval: 500,
      })
      const loop = async () => {
        for await (const message of stream) await work(message)
      }
      loop().catch((error) => console.error(error))
    },
  }
}
