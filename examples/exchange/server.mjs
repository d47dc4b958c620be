/** Token exchange (RFC 8693): billing takes tokens for itself only, and gets one there, for the same caller. */

import { createServer } from 'node:http'
import process from 'node:process'
import { getActiveCredential } from 'otel-token-relay'

const { BILLING_URL = 'http://127.0.0.1:8081', PORT = '8080' } = process.env

// No word of the exchange here: relay.cjs says what billing gets.
const server = createServer(async (_request, response) => {
  const billing = await fetch(BILLING_URL)
  response.setHeader('content-type', 'application/json')
  const { subject, claims } = getActiveCredential()
  response.end(JSON.stringify({ caller: subject, audience: claims.aud, billing: await billing.json() }))
})

server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`invoices listens on http://127.0.0.1:${server.address().port}`)
})
