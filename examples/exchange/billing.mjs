/** Billing: takes tokens for itself only, and says who calls and by whom. */

import { createServer } from 'node:http'
import process from 'node:process'
import { getActiveCredential } from 'otel-token-relay'

const { PORT = '8081' } = process.env

const server = createServer((_request, response) => {
  const { subject, claims, scopes } = getActiveCredential()
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ caller: subject, actor: claims.act?.sub, audience: claims.aud, scopes }))
})

server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`billing listens on http://127.0.0.1:${server.address().port}`)
})
