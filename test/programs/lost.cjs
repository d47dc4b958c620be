/** A service that loses its caller in two places, which `egress.detector` is to find. */

const http = require('node:http')
const { context } = require('@opentelemetry/api')
const { bind, deleteCredential } = require('otel-token-relay')
const { listen } = require('./routes.cjs')

const server = http.createServer(async (incoming, response) => {
  const url = new URL(incoming.url, 'http://service').searchParams.get('url')
  const later = async () => {
    await fetch(url) // called later
    process.stdout.write('{"done":true}\n')
  }
  const callLater = bind(later) // kept
  response.once('close', () => setImmediate(callLater))
  const { call } = await import('./lost.mjs?secret=in-the-query')
  await context.with(deleteCredential(context.active()), () => call(url))
  response.end()
})
listen(server)
