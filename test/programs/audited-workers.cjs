/** Serves in a main thread, worker threads, a cluster and child processes, with a transport of pino: each says its port. */

const { fork, spawn } = require('node:child_process')
const cluster = require('node:cluster')
const { writeSync } = require('node:fs')
const http = require('node:http')
const { Worker } = require('node:worker_threads')
const pino = require('pino')

const REGISTER = ['--require', 'otel-token-relay/register']

function serve(name) {
  const server = http.createServer((_request, response) => response.end('let in'))
  server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => {
    writeSync(1, `${JSON.stringify({ [name]: server.address().port })}\n`)
  })
}

/** Children end with the process that has started them, however it ends. */
function startAll() {
  for (const name of ['thread 1', 'thread 2']) new Worker(__filename, { argv: [name] })
  const children = ['cluster 1', 'cluster 2'].map((name) => {
    cluster.setupPrimary({ exec: __filename, args: [name] })
    return cluster.fork().process
  })
  children.push(fork(__filename, ['fork']))
  children.push(spawn(process.execPath, [...REGISTER, __filename, 'spawn'], { stdio: ['pipe', 'inherit', 'inherit'] }))
  pino(pino.transport({ target: 'pino/file', options: { destination: 1 } })).info('logged by a thread')
  process.on('SIGTERM', () => {
    for (const child of children) child.kill('SIGKILL')
    process.exit(0)
  })
}

const [name = 'main'] = process.argv.slice(2)
serve(name)
if (name === 'main') startAll()
if (name === 'fork') new Worker(__filename, { argv: ['thread of fork'] })
process.on('disconnect', () => process.exit(0))
if (name === 'spawn') process.stdin.on('end', () => process.exit(0)).resume()
