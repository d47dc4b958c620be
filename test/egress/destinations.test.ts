/** Where a token goes and where it does not: over real sockets, through a service that knows nothing of it. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const STATUSES = [301, 302, 303, 307, 308]
const CLIENTS = ['fetch', 'undici', 'http']

let issuer: TestIssuer
let named: Sink
let alsoNamed: Sink
let other: Sink
beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  alsoNamed = await startSink()
  other = await startSink('127.0.0.2')
})
afterAll(async () => {
  await Promise.all([issuer, named, alsoNamed, other].map((resource) => resource[Symbol.asyncDispose]()))
})
beforeEach(() => {
  for (const sink of [named, alsoNamed, other]) sink.clear()
})

function start(env: Readonly<Record<string, string>> = {}): Program {
  return startProgram('service.cjs', {
    preload: ['--require', 'otel-token-relay/register'],
    env: {
      TOKEN_RELAY_ISSUER: issuer.issuer,
      TOKEN_RELAY_AUDIENCE: 'user-service',
      TOKEN_RELAY_DESTINATIONS: `${named.origin},${alsoNamed.origin}`,
      TOKEN_RELAY_INGRESS_MODE: 'optional',
      ...env,
    },
  })
}

async function call(
  program: Program,
  query: Readonly<Record<string, string>>,
  token: string | undefined,
): Promise<number> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const search = new URLSearchParams(query).toString()
  const response = await fetch(`http://127.0.0.1:${await program.report<number>('port')}/call?${search}`, { headers })
  await response.text()
  return response.status
}

const redirect = (from: Sink, status: number, to: string): string =>
  `${from.origin}/redirect/${status}?${encodeURIComponent(to)}`
const tokensAt = (sink: Sink): readonly (readonly string[])[] => sink.received.map(({ authorization }) => authorization)

describe.each([
  ['sampled', {}],
  ['unsampled', { OTEL_TRACES_SAMPLER: 'always_off' }],
  ['tracing switched off', { OTEL_SDK_DISABLED: 'true' }],
])('%s', (_, env) => {
  let program: Program
  let token: string
  beforeAll(async () => {
    program = start(env)
    token = await issuer.token()
  })
  afterAll(() => program[Symbol.asyncDispose]())

  it.each(STATUSES)('redirect %i: the token goes along to named origins only [F1]', async (status) => {
    await call(program, { client: 'fetch', url: redirect(named, status, `${alsoNamed.origin}/in`) }, token)
    expect(tokensAt(named)).toEqual([[`Bearer ${token}`]])
    expect(tokensAt(alsoNamed)).toEqual([[`Bearer ${token}`]])

    await call(program, { client: 'fetch', url: redirect(named, status, `${other.origin}/out`) }, token)
    expect(tokensAt(other)).toEqual([[]])
    expect(other.bytes()).not.toContain(token.slice(0, 12))
  })

  it('out and back: each hop is decided on its own [F1]', async () => {
    const back = redirect(other, 302, `${alsoNamed.origin}/back`)
    await call(program, { client: 'fetch', url: redirect(named, 302, back) }, token)
    expect([tokensAt(named), tokensAt(other), tokensAt(alsoNamed)]).toEqual([
      [[`Bearer ${token}`]],
      [[]],
      [[`Bearer ${token}`]],
    ])
  })

  it.each(CLIENTS)('%s: the application’s own Authorization wins, alone [F10]', async (client) => {
    await call(program, { client, url: named.origin, own: 'Basic dTpw' }, token)
    expect(tokensAt(named)).toEqual([['Basic dTpw']])
  })

  it.each(CLIENTS)('%s: suppressed tracing means silence', async (client) => {
    await call(program, { client, url: named.origin, suppressed: '1' }, token)
    expect(tokensAt(named)).toEqual([[]])
  })

  it.each(CLIENTS)('%s: another spelling of the loopback interface is another destination', async (client) => {
    await call(program, { client, url: `http://localhost:${named.port}` }, token)
    expect(tokensAt(named)).toEqual([[]])
  })

  it('no caller, no token', async () => {
    expect(await call(program, { client: 'fetch', url: named.origin }, undefined)).toBe(200)
    expect(tokensAt(named)).toEqual([[]])
  })

  it('what fails verification goes nowhere [E11]', async () => {
    const bad = [
      await issuer.token({ aud: 'another' }),
      await issuer.token({ exp: 1 }),
      await issuer.token({ iss: 'https://elsewhere.example' }),
      await issuer.token({ nonce: 'n-0S6_WzA2Mj' }, { typ: 'JWT' }),
      `${token.slice(0, -12)}${'A'.repeat(12)}`,
      'garbage',
    ]
    for (const each of bad) expect(await call(program, { client: 'fetch', url: named.origin }, each)).toBe(401)
    expect(named.received).toEqual([])
  })
})

it('a token that the gate lets in within the clock tolerance leaves, too: one tolerance on both sides', async () => {
  await using program = start({ TOKEN_RELAY_CLOCK_TOLERANCE_SECONDS: '60' })
  // Its tolerance does not wait for a slow machine to start it.
  await program.report('port')
  const late = await issuer.token({ exp: Math.floor(Date.now() / 1000) - 10 })
  expect(await call(program, { client: 'fetch', url: named.origin }, late)).toBe(200)
  expect(tokensAt(named)).toEqual([[`Bearer ${late}`]])
})

it('a token that is not verified is not forwarded', async () => {
  await using off = start({ TOKEN_RELAY_INGRESS_MODE: 'off' })
  await using open = start({ TOKEN_RELAY_INGRESS_PUBLIC_PATHS: '/call' })
  for (const program of [off, open]) {
    expect(await call(program, { client: 'fetch', url: named.origin }, await issuer.token())).toBe(200)
  }
  expect(tokensAt(named)).toEqual([[], []])
})

it('the rig catches a build that forwards to everybody', async () => {
  await using program = startProgram('service.cjs', { preload: ['--require', './programs/naive.cjs'] })
  const token = await issuer.token()
  await call(program, { client: 'fetch', url: redirect(named, 302, `${other.origin}/out`) }, token)
  expect(tokensAt(other)).toEqual([[`Bearer ${token}`]])
})
