/** The Node.js service behind one of Spring Boot: verifies the token that Spring hands on, and says who calls. */

import { createServer } from 'node:http'
import process from 'node:process'
import { getActiveCredential } from 'otel-token-relay'

const { PORT = '8081' } = process.env

// No code for Spring: the token is in the header that its RestClient sets.
const server = createServer((_request, response) => {
  const { subject, scopes } = getActiveCredential()
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ caller: subject, scopes }))
})

server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`profile listens on http://127.0.0.1:${server.address().port}`)
})
