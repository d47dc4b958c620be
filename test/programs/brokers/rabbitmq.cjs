/** RabbitMQ through `amqplib`. Queues have a dead-letter queue, `dead`. */

const amqplib = require('amqplib')
const { produce } = require('otel-token-relay/messaging')
const { asCaller, withoutToken } = require('otel-token-relay/amqplib')

exports.system = 'rabbitmq'

exports.connect = async (url) => {
  const connection = await amqplib.connect(url)
  const channel = await connection.createConfirmChannel()
  const known = new Set()
  const declare = async (queue) => {
    if (known.has(queue)) return
    known.add(queue)
    await channel.assertQueue('dead')
    await channel.assertQueue(queue, { deadLetterExchange: '', deadLetterRoutingKey: 'dead' })
  }
  const publish = (queue, text, headers) =>
    new Promise((resolve, reject) =>
      channel.sendToQueue(queue, Buffer.from(text), { headers, persistent: true }, (error) =>
        error ? reject(error) : resolve(),
      ),
    )
  return {
    async produce(queue, text) {
      await declare(queue)
      await produce(`rabbitmq:${queue}`, (headers) => publish(queue, text, headers))
    },
    async raw(queue, text, headers) {
      await declare(queue)
      await publish(queue, text, headers)
    },
    async consume(queue, handler, onRejected) {
      await declare(queue)
      await channel.prefetch(10)
      const putAside = async (message, error) => {
        onRejected(error.code)
        channel.sendToQueue('dead', message.content, { headers: withoutToken(message.properties.headers, error) })
        await channel.waitForConfirms()
      }
      const work = (message) => handler(message.content.toString())
      await channel.consume(queue, asCaller(channel, work, { onRejected: putAside }))
      // What the broker itself puts aside: nobody has asked `onRejected`.
      await declare(`${queue}-plain`)
      await channel.consume(`${queue}-plain`, asCaller(channel, work))
    },
    async deadLetters() {
      const letters = []
      for (;;) {
        const message = await channel.get('dead', { noAck: true })
        if (message === false) return letters
        letters.push({ text: message.content.toString(), headers: message.properties.headers })
      }
    },
  }
}
