/** What a reader of the trace sees: each auth event on the span of the hop it belongs to, and nothing of the token. */

import { createHmac } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { OtlpReceiver } from '../../examples/demo/stage/otlp-receiver.ts'
import { startOtlpReceiver } from '../../examples/demo/stage/otlp-receiver.ts'
import type { Span } from '../../examples/demo/stage/span.ts'
import { findToken } from '../support/exports.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { OtelLine, Program } from '../support/process.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import { LIFE_SECONDS } from '../support/signer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const REGISTER = 'otel-token-relay/register'
const AUTO = '@opentelemetry/auto-instrumentations-node/register'

/** Every way to come by an SDK, ours or the application's. */
const WAYS: readonly (readonly [string, string, readonly string[]])[] = [
  ['our SDK, CommonJS', 'service.cjs', ['--require', REGISTER]],
  ['our SDK, ES module', 'service.mjs', ['--import', REGISTER]],
  ['auto-instrumentations after us, CommonJS', 'service.cjs', ['--require', REGISTER, '--require', AUTO]],
  ['auto-instrumentations before us, ES module', 'service.mjs', ['--import', AUTO, '--import', REGISTER]],
  ['an own NodeSDK, CommonJS', 'service.cjs', ['--require', './programs/tracing.cjs']],
  ['an own NodeSDK, ES module', 'service.mjs', ['--import', './programs/tracing.cjs']],
  ['a NodeSDK started by the program', 'own-sdk.cjs', ['--require', REGISTER]],
]

let issuer: TestIssuer
let named: Sink
let other: Sink
let receiver: OtlpReceiver

beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  other = await startSink()
})
beforeEach(async () => {
  receiver = await startOtlpReceiver()
})
afterEach(() => receiver[Symbol.asyncDispose]())
afterAll(async () => {
  await Promise.all([issuer, named, other].map((resource) => resource[Symbol.asyncDispose]()))
})

function start(program: string, line: OtelLine, preload: readonly string[], env: Record<string, string> = {}): Program {
  const options = {
    issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
    destinations: [{ to: named.origin }],
    ingress: { publicPaths: ['/health'] },
  }
  return startProgram(program, {
    line,
    preload,
    env: {
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: named.origin,
      RELAY_OPTIONS: JSON.stringify(options),
      ...env,
    },
  })
}

