/** A service with Fastify: orders, whose invoices are at another service. */

import fastify from 'fastify'
import { fastifyTokenRelay, requireScope } from 'otel-token-relay/fastify'

export async function createApp({ billing }) {
  const app = fastify()
  await app.register(fastifyTokenRelay)
  app.get('/orders', { onRequest: requireScope('orders:read') }, async (request) => {
    const invoices = await fetch(`${billing}/invoices`)
    return { subject: request.credential.subject, invoices: await invoices.json() }
  })
  return app
}
