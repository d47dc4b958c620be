/** A service that calls on for its caller, with the client that the caller names. */

const http = require('node:http')
const { context, createContextKey } = require('@opentelemetry/api')
const clients = require('./clients/index.cjs')
const { listen } = require('./routes.cjs')

const SUPPRESS_TRACING = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')
const byName = new Map(clients.map((client) => [client.name, client]))

/** Query: `client`, `url`; `own` is an `Authorization` of the application; `suppressed`, `limited` are there or not. */
function call(query, signal) {
  const headers = query.has('own') ? { authorization: query.get('own') } : {}
  const options = { headers, signal, limited: query.has('limited') }
  const run = () => byName.get(query.get('client')).call(query.get('url'), options)
  return query.has('suppressed') ? context.with(context.active().setValue(SUPPRESS_TRACING, true), run) : run()
}

const server = http.createServer(async (incoming, response) => {
  const { searchParams } = new URL(incoming.url, 'http://service')
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const calling = call(searchParams, gone.signal)
  // The caller sees that its call has begun before the call ends.
  response.writeHead(200).flushHeaders()
  const outcome = await calling.then(
    () => 'done',
    (error) => `${error.name} ${error.code ?? error.cause?.code ?? error.message}`,
  )
  response.end(outcome)
})
process.stdout.write(`${JSON.stringify({ clients: clients.map(({ call: _, ...client }) => client) })}\n`)
listen(server)
