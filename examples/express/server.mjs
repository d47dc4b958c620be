/** Express: every route knows its caller, some ask for a scope, and fetch takes the caller along. */

import process from 'node:process'
import express from 'express'
import { getActiveCredential } from 'otel-token-relay'
import { requireScope } from 'otel-token-relay/express'

const { PORT = '8080', PROFILE_URL = 'http://127.0.0.1:8081' } = process.env

const app = express()

// Without a valid token, a request does not get here.
app.get('/me', async (_request, response) => {
  const profile = await fetch(PROFILE_URL)
  response.json({ caller: getActiveCredential().subject, profile: await profile.json() })
})

// Authorization stays here: 403 without the scope.
app.get('/invoices', requireScope('invoices:read'), (request, response) => {
  response.json({ caller: request.credential.subject, invoices: [] })
})
app.get('/admin', requireScope('admin'), (_request, response) => response.json({ admin: true }))

const server = app.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`express listens on http://127.0.0.1:${server.address().port}`)
})
