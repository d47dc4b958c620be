/** A service without its own SDK that records whatever header it gets, in spans and in log records. */

const http = require('node:http')
const { trace } = require('@opentelemetry/api')

/** Where the two lines of the SDK have the API of logs. */
const isCurrent = process.env.OTEL_LINE === 'otel-3'
const { logs } = require(`@opentelemetry/api${isCurrent ? '' : '-logs'}`)

const server = http.createServer((incoming, response) => {
  const { authorization } = incoming.headers
  const span = trace.getTracer('careless').startSpan('parse')
  span.recordException(new Error(`unexpected header: ${authorization}`))
  span.end()
  logs.getLogger('careless').emit({ body: { headers: { authorization } } })
  response.end()
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
process.on('SIGTERM', () => server.close())
