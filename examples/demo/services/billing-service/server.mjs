/** billing-service: node:http, ES module. It takes tokens for itself only, and checks none. */

import { createServer } from 'node:http'
import process from 'node:process'
import { context } from '@opentelemetry/api'
import { getRPCMetadata } from '@opentelemetry/core'
import { getActiveCredential } from 'otel-token-relay'

const { HOST = '127.0.0.1', PORT = '0' } = process.env

const server = createServer((request, response) => {
  // For probes, which have no token: a public path.
  if (request.url === '/health') return response.end('ok')
  // The name of the span, which a framework's instrumentation would give it.
  const rpc = getRPCMetadata(context.active())
  if (rpc) rpc.route = '/invoices/:id'
  // Only to say who called and by whom: the request would not be here without a token for this very service.
  const { subject, scopes, claims } = getActiveCredential()
  const invoices = [{ customer: request.url.split('/').at(-1), total: 12.5 }]
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ caller: subject, actor: claims.act?.sub, scopes, invoices }))
})

server.listen(Number(PORT), HOST, () => {
  console.log(`billing-service listens on http://${HOST}:${server.address().port}`)
})
