/**
 * One service of the chain: lets its caller in as MODE says, asks NEXT, and answers. Behind the same OpenTelemetry in every
 * mode: spans in batches and metrics, to exporters that drop them.
 */

const { CompositePropagator, W3CTraceContextPropagator } = require('@opentelemetry/core')
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
const { UndiciInstrumentation } = require('@opentelemetry/instrumentation-undici')
const { NodeSDK } = require('@opentelemetry/sdk-node')
const { PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics')
const { BatchSpanProcessor } = require('@opentelemetry/sdk-trace')
const { startRelay } = require('./variants.cjs')

const { mode, next, issuer, audience, jwks, jwksUri, pem, alg } = JSON.parse(process.env.CHAIN)

/** How each mode lets a caller in, if it is not the relay's gate, or nothing. */
const CREATE = {
  'fast-jwt': () => {
    const { createVerifier } = require('fast-jwt')
    const verify = createVerifier({
      key: pem,
      algorithms: [alg],
      allowedIss: issuer,
      allowedAud: audience,
      cache: true,
    })
    return async (request) => verify(request.headers.authorization.slice(7))
  },
  jose: () => {
    const { createLocalJWKSet, jwtVerify } = require('jose')
    const keys = createLocalJWKSet(jwks)
    const rules = { issuer, audience, algorithms: [alg], typ: 'at+jwt' }
    return (request) => jwtVerify(request.headers.authorization.slice(7), keys, rules)
  },
  'express-oauth2-jwt-bearer': () => {
    const { auth } = require('express-oauth2-jwt-bearer')
    const check = auth({ issuer, audience, jwksUri, tokenSigningAlg: alg })
    // As much of Express as it wants.
    const asExpress = {
      protocol: 'http',
      query: {},
      get: (name) => (name === 'Host' ? 'service' : undefined),
      is: () => false,
    }
    return (request, response) =>
      new Promise((resolve, reject) =>
        check(Object.assign(request, asExpress), response, (error) => (error ? reject(error) : resolve())),
      )
  },
}

const relay = startRelay(mode, {
  issuers: [{ issuer, audience, jwks }],
  destinations: next === undefined ? [] : [{ to: new URL(next).origin }],
})
startOpenTelemetry(relay)
// Only what is loaded now is instrumented.
const http = require('node:http')
if (relay === undefined && !(mode in CREATE) && !['otel', 'copy'].includes(mode)) throw new Error(`no mode ${mode}`)
const authenticate = CREATE[mode]?.()
const copies = relay?.copies ?? mode !== 'otel'

function startOpenTelemetry(withRelay) {
  const dropped = { code: 0 }
  const exporter = {
    export: (_, done) => done(dropped),
    shutdown: async () => undefined,
    forceFlush: async () => undefined,
  }
  const propagators = [new W3CTraceContextPropagator(), ...(withRelay?.propagators ?? [])]
  new NodeSDK({
    textMapPropagator: new CompositePropagator({ propagators }),
    spanProcessors: [new BatchSpanProcessor({ exporter })],
    metricReaders: [
      new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1_000, exportTimeoutMillis: 1_000 }),
    ],
    instrumentations: [
      new HttpInstrumentation(),
      new UndiciInstrumentation(),
      ...(withRelay ? [withRelay.instrumentation] : []),
    ],
  }).start()
}

async function answer(request, response) {
  if (authenticate !== undefined) {
    try {
      await authenticate(request, response)
    } catch {
      response.writeHead(401).end()
      return
    }
  }
  const { authorization } = request.headers
  if (next === undefined) {
    response.end(JSON.stringify({ hops: 1, authorized: authorization !== undefined }))
    return
  }
  const headers = copies && authorization !== undefined ? { authorization } : {}
  const asked = await fetch(next, { headers })
  const { hops, authorized } = await asked.json()
  response.end(JSON.stringify({ hops: hops + 1, authorized }))
}

let session
function inspect(method, params) {
  if (session === undefined) {
    session = new (require('node:inspector').Session)()
    session.connect()
  }
  return new Promise((resolve, reject) =>
    session.post(method, params, (error, result) => (error ? reject(error) : resolve(result))),
  )
}

/** Counts the bytes that are allocated: those that collections have freed, and those by which the heap has grown. */
let counting
function countAllocations() {
  const profiler = new (require('node:v8').GCProfiler)()
  profiler.start()
  counting = { profiler, usedBytes: usedBytes() }
}
function allocatedBytes() {
  const collections = counting.profiler.stop().statistics
  return collections.reduce((sum, { beforeGC, afterGC }) => {
    return sum + beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize
  }, usedBytes() - counting.usedBytes)
}
function usedBytes() {
  return require('node:v8').getHeapStatistics().used_heap_size
}

const server = http.createServer((request, response) => {
  answer(request, response).catch(() => response.writeHead(500).end())
})
// Not while other modes are measured.
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
const ANSWERS = {
  usage: async () => ({ cpu: process.cpuUsage() }),
  record: async (intervalMicros) => {
    await inspect('Profiler.enable')
    await inspect('Profiler.setSamplingInterval', { interval: intervalMicros })
    await inspect('Profiler.start')
    return {}
  },
  stop: () => inspect('Profiler.stop'),
  count: async () => {
    countAllocations()
    return {}
  },
  counted: async () => ({ bytes: allocatedBytes() }),
}
process.on('message', async ({ question, argument }) => process.send(await ANSWERS[question](argument)))
process.on('disconnect', () => process.exit())
