/** A service that answers at once, and calls a service when its response has been closed. */

const http = require('node:http')
const { call, listen, whoami } = require('./routes.cjs')

const server = http.createServer((request, response) => {
  const { searchParams } = new URL(request.url, 'http://service')
  response.once('close', async () => {
    const { status } = await call(searchParams)
    process.stdout.write(`${JSON.stringify({ [searchParams.get('id')]: { status, subject: whoami().subject } })}\n`)
  })
  response.end()
})
listen(server)
