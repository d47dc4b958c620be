/** Fastify: every route knows its caller, some ask for a scope, and fetch takes the caller along. */

import process from 'node:process'
import Fastify from 'fastify'
import { fastifyTokenRelay, requireScope } from 'otel-token-relay/fastify'

const { PORT = '8080', PROFILE_URL = 'http://127.0.0.1:8081' } = process.env

const app = Fastify()

// Sets request.credential; the relay that is preloaded refuses requests without a valid token by itself.
await app.register(fastifyTokenRelay)

app.get('/me', async (request) => {
  const profile = await fetch(PROFILE_URL)
  return { caller: request.credential.subject, profile: await profile.json() }
})

// Authorization stays here: 403 without the scope.
app.get('/invoices', { onRequest: requireScope('invoices:read') }, async (request) => {
  return { caller: request.credential.subject, invoices: [] }
})
app.get('/admin', { onRequest: requireScope('admin') }, async () => ({ admin: true }))

console.log(`fastify listens on ${await app.listen({ host: '127.0.0.1', port: Number(PORT) })}`)
