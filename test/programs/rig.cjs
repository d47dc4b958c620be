/** A service that calls whatever its caller's plan says. See `test/rigs/service.ts` for what is in a plan. */

const http = require('node:http')
const { text } = require('node:stream/consumers')
const timers = require('node:timers/promises')
const { context, createContextKey } = require('@opentelemetry/api')
const { getActiveCredential } = require('otel-token-relay')
const clients = [...require('./clients/index.cjs'), ...require('./clients/astray.cjs')]
const { listen } = require('./routes.cjs')
const ways = require('./ways.cjs')

const LANES = 4
const SUPPRESS_TRACING = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')
const byName = new Map(clients.map((client) => [client.name, client]))
const held = new Map()
/** Calls that should have succeeded: what the sink has received of them says nothing. */
const failures = []

async function call({ client, way, url, headers, abortMillis, suppressed, mustSucceed }) {
  const controller = new AbortController()
  const signal = abortMillis === undefined ? undefined : controller.signal
  if (abortMillis !== undefined) setTimeout(() => controller.abort(), abortMillis)
  const run = async () => byName.get(client).call(url, { headers: headers ?? {}, signal, limited: true })
  const start = () => ways[way](run)
  const started = suppressed ? context.with(context.active().setValue(SUPPRESS_TRACING, true), start) : start()
  // What else goes wrong is the plan's intention or shows at the sink.
  await started.catch((error) => mustSucceed && reportFailure(client, error))
}

function reportFailure(client, error) {
  failures.push(`${client} ${error.cause ?? error}`)
  process.stdout.write(`${JSON.stringify({ failures: failures.slice(0, 20) })}\n`)
}

async function carryOut({ calls, until, hold }, response) {
  if (hold !== undefined) {
    response.flushHeaders()
    await new Promise((resolve) => held.set(hold, resolve))
  }
  while (until !== undefined && Date.now() <= until) await timers.setTimeout(20)
  const queue = [...calls]
  const lane = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await call(next)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

/** Where the program has been started behind `tracing.cjs`. */
const relay = () => require.cache[require.resolve('./tracing.cjs')]?.exports

const server = http.createServer(async (incoming, response) => {
  const { pathname, searchParams } = new URL(incoming.url, 'http://service')
  response.on('error', () => undefined)
  if (pathname === '/revoke') await relay()?.revoke(getActiveCredential())
  else if (pathname === '/release') held.get(searchParams.get('hold'))?.()
  else
    await text(incoming).then(
      (body) => carryOut(JSON.parse(body), response),
      () => undefined,
    )
  response.end()
})
const described = clients.map(({ call: _, ...client }) => client)
process.stdout.write(`${JSON.stringify({ clients: described, ways: Object.keys(ways) })}\n`)
listen(server)
