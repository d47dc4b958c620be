/** RabbitMQ through `amqplib`, which does not connect again by itself. Queues have a dead-letter queue, `dead`. */

const { setTimeout: pause } = require('node:timers/promises')
const amqplib = require('amqplib')
const { produce } = require('otel-token-relay/messaging')
const { asCaller, withoutToken } = require('otel-token-relay/amqplib')

exports.system = 'rabbitmq'

exports.connect = async (url) => {
  let channel
  let known
  const consumers = []
  async function open() {
    const connection = await amqplib.connect(url)
    connection.on('error', () => undefined)
    connection.on('close', () => void reopen())
    channel = await connection.createConfirmChannel()
    channel.on('error', () => undefined)
    known = new Set()
    for (const consume of consumers) await consume()
  }
  async function reopen() {
    for (;;) {
      await pause(200)
      if (
        await open().then(
          () => true,
          () => false,
        )
      )
        return // prettier-ignore
    }
  }
  const declare = async (queue) => {
    if (known.has(queue)) return
    await channel.assertQueue('dead')
    await channel.assertQueue(queue, { deadLetterExchange: '', deadLetterRoutingKey: 'dead' })
    known.add(queue)
  }
  const publish = (queue, text, headers) =>
    new Promise((resolve, reject) =>
      channel.sendToQueue(queue, Buffer.from(text), { headers, persistent: true }, (error) =>
        error ? reject(error) : resolve(),
      ),
    )
  await open()
  return {
    async produce(queue, text) {
      await declare(queue)
      await produce(`rabbitmq:${queue}`, (headers) => publish(queue, text, headers))
    },
    async raw(queue, text, headers) {
      await declare(queue)
      await publish(queue, text, headers)
    },
    async consume(queue, handler, onRejected, options) {
      const putAside = async (message, error) => {
        onRejected(error.code)
        channel.sendToQueue('dead', message.content, { headers: withoutToken(message.properties.headers, error) })
        await channel.waitForConfirms()
      }
      const work = (message) => handler(message.content.toString())
      const consume = async () => {
        await declare(queue)
        await channel.prefetch(10)
        await channel.consume(queue, asCaller(channel, work, { ...options, onRejected: putAside }))
        // What the broker itself puts aside: `onRejected` was not called.
        await declare(`${queue}-plain`)
        await channel.consume(`${queue}-plain`, asCaller(channel, work, options))
      }
      consumers.push(consume)
      await consume()
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
