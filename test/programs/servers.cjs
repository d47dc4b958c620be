/** Every kind of server that Node has, each saying who calls. Reports one port per kind. */

const http = require('node:http')
const http2 = require('node:http2')
const https = require('node:https')
const { answer, handled, listen, whoami } = require('./routes.cjs')

const tls = process.env.TLS ? JSON.parse(process.env.TLS) : undefined
const text = () => `${whoami().subject}`

async function main() {
  await listen(http.createServer(answer), 'http')
  if (tls !== undefined) {
    await listen(https.createServer(tls, answer), 'https')
    await listen(http2.createSecureServer({ ...tls, allowHTTP1: true }, answer), 'http2s')
  }

  const upgrade = http.createServer(answer)
  upgrade.on('upgrade', (request, socket, head) => {
    handled.push(request.url)
    socket.on('error', () => {})
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n${text()} head=${head}`,
    )
    socket.on('data', (data) => socket.end(` echo=${data} ${text()}`))
  })
  upgrade.on('connect', (request, socket) => {
    handled.push(request.url)
    socket.end(`HTTP/1.1 200 OK\r\n\r\n${text()}`)
  })
  await listen(upgrade, 'upgrade')

  const continuing = http.createServer(answer)
  continuing.on('checkContinue', (request, response) => {
    response.writeContinue()
    answer(request, response)
  })
  continuing.on('checkExpectation', (request, response) => {
    handled.push(request.url)
    response.end(text())
  })
  await listen(continuing, 'continuing')

  await listen(http2.createServer(answer), 'http2')
  const core = http2.createServer()
  core.on('stream', (stream, headers) => {
    handled.push(headers[':path'])
    let length = 0
    stream.on('data', (chunk) => {
      length += chunk.length
    })
    stream.on('end', () => stream.end(`${text()} ${length}`))
    stream.respond({ ':status': 200 })
  })
  await listen(core, 'http2core')

  const sessions = http2.createServer()
  sessions.on('session', (session) => {
    session.on('stream', (stream, headers) => {
      handled.push(headers[':path'])
      stream.respond({ ':status': 200 })
      stream.end(`${text()} 100000`)
    })
  })
  await listen(sessions, 'http2session')

  // engine.io and others take the listeners of a server away and put their own in front.
  const rewired = http.createServer(answer)
  const listeners = rewired.listeners('request').slice()
  rewired.removeAllListeners('request')
  rewired.on('request', (request, response) => {
    if (request.url.startsWith('/io')) response.end(`io ${text()}`)
    else for (const listener of listeners) listener.call(rewired, request, response)
  })
  await listen(rewired, 'rewired')

  const throwing = http.createServer((request) => {
    throw new Error(`listener of ${request.url}`)
  })
  process.on('uncaughtException', (error, origin) => {
    process.stdout.write(`${JSON.stringify({ uncaught: error.message, origin })}\n`)
  })
  await listen(throwing, 'throwing')

  // A server that is made inside a request must not inherit its caller.
  const nested = http.createServer(async (_request, response) => {
    const inner = http.createServer(answer)
    await new Promise((resolve) => inner.listen(0, '127.0.0.1', resolve))
    response.end(JSON.stringify({ inner: inner.address().port }))
  })
  await listen(nested, 'nested')

  process.stdin.on('data', () => {
    process.stdout.write(`${JSON.stringify({ handled: handled.splice(0) })}\n`)
  })
  process.stdout.write(`${JSON.stringify({ ready: true })}\n`)
}

main()
