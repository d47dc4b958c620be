/** One of several processes of a service that share a revocation list: says who calls, and ends the caller's session. */

const http = require('node:http')
const { createTokenRelay, getActiveCredential } = require('otel-token-relay')
const { createRedisRevocationList } = require('otel-token-relay/redis')
const { Redis } = require('ioredis')

const client = new Redis(process.env.REDIS_URL, { lazyConnect: true, retryStrategy: () => 50 })
const list = createRedisRevocationList({ client })
const relay = createTokenRelay({ ...JSON.parse(process.env.RELAY_OPTIONS), revocation: { list } })
relay.instrumentation.enable()

async function answer(request, response) {
  const { issuer, sessionId, subject } = getActiveCredential()
  if (request.url === '/logout') await relay.revoke({ issuer, sessionId, expiresAtMillis: Date.now() + 3_600_000 })
  response.end(subject)
}

const server = http.createServer(answer)
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
