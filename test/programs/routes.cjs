/** What the test services do: say who calls, read a body, call a service, start work that outlives the request. */

const http = require('node:http')
const https = require('node:https')
const { context, createContextKey } = require('@opentelemetry/api')
const { getActiveCredential } = require('otel-token-relay')

const SUPPRESS_TRACING = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')

function whoami() {
  const credential = getActiveCredential()
  return { subject: credential?.subject ?? null, scopes: credential?.scopes ?? [] }
}

function viaHttp(module) {
  return (url, headers) =>
    new Promise((resolve, reject) => {
      const request = module.request(url, { headers, rejectUnauthorized: false }, (response) => {
        response.resume()
        response.on('end', () => resolve({ status: response.statusCode, subjectAfter: whoami().subject }))
      })
      request.on('error', reject)
      request.end()
    })
}

const clients = {
  fetch: async (url, headers) => {
    const response = await fetch(url, { headers })
    await response.text()
    return { status: response.status, subjectAfter: whoami().subject }
  },
  undici: async (url, headers) => {
    const { request } = require('undici')
    const response = await request(url, { headers })
    await response.body.text()
    return { status: response.statusCode, subjectAfter: whoami().subject }
  },
  http: viaHttp(http),
  https: viaHttp(https),
}

async function call(query, overrides = {}) {
  const headers = query.get('own') === null ? {} : { authorization: query.get('own') }
  const run = () => ({ ...clients, ...overrides })[query.get('client')](query.get('url'), headers)
  if (query.get('suppressed') === null) return run()
  return context.with(context.active().setValue(SUPPRESS_TRACING, true), run)
}

/** Collects what is seen at every stage of a body: listeners, timers, microtasks. */
function body(request) {
  return new Promise((resolve) => {
    let length = 0
    const subjects = new Set()
    const look = () => subjects.add(whoami().subject)
    request.on('data', (chunk) => {
      length += chunk.length
      look()
    })
    request.on('end', () => {
      look()
      setTimeout(() => {
        look()
        queueMicrotask(() => {
          look()
          resolve({ length, subjects: [...subjects] })
        })
      }, 1)
    })
  })
}

async function answer(request, response, overrides) {
  const { pathname, searchParams } = new URL(request.url, 'http://service')
  handled.push(request.url)
  const result =
    pathname === '/body' ? await body(request) : pathname === '/call' ? await call(searchParams, overrides) : whoami()
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(result))
}

/** The targets that a handler saw, since they were last asked for. */
const handled = []

/** Idle connections stay open: a test on a busy machine may write on one just when Node closes it. */
function listen(server, name = 'port') {
  if ('keepAliveTimeout' in server) server.keepAliveTimeout = 0
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      process.stdout.write(`${JSON.stringify({ [name]: server.address().port })}\n`)
      resolve()
    })
  })
}

module.exports = { answer, call, handled, listen, whoami }
