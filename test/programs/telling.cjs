/**
 * A service that tells its telemetry whatever it is asked to, tokens included, as careless code does: headers that are
 * captured, errors that quote them, log records of whole requests. Its processors are those of `relay.redact`.
 */

const http = require('node:http')
const { inspect } = require('node:util')
const { DiagConsoleLogger, DiagLogLevel, diag, ROOT_CONTEXT, trace } = require('@opentelemetry/api')
const { CompositePropagator, W3CTraceContextPropagator } = require('@opentelemetry/core')
const { OTLPLogExporter } = require('@opentelemetry/exporter-logs-otlp-http')
const { OTLPMetricExporter } = require('@opentelemetry/exporter-metrics-otlp-http')
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http')
const { OTLPTraceExporter: ProtobufExporter } = require('@opentelemetry/exporter-trace-otlp-proto')
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
const { UndiciInstrumentation } = require('@opentelemetry/instrumentation-undici')
const { BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs')
const { PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics')
const { NodeSDK } = require('@opentelemetry/sdk-node')
const { createTokenRelay, getActiveCredential, setCredential } = require('otel-token-relay')
const { listen } = require('./routes.cjs')

/** What the two lines of the SDK do not have in common. */
const isCurrent = process.env.OTEL_LINE === 'otel-3'
const { logs } = require(`@opentelemetry/api${isCurrent ? '' : '-logs'}`)
const { BatchSpanProcessor } = require(`@opentelemetry/sdk-trace${isCurrent ? '' : '-base'}`)
const spanProcessor = (exporter) => new BatchSpanProcessor(isCurrent ? { exporter } : exporter)

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.VERBOSE)
const { relay: options, auditFile, destination } = JSON.parse(process.env.TELLING)
/** The audit's logger is asked for when there is something to tell: the SDK comes later. */
const logger = { emit: (record) => logs.getLogger('audit').emit(record) }
const relay = createTokenRelay({ ...options, audit: { file: auditFile, onFailure: 'continue', logger } })

const requestHeaders = ['authorization', 'cookie']
const headersToSpanAttributes = { server: { requestHeaders }, client: { requestHeaders } }
const sdk = new NodeSDK({
  textMapPropagator: new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), relay.propagator] }),
  spanProcessors: [OTLPTraceExporter, ProtobufExporter].map((Exporter) => relay.redact(spanProcessor(new Exporter()))),
  logRecordProcessors: [relay.redact(new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() }))],
  metricReaders: [
    new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter(),
      exportIntervalMillis: 500,
      exportTimeoutMillis: 500,
    }),
  ],
  instrumentations: [
    new HttpInstrumentation({ headersToSpanAttributes }),
    new UndiciInstrumentation({ headersToSpanAttributes: { requestHeaders } }),
    relay.instrumentation,
  ],
})
sdk.start()

/** Everywhere that there is room for a text. */
function tell(text) {
  const span = trace.getTracer('careless').startSpan(`GET ${text}`, { attributes: { text, list: [text] } })
  span.addEvent(text, { text })
  span.recordException(new Error(text))
  span.setStatus({ code: 2, message: text })
  span.end()
  logs
    .getLogger('careless')
    .emit({ body: { headers: [{ name: 'authorization', value: text }], text }, attributes: { text } })
}

/** What others throw and quote, and what we throw. */
async function fail(token) {
  const failures = [
    () => new Headers({ authorization: `Bearer ${token}\n!` }),
    () => fetch(`http://127.0.0.1:1/?access_token=${token}`),
    () => http.request({ headers: { authorization: `Bearer ${token}\0` } }),
    () => JSON.parse(`{"token": ${token}}`),
    () => relay.verify(`${token}x`),
    () => relay.revoke({ issuer: token }),
  ]
  for (const failure of failures) {
    const error = await (async () => failure())().catch((thrown) => thrown)
    trace.getActiveSpan()?.recordException(error)
    logs.getLogger('careless').emit({ body: inspect(error), attributes: { message: String(error?.message) } })
  }
}

/** What can be printed of our objects. */
function print() {
  const credential = getActiveCredential()
  // Not the active context: the span in it prints what careless code has recorded.
  const caller = credential === undefined ? ROOT_CONTEXT : setCredential(ROOT_CONTEXT, credential)
  const things = [credential, relay, caller, { credential }]
  for (const thing of things) {
    console.log(inspect(thing, { depth: 8, showHidden: true, getters: true }))
    console.error('%s %o', thing, thing)
  }
  console.log(JSON.stringify(credential), String(credential), `${Object.entries(credential ?? {})}`)
}

const server = http.createServer(async (incoming, response) => {
  let body = ''
  for await (const chunk of incoming) body += chunk
  const texts = JSON.parse(body || '[]')
  const token = incoming.headers.authorization?.slice(7) ?? ''
  for (const text of texts) tell(text)
  await fail(token)
  print()
  for (const url of [destination, 'http://localhost:1/'])
    await fetch(url).then(
      (answer) => answer.text(),
      () => undefined,
    )
  response.end()
})
process.on('SIGTERM', () =>
  sdk
    .shutdown()
    .then(() => relay.shutdown())
    .finally(() => process.exit(0)),
)
listen(server)
