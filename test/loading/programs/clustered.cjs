/** A server for pm2, which cannot read what its processes print: tells its port by a message. */

const { createServer } = require('node:http')
const { getActiveCredential } = require('otel-token-relay')

const server = createServer((_, response) => response.end(String(getActiveCredential()?.subject)))
server.listen(0, '127.0.0.1', () => process.send({ type: 'process:msg', data: { port: server.address().port } }))
