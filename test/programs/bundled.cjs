/** A server with a relay, to be made one file by a bundler. Options come as JSON in RELAY_OPTIONS. */

const { createServer } = require('node:http')
const { createTokenRelay } = require('otel-token-relay')

createTokenRelay(JSON.parse(process.env.RELAY_OPTIONS))
const server = createServer((_, response) => response.end('handled'))
server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`))
