/** NATS through `@nats-io`: JetStream, and core NATS for what begins with `core`. */

const { jetstream, jetstreamManager } = require('@nats-io/jetstream')
const { connect, headers: newHeaders } = require('@nats-io/transport-node')
const { asCaller, publishAsCaller } = require('otel-token-relay/nats')

exports.system = 'nats'

const ACK_WAIT_NANOS = 5e9

exports.connect = async (url) => {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 200 })
  const stream = jetstream(connection)
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name: 'all', subjects: ['orders', 'other'] }).catch(() => undefined)
  const isCore = (subject) => subject.startsWith('core')
  const publish = (subject, text, headers) =>
    isCore(subject) ? connection.publish(subject, text, { headers }) : stream.publish(subject, text, { headers })
  return {
    produce: (subject, text) => publishAsCaller(subject, newHeaders(), (headers) => publish(subject, text, headers)),
    async raw(subject, text, fields) {
      const headers = newHeaders()
      for (const [name, value] of Object.entries(fields)) headers.set(name, value)
      await publish(subject, text, headers)
    },
    async consume(subject, handler, onRejected, options) {
      const settings = { ...options, onRejected: (_, { code }) => onRejected(code) }
      const work = asCaller((message) => handler(message.string()), settings)
      const loop = async (messages) => {
        for await (const message of messages) void work(message)
      }
      void loop(connection.subscribe(`core-${subject}`))
      await manager.consumers.add('all', {
        durable_name: subject,
        filter_subject: subject,
        ack_policy: 'explicit',
        ack_wait: ACK_WAIT_NANOS,
      })
      const consumer = await stream.consumers.get('all', subject)
      void loop(await consumer.consume({ max_messages: 20 }))
    },
  }
}
