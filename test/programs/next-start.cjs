/** Runs `next start` for the application in the folder that is the argument. */

const net = require('node:net')
const process = require('node:process')

const server = net.createServer().listen(0, '127.0.0.1', () => {
  const { port } = server.address()
  server.close(() => {
    process.argv.splice(2, Number.POSITIVE_INFINITY, 'start', process.argv[2], '--port', String(port))
    process.stdout.write(`${JSON.stringify({ port })}\n`)
    require('next/dist/bin/next')
  })
})
