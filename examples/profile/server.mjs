/** The service behind most of the examples: says who calls it. */

import { createServer } from 'node:http'
import process from 'node:process'
import { getActiveCredential } from 'otel-token-relay'

const { PORT = '8081' } = process.env

// Without a valid token for this service, a request does not get here.
const server = createServer((_request, response) => {
  const { subject, scopes } = getActiveCredential()
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ caller: subject, scopes }))
})

server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`profile listens on http://127.0.0.1:${server.address().port}`)
})
