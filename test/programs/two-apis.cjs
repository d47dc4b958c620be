/** A service in whose process an older copy of @opentelemetry/api registers: before the relay, after it, or nothing. */

const { createRequire } = require('node:module')
const { join } = require('node:path')
const { once } = require('node:events')
const http = require('node:http')

const older = createRequire(join(process.cwd(), '..', 'otel-2', 'package.json'))
const { context, diag, DiagConsoleLogger, trace } = older('@opentelemetry/api')
const { AsyncLocalStorageContextManager } = older('@opentelemetry/context-async-hooks')
const { createTokenRelay, getActiveCredential } = require('otel-token-relay')

const REGISTER = {
  contexts: () => context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()),
  // Enough to make the version of the older copy that of the process.
  logger: () => diag.setLogger(new DiagConsoleLogger(), { logLevel: 30 }),
  nothing: () => undefined,
}

async function main() {
  const { order, registers, sink } = JSON.parse(process.env.CASE)
  if (order === 'before') REGISTER[registers]()
  const relay = createTokenRelay(JSON.parse(process.env.RELAY_OPTIONS))
  relay.instrumentation.enable()
  if (order === 'after') REGISTER[registers]()
  const server = http.createServer(async (request, response) => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    await (await fetch(`${sink}${request.url}-fetch`)).text()
    const [answer] = await once(http.get(`${sink}${request.url}-http`), 'response')
    await once(answer.resume(), 'end')
    const seen = await new Promise((resolve) => setTimeout(() => resolve(getActiveCredential()?.subject), 1))
    // What the older copy makes active is active here, and the other way round.
    const span = trace.wrapSpanContext({ traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 1 })
    const kept = context.with(trace.setSpan(context.active(), span), () => getActiveCredential()?.subject)
    response.end(JSON.stringify({ seen, kept }))
  })
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
}
main()
