/** profile-service: Fastify, ES module. It answers from memory, asks billing-service, or redirects; it checks no token. */

import process from 'node:process'
import { context } from '@opentelemetry/api'
import { getRPCMetadata } from '@opentelemetry/core'
import Fastify from 'fastify'
import { getActiveCredential } from 'otel-token-relay'

const { BILLING_URL, HOST = '127.0.0.1', PICTURES_URL, PORT = '0' } = process.env

const app = Fastify()

// Names each span after its route, as an instrumentation of Fastify does where one is installed.
app.addHook('onRequest', async (request) => {
  const rpc = getRPCMetadata(context.active())
  if (rpc) rpc.route = request.routeOptions.url
})

// For probes, which have no token: a public path.
app.get('/health', async () => 'ok')

app.get('/profiles/:id', async (request) => ({
  // Only to say who called: the request would not be here without a valid token.
  caller: getActiveCredential()?.subject,
  id: request.params.id,
  name: 'Ada Lovelace',
}))

app.get('/profiles/:id/picture', (request, reply) => reply.redirect(`${PICTURES_URL}/pictures/${request.params.id}`))

app.get('/profiles/:id/invoices', async (request) => {
  const response = await fetch(`${BILLING_URL}/invoices/${request.params.id}`)
  if (!response.ok) throw new Error(`billing-service answered ${response.status}`)
  return { caller: getActiveCredential()?.subject, billing: await response.json() }
})

const url = await app.listen({ host: HOST, port: Number(PORT) })
console.log(`profile-service listens on ${url}`)
