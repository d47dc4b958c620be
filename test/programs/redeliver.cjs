/** One of several consumers of a queue, to all of which the same messages are delivered, many times each: says how many it has worked on. */

const { createInterface } = require('node:readline')
const { createTokenRelay } = require('otel-token-relay')
const { consume } = require('otel-token-relay/messaging')
const { createRedisReplayWindow } = require('otel-token-relay/redis')
const { Redis } = require('ioredis')

const client = new Redis(process.env.REDIS_URL, { lazyConnect: true })
const replayWindow = createRedisReplayWindow({ client, timeoutMillis: 30_000 })
const { sealing, ...options } = JSON.parse(process.env.RELAY_OPTIONS)
createTokenRelay({ ...options, sealing: { ...sealing, replayWindow } })
const messages = JSON.parse(process.env.MESSAGES)
const deliveries = Number(process.env.DELIVERIES)

async function deliver(headers) {
  // Each delivery has its own headers, as from a broker.
  const message = { source: 'kafka:orders', headers: { ...headers } }
  const { verdict, error } = await consume(message, () => undefined, { undecidedMillis: 0 })
  return error?.code ?? verdict
}

createInterface({ input: process.stdin }).once('line', async () => {
  const all = messages.map((headers) => Promise.all(Array.from({ length: deliveries }, () => deliver(headers))))
  console.log(JSON.stringify({ outcomes: await Promise.all(all) }))
})
console.log(JSON.stringify({ ready: true }))
