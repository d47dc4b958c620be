/** Hono on Node.js: every route knows its caller, some ask for a scope, and fetch takes the caller along. */

import process from 'node:process'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { authenticate, requireScope } from 'otel-token-relay/hono'

const { PORT = '8080', PROFILE_URL = 'http://127.0.0.1:8081' } = process.env

const app = new Hono()

// Sets c.var.credential; the relay that is preloaded refuses requests without a valid token by itself.
app.use(authenticate())

app.get('/me', async (c) => {
  const profile = await fetch(PROFILE_URL)
  return c.json({ caller: c.var.credential.subject, profile: await profile.json() })
})

// Authorization stays here: 403 without the scope.
app.get('/invoices', requireScope('invoices:read'), (c) => c.json({ caller: c.var.credential.subject, invoices: [] }))
app.get('/admin', requireScope('admin'), (c) => c.json({ admin: true }))

serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(PORT) }, ({ port }) => {
  console.log(`hono listens on http://127.0.0.1:${port}`)
})
