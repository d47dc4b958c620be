/** A service that finishes what it has begun when it is asked to end. */

const http = require('node:http')
const { listen } = require('./routes.cjs')

let begun = 0
const server = http.createServer((_request, response) => {
  begun += 1
  process.stdout.write(`${JSON.stringify({ begun })}\n`)
  setTimeout(() => response.end('done'), 300)
})
process.once('SIGTERM', () => {
  server.close(() => process.stdout.write(`${JSON.stringify({ graceful: true })}\n`))
})
listen(server)
