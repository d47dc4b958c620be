/** The ways to use the relay, each with CommonJS and ES-module programs, on both lines of the OpenTelemetry SDK. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { ProgramOptions } from '../support/process.ts'
import { complaintsIn, OTEL_LINES, startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let named: Sink
let other: Sink

beforeAll(async () => {
  issuer = await startIssuer()
  named = await startSink()
  other = await startSink()
})
afterAll(async () => {
  await Promise.all([issuer, named, other].map((resource) => resource[Symbol.asyncDispose]()))
})

it('does not end a program that handles its signals itself', async () => {
  await using program = startProgram('graceful.cjs', { preload: ['--require', REGISTER], env: environment() })
  const headers = { authorization: `Bearer ${await issuer.token()}` }
  const port = await program.report<number>('port')
  await (await fetch(`http://127.0.0.1:${port}/`, { headers })).text()
  const response = fetch(`http://127.0.0.1:${port}/`, { headers: { ...headers, connection: 'close' } })
  await expect.poll(() => program.reported['begun']).toBe(2)
  const ended = program.stop()
  expect(await (await response).text()).toBe('done')
  expect(await ended).toBe(0)
  expect(program.reported['graceful']).toBe(true)
})

const REGISTER = 'otel-token-relay/register'
const AUTO = '@opentelemetry/auto-instrumentations-node/register'

const WAYS: Readonly<Record<string, readonly string[]>> = {
  '--require register': ['--require', REGISTER],
  '--import register': ['--import', REGISTER],
  '--require register, then auto-instrumentations': ['--require', REGISTER, '--require', AUTO],
  '--require auto-instrumentations, then register': ['--require', AUTO, '--require', REGISTER],
  '--import register, then auto-instrumentations': ['--import', REGISTER, '--import', AUTO],
  '--import auto-instrumentations, then register': ['--import', AUTO, '--import', REGISTER],
  'propagator and instrumentation in an own NodeSDK': ['--require', './programs/tracing.cjs'],
}

function environment(): Record<string, string> {
  return {
    TOKEN_RELAY_ISSUER: issuer.issuer,
    TOKEN_RELAY_AUDIENCE: 'user-service',
    TOKEN_RELAY_DESTINATIONS: named.origin,
    TOKEN_RELAY_INGRESS_PUBLIC_PATHS: '/health',
    RELAY_OPTIONS: JSON.stringify({
      issuers: [{ issuer: issuer.issuer, audience: 'user-service' }],
      destinations: [{ to: named.origin }],
      ingress: { publicPaths: ['/health'] },
    }),
  }
}

async function get(port: number, path: string, token?: string): Promise<{ status: number; body: unknown }> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
  return { status: response.status, body: response.status === 200 ? await response.json() : await response.text() }
}

async function story(program: string, options: ProgramOptions): Promise<void> {
  await using service = startProgram(program, options)
  const port = await service.report<number>('port')
  const token = await issuer.token()
  named.clear()
  other.clear()

  expect((await get(port, '/whoami')).status).toBe(401)
  expect((await get(port, '/whoami', await issuer.token({ aud: 'another' }))).status).toBe(401)
  expect(await get(port, '/health')).toEqual({ status: 200, body: { subject: null, scopes: [] } })
  expect((await get(port, '/whoami', token)).body).toEqual({
    subject: 'alice',
    scopes: ['profiles:read', 'invoices:read'],
  })
  for (const client of ['fetch', 'undici', 'http']) {
    for (const sink of [named, other]) {
      const url = encodeURIComponent(`${sink.origin}/${client}`)
      const { body } = await get(port, `/call?client=${client}&url=${url}`, token)
      expect(body, client).toEqual({ status: 200, subjectAfter: 'alice' })
    }
  }
  expect(named.received.map(({ target, authorization }) => [target, authorization])).toEqual(
    ['/fetch', '/undici', '/http'].map((target) => [target, [`Bearer ${token}`]]),
  )
  expect(other.received.map(({ authorization }) => authorization)).toEqual([[], [], []])
  expect(service.stdout() + service.stderr()).not.toContain(token.slice(-12))
  expect(complaintsIn(service.stderr())).toEqual([])
}

describe.each(OTEL_LINES)('on %s', (line) => {
  describe.each(Object.entries(WAYS))('%s', (_, preload) => {
    it.each([
      'service.cjs',
      'service.mjs',
    ])('%s: admits the caller, keeps it, and forwards its token', async (program) => {
      await story(program, { line, preload, env: environment() })
    })
  })

  it.each([
    ['register', REGISTER, 'off'],
    ['register', REGISTER, 'disabled'],
    ['an own NodeSDK', './programs/tracing.cjs', 'off'],
    ['an own NodeSDK', './programs/tracing.cjs', 'disabled'],
  ])('%s (%s) with tracing switched %s gives the same verdicts', async (_, preload, how) => {
    const env = how === 'off' ? { OTEL_TRACES_SAMPLER: 'always_off' } : { OTEL_SDK_DISABLED: 'true' }
    await story('service.cjs', { line, preload: ['--require', preload], env: { ...environment(), ...env } })
  })

  it('register yields to a NodeSDK that the program starts itself', async () => {
    await story('own-sdk.cjs', { line, preload: ['--require', REGISTER], env: environment() })
  })
})
