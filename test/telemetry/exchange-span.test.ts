/** What a reader of the trace sees of an exchange: its span, its links, its failure, and who acts for whom. */

import { createHmac } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { OtlpReceiver } from '../../examples/demo/stage/otlp-receiver.ts'
import { startOtlpReceiver } from '../../examples/demo/stage/otlp-receiver.ts'
import type { Attributes, Span } from '../../examples/demo/stage/span.ts'
import { findToken } from '../support/exports.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
import type { OtelLine, Program } from '../support/process.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { TokenEndpoint } from '../support/token-endpoint.ts'
import { startTokenEndpoint } from '../support/token-endpoint.ts'

const KEY = 'a key of all services'
const CHAIN = { sub: 'user-service', act: { sub: 'gate\r\nway', act: { client_id: 'nameless' } } }

let issuer: TestIssuer
let endpoint: TokenEndpoint
let sink: Sink
let receiver: OtlpReceiver
beforeAll(async () => {
  issuer = await startIssuer()
  endpoint = await startTokenEndpoint(issuer)
  sink = await startSink()
})
beforeEach(async () => {
  receiver = await startOtlpReceiver()
  endpoint.requests.length = 0
  endpoint.answer = { claims: { act: CHAIN } }
})
afterEach(() => receiver[Symbol.asyncDispose]())
afterAll(async () => {
  await Promise.all([issuer, endpoint, sink].map((resource) => resource[Symbol.asyncDispose]()))
})

function start(line: OtelLine, options: object = {}): Program {
  const exchange = { tokenEndpoint: endpoint.url, clientId: 'user-service', clientSecret: 's3cr3t-m4rk3r' }
  return startProgram('service.cjs', {
    line,
    preload: ['--require', './programs/tracing.cjs'],
    env: {
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      RELAY_OPTIONS: JSON.stringify({
        issuers: [{ issuer: issuer.issuer, audience: 'user-service', exchange }],
        destinations: [{ to: sink.origin, exchange: { audience: 'billing' } }],
        fingerprintKey: KEY,
        ...options,
      }),
    },
  })
}

/** Calls the destination through `program`, in a trace of its own: its spans, once there is one of the client. */
async function call(program: Program, token: string, client = 'fetch') {
  const traceId = crypto.randomUUID().replaceAll('-', '')
  const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, authorization: `Bearer ${token}` }
  const url = `http://127.0.0.1:${await program.report<number>('port')}/call?client=${client}&url=${encodeURIComponent(sink.origin)}`
  await (await fetch(url, { headers })).text()
  const mine = (spans: readonly Span[]) => spans.filter((span) => span.traceId === traceId)
  await receiver.waitFor((spans) => mine(spans).some(({ kind }) => kind === 'server'), 20_000)
  const spans = mine(receiver.spans())
  const of = (matches: (span: Span) => boolean): Span | undefined => spans.find(matches)
  return {
    server: of(({ kind }) => kind === 'server'),
    client: of(({ kind }) => kind === 'client'),
    exchange: of(({ name }) => name === 'token exchange'),
  }
}

const eventOf = (span: Span | undefined, name: string): Attributes | undefined =>
  span?.events.find((event) => event.name === name)?.attributes
const linksOf = (span: Span | undefined): (string | undefined)[] => (span?.links ?? []).map(({ spanId }) => spanId)
const hashed = (name: string): string => createHmac('sha256', KEY).update(name).digest('hex').slice(0, 16)

describe.each(OTEL_LINES)('on %s', (line) => {
  it('the request links to the exchange, and the exchange to the span that verified the caller’s token first', async () => {
    await using program = start(line)
    const token = await issuer.token({ act: { sub: 'gateway' } })
    const first = await call(program, token)
    expect(first.exchange).toMatchObject({
      kind: 'internal',
      status: 'unset',
      parentSpanId: first.server?.spanId,
      attributes: { 'auth.token.issuer': issuer.issuer },
    })
    expect(linksOf(first.exchange)).toEqual([first.server?.spanId])
    expect(linksOf(first.client)).toEqual([first.exchange?.spanId])

    const verified = eventOf(first.server, 'auth.token.verified')
    expect(verified?.['auth.token.actors']).toEqual([hashed('gateway')])
    const exchanged = eventOf(first.exchange, 'auth.token.exchanged')
    expect(exchanged).toMatchObject({
      'auth.token.issuer': issuer.issuer,
      'auth.token.fingerprint': expect.stringMatching(/^[0-9a-f]{16}$/),
      'auth.token.subject_fingerprint': verified?.['auth.token.fingerprint'],
      'auth.token.actors': [hashed('user-service'), hashed('gate\r\nway'), 'unknown'],
    })
    expect(eventOf(first.client, 'auth.token.forwarded')).toEqual({
      ...exchanged,
      'auth.token.expires_in': expect.any(Number),
      'auth.decision.rule': sink.origin,
      'auth.decision.destination': sink.origin,
      'server.address': '127.0.0.1',
      'server.port': sink.port,
    })

    // The second request uses the same token, and says where it came from: another trace.
    const second = await call(program, token)
    expect([second.exchange, linksOf(second.client)]).toEqual([undefined, [first.exchange?.spanId]])
    expect(endpoint.requests).toHaveLength(1)
  })

  it('a renewal links to the exchange that it replaces', async () => {
    endpoint.answer = () => {
      const now = Math.floor(Date.now() / 1000)
      return { claims: { iat: now, exp: now + 2 }, members: { expires_in: 2 } }
    }
    await using program = start(line)
    const token = await issuer.token()
    const first = await call(program, token)
    const renewal = await waitFor(async () => {
      await call(program, token)
      const renewed = receiver.spans().find((span) => eventOf(span, 'auth.token.renewed') !== undefined)
      expect(renewed).toBeDefined()
      return renewed
    })
    expect(linksOf(renewal)).toContain(first.server?.spanId)
    const exchanges = receiver.spans().filter(({ name }) => name === 'token exchange')
    expect(exchanges.map(({ spanId }) => spanId)).toContain(linksOf(renewal)[0])
  })

  it('a failure has its code, and the request its reason [F17]', async () => {
    endpoint.answer = { status: 400, body: '{"error":"invalid_grant","error_description":"m4rk3r"}' }
    await using program = start(line)
    const token = await issuer.token()
    const { exchange, client } = await call(program, token)
    expect(exchange).toMatchObject({ status: 'error', attributes: { 'error.type': 'ERR_TOKEN_EXCHANGE_REFUSED' } })
    expect(eventOf(client, 'auth.token.withheld')).toMatchObject({ 'auth.decision.reason': 'not_exchanged' })
    expect(linksOf(client)).toEqual([])
    const told = `${receiver.bodies.map(String).join('\n')}${program.stdout()}${program.stderr()}`
    expect([findToken(told, token), /m4rk3r|s3cr3t/.test(told)]).toEqual([undefined, false])
  })

  it('names of actors in clear only if the configuration says so, and fit for one line', async () => {
    await using program = start(line, { telemetry: { actors: 'plain' } })
    const { exchange } = await call(program, await issuer.token())
    expect(eventOf(exchange, 'auth.token.exchanged')?.['auth.token.actors']).toEqual([
      'user-service',
      'gate??way',
      'unknown',
    ])
  })
})
