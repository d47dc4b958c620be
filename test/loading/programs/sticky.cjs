/** A cluster with @socket.io/sticky, as its README has it. */

const cluster = require('node:cluster')
const { createServer } = require('node:http')
const { setupMaster, setupWorker } = require('@socket.io/sticky')

if (cluster.isPrimary) {
  cluster.setupPrimary({ serialization: 'advanced' })
  const server = createServer()
  setupMaster(server, { loadBalancingMethod: 'round-robin' })
  cluster.fork().once('listening', () => {
    server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`))
  })
} else {
  const server = createServer((_, response) => response.end('handled'))
  // `setupWorker` takes a server of socket.io, of which it uses these two.
  setupWorker({ httpServer: server, engine: { on: () => undefined, generateId: () => 'a' } })
  server.listen(0, '127.0.0.1')
}
