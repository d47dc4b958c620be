/** A service with Express: orders, whose invoices are at another service. */

import express from 'express'
import { requireScope } from 'otel-token-relay/express'

export function createApp({ billing }) {
  const app = express()
  app.get('/orders', requireScope('orders:read'), async (request, response) => {
    const invoices = await fetch(`${billing}/invoices`)
    response.json({ subject: request.credential.subject, invoices: await invoices.json() })
  })
  return app
}
