/** billing-service: node:http, ES module. It takes tokens for itself only, and checks none. */

import { createServer } from 'node:http'
import { getActiveCredential } from 'otel-token-relay'

const server = createServer((request, response) => {
  // Only to say who called and by whom: the request would not be here without a token for this very service.
  const { subject, scopes, claims } = getActiveCredential()
  const invoices = [{ customer: request.url.split('/').at(-1), total: 12.5 }]
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ caller: subject, actor: claims.act?.sub, scopes, invoices }))
})

server.listen(0, '127.0.0.1', () => {
  console.log(`billing-service listens on http://127.0.0.1:${server.address().port}`)
})
