/** A service that calls on with the undici inside Node: plainly, over a Unix socket, and by a connector that leads elsewhere. */

const http = require('node:http')
const net = require('node:net')
const { listen } = require('./routes.cjs')

void globalThis.Headers
const dispatcher =
  globalThis[Symbol.for('undici.globalDispatcher.2')] ?? globalThis[Symbol.for('undici.globalDispatcher.1')]
const Agent = dispatcher.constructor

const connect = (_options, callback) => {
  const { hostname, port } = new URL(process.env.ELSEWHERE)
  const socket = net.connect(Number(port), hostname, () => callback(null, socket))
}
const ways = {
  elsewhere: new Agent({ connect }),
  socket: new Agent({ connect: { socketPath: process.env.SOCKET_PATH } }),
  plain: new Agent(),
}

const server = http.createServer(async (incoming, response) => {
  const { searchParams } = new URL(incoming.url, 'http://service')
  const { status } = await fetch(searchParams.get('url'), { dispatcher: ways[searchParams.get('way')] })
  response.end(String(status))
})
listen(server)
