/**
 * The primary process of a sticky cluster, as @socket.io/sticky makes one: an HTTP server that listens to requests only
 * to read their bodies, and hands every socket to a child process, which answers.
 */

const { fork } = require('node:child_process')
const { createServer } = require('node:http')

if (process.env.CHILD === undefined) {
  const child = fork(__filename, { env: { ...process.env, CHILD: '1' }, execArgv: [] })
  const server = createServer()
  server.on('connection', (socket) => {
    socket.on('data', (data) => child.send({ data: String(data) }, socket))
  })
  server.on('request', (request) => request.on('data', () => {}))
  child.once('message', () => {
    server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`))
  })
} else {
  process.on('message', (_, socket) =>
    socket?.on('error', () => {}).end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nchild'),
  )
  process.send('ready')
}
