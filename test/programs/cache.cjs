/** One of several processes of a service that share a cache of exchanged tokens: calls a destination for many callers at once, whenever it is asked to. */

const { createInterface } = require('node:readline')
const { createTokenRelay, runWithToken } = require('otel-token-relay')
const { createRedisTokenCache } = require('otel-token-relay/redis')
const { Redis } = require('ioredis')

const client = new Redis(process.env.REDIS_URL, { lazyConnect: true, retryStrategy: () => 50 })
const sharedCache = createRedisTokenCache({ client, timeoutMillis: 20_000, waitMillis: 60_000 })
const { issuers, ...options } = JSON.parse(process.env.RELAY_OPTIONS)
createTokenRelay({
  ...options,
  issuers: issuers.map(({ exchange, ...issuer }) => ({ ...issuer, exchange: { ...exchange, sharedCache } })),
})
const callers = JSON.parse(process.env.CALLERS)
const calls = Number(process.env.CALLS)

async function call({ name, token }) {
  await runWithToken(token, async () => (await fetch(`${process.env.SINK}/${name}`)).text())
}

createInterface({ input: process.stdin }).on('line', async () => {
  await Promise.all(Array.from({ length: calls }, (_, i) => call(callers[i % callers.length])))
  console.log(JSON.stringify({ called: calls }))
})
console.log(JSON.stringify({ ready: true }))