/** Sends a request in a trace of its own, and returns that trace's spans once there are `count`. */
async function trace(
  program: Program,
  path: string,
  token: string | undefined,
  count: number,
): Promise<readonly Span[]> {
  const traceId = crypto.randomUUID().replaceAll('-', '')
  const headers = {
    traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
  await (await fetch(`http://127.0.0.1:${await program.report<number>('port')}${path}`, { headers })).text()
  const mine = (spans: readonly Span[]): Span[] => spans.filter((span) => span.traceId === traceId && isHttp(span))
  await receiver.waitFor((spans) => mine(spans).length >= count, 20_000)
  return mine(receiver.spans())
}

/** The token is verified once, for the first of them. */
const CLIENTS = ['fetch', 'undici', 'http'] as const
const duration = { 'auth.token.verification_duration': expect.any(Number) }

/** Other instrumentations (net, dns, fs) are not the subject here. */
function isHttp({ kind, attributes }: Span): boolean {
  return (kind === 'server' || kind === 'client') && attributes['http.request.method'] !== undefined
}

function authEvents(span: Span | undefined): readonly (readonly [string, Readonly<Record<string, unknown>>])[] {
  return (span?.events ?? [])
    .filter(({ name }) => name.startsWith('auth.'))
    .map(({ name, attributes }) => [name, attributes])
}

describe.each(OTEL_LINES)('on %s', (line) => {
  it.each(WAYS)('%s: events are on the server span and on each client span', async (_, program, preload) => {
    await using service = start(program, line, preload)
    const token = await issuer.token()
    const fingerprint = expect.stringMatching(/^[0-9a-f]{16}$/)
    const identity = { 'auth.token.issuer': issuer.issuer, 'auth.token.fingerprint': fingerprint }
    const facts = {
      ...identity,
      'auth.token.expires_in': expect.closeTo(LIFE_SECONDS, -3),
    }

    const rejected = await trace(service, '/whoami', await issuer.token({ aud: 'another' }), 1)
    expect(rejected.map((span) => [span.kind, span.attributes['http.response.status_code'], authEvents(span)])).toEqual(
      [['server', 401, [['auth.token.rejected', { 'error.type': 'ERR_TOKEN_AUDIENCE', ...identity, ...duration }]]]],
    )
    expect(rejected[0]?.status).toBe('error')
    expect(rejected[0]?.attributes).toMatchObject({
      'auth.verification.outcome': 'rejected',
      'error.type': 'ERR_TOKEN_AUDIENCE',
      'auth.token.fingerprint': fingerprint,
    })

    for (const client of CLIENTS) {
      const to = (sink: Sink): string => `/call?client=${client}&url=${encodeURIComponent(sink.origin)}`
      const forwarded = await trace(service, to(named), token, 2)
      const [server, call] = [forwarded.find((s) => s.kind === 'server'), forwarded.find((s) => s.kind === 'client')]
      expect(forwarded).toHaveLength(2)
      const verified = client === CLIENTS[0] ? { ...facts, ...duration } : facts
      expect(authEvents(server), client).toEqual([['auth.token.verified', verified]])
      expect(authEvents(call), client).toEqual([
        [
          'auth.token.forwarded',
          {
            ...facts,
            'server.address': '127.0.0.1',
            'server.port': named.port,
            'auth.decision.rule': named.origin,
            'auth.decision.destination': named.origin,
          },
        ],
      ])
      const withheld = await trace(service, to(other), token, 2)
      expect(authEvents(withheld.find((s) => s.kind === 'client')), client).toEqual([
        [
          'auth.token.withheld',
          {
            ...identity,
            'server.address': '127.0.0.1',
            'server.port': other.port,
            'auth.decision.destination': other.origin,
            'auth.decision.reason': 'not_named',
          },
        ],
      ])
    }

    const exported = Buffer.concat([...receiver.bodies]).toString('latin1')
    expect(exported).toContain('auth.token.forwarded')
    expect(findToken(exported + service.stdout() + service.stderr(), token)).toBeUndefined()
  })
})

it('fetching keys makes no span, and carries no token [D16]', async () => {
  await using service = start('service.cjs', 'otel-3', ['--require', REGISTER])
  const before = issuer.requests.length
  const spans = await trace(service, '/whoami', await issuer.token(), 1)
  expect(spans.map(({ kind }) => kind)).toEqual(['server'])
  const requests = issuer.requests.slice(before)
  expect(requests.map(({ target }) => target)).toContain('/jwks')
  expect(requests.flatMap(({ rawHeaders }) => rawHeaders.map((name) => name.toLowerCase()))).not.toContain(
    'authorization',
  )
})

it.each(
  OTEL_LINES,
)('on %s: a header that is captured all the same says nothing, and the operator is warned [G4]', async (line) => {
  const env = { CAPTURED_HEADERS: 'authorization,user-agent' }
  await using service = start('service.cjs', line, ['--require', './programs/tracing.cjs'], env)
  const [token, bad] = [await issuer.token(), await issuer.token({ aud: 'another' })]
  const refused = await trace(service, '/whoami', bad, 1)
  const captured = [...refused]
  for (const client of ['fetch', 'undici', 'http']) {
    const spans = await trace(service, `/call?client=${client}&url=${encodeURIComponent(named.origin)}`, token, 2)
    expect(spans).toHaveLength(2)
    captured.push(...spans)
  }
  const values = captured.map(({ attributes }) => attributes['http.request.header.authorization'])
  const seen = values.filter((value) => value !== undefined)
  expect(seen).toEqual(seen.map(() => ['[redacted]']))
  // All but one: instrumentation-http looks before its client has the header.
  expect(seen).toHaveLength(6)
  const exported = Buffer.concat([...receiver.bodies]).toString('latin1') + service.stdout() + service.stderr()
  for (const text of [token, bad]) expect(findToken(exported, text)).toBeUndefined()
  expect(service.stderr().split('header capture copies authorization').length).toBe(2)
})

it('the trace back end receives no token, even from within a request [F11]', async () => {
  await using service = start('service.cjs', 'otel-3', ['--require', REGISTER])
  const token = await issuer.token()
  await trace(service, '/whoami', token, 1)
  expect(findToken(Buffer.concat([...receiver.bodies]).toString('latin1'), token)).toBeUndefined()
})

it('what a token says of a person is not exported [G7]', async () => {
  await using service = start('service.cjs', 'otel-3', ['--require', REGISTER])
  const person = {
    sub: 'subject-4711',
    email: 'ada@people.example',
    name: 'Ada Lovelace',
    phone_number: '+4411',
    sid: 's-4711',
  }
  const url = encodeURIComponent(named.origin)
  await trace(
    service,
    `/call?client=fetch&url=${url}`,
    await issuer.token({ ...person, act: { sub: 'actor-4711' } }),
    2,
  )
  await trace(service, '/whoami', await issuer.token({ ...person, aud: 'audience-4711' }), 1)
  const exported = Buffer.concat([...receiver.bodies]).toString('latin1') + service.stderr()
  expect(exported).toContain('auth.token.forwarded')
  for (const value of [...Object.values(person), 'actor-4711', 'audience-4711']) expect(exported).not.toContain(value)
})

it('the search finds a token that was let out', async () => {
  const token = await issuer.token()
  const [, payload = ''] = token.split('.')
  expect(findToken(`…${payload}…`, token)).toBe('as it is')
  expect(findToken(Buffer.from(payload.slice(0, 12)).toString('base64'), token)).toBe('base64')
  expect(findToken(Buffer.from(token).toString('hex'), token)).toBe('hexadecimal')
  expect(findToken('nothing here', token)).toBeUndefined()
})

it.each(OTEL_LINES)('on %s: a pseudonym finds all requests of one person, and only with a key [G7]', async (line) => {
  const key = 'a key of all our services'
  await using named = start('service.cjs', line, ['--require', REGISTER], { TOKEN_RELAY_TELEMETRY_PSEUDONYM_KEY: key })
  const pseudonymOf = async (service: Program, sub: string): Promise<unknown> => {
    const [server] = await trace(service, '/whoami', await issuer.token({ sub }), 1)
    return server?.attributes['enduser.pseudo.id']
  }
  const alice = await pseudonymOf(named, 'alice')
  const hash = createHmac('sha256', key)
    .update(JSON.stringify([issuer.issuer, 'alice']))
    .digest('hex')
  expect(alice).toBe(hash.slice(0, 32))
  expect(await pseudonymOf(named, 'alice')).toBe(alice)
  expect(await pseudonymOf(named, 'bob')).not.toBe(alice)
  await using anonymous = start('service.cjs', line, ['--require', REGISTER])
  expect(await pseudonymOf(anonymous, 'alice')).toBeUndefined()
})
