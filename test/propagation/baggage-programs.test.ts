/** E8 in programs: a token that came in baggage, or that the application put there, is on no wire that leaves. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findToken } from '../support/exports.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import type { Program } from '../support/process.ts'
import { OTEL_LINES, startProgram } from '../support/process.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
let sink: Sink
beforeAll(async () => {
  issuer = await startIssuer()
  sink = await startSink()
})
afterAll(async () => {
  await issuer[Symbol.asyncDispose]()
  await sink[Symbol.asyncDispose]()
})

const WAYS: Readonly<Record<string, readonly string[]>> = {
  register: ['--require', 'otel-token-relay/register'],
  'an own NodeSDK': ['--require', './programs/tracing.cjs'],
}

describe.each(
  OTEL_LINES.flatMap((line) => Object.entries(WAYS).map(([name, preload]) => [line, name, preload] as const)),
)('%s, %s', (line, _, preload) => {
  let program: Program
  beforeAll(() => {
    const [name, audience] = [issuer.issuer, 'user-service']
    program = startProgram('baggage.cjs', {
      line,
      preload,
      env: {
        RELAY_OPTIONS: JSON.stringify({ issuers: [{ issuer: name, audience }] }),
        ...(preload[1]?.includes('register') ? { TOKEN_RELAY_ISSUER: name, TOKEN_RELAY_AUDIENCE: audience } : {}),
      },
    })
  })
  afterAll(() => program[Symbol.asyncDispose]())

  it.each(['fetch', 'undici', 'http'])('%s sends no token of the baggage [E8]', async (client) => {
    const [token, upstream, own] = await Promise.all([1, 2, 3].map(() => issuer.token()))
    sink.clear()
    const url = `http://127.0.0.1:${await program.report<number>('port')}/?client=${client}&url=${encodeURIComponent(`${sink.origin}/x`)}&mistake=${own}`
    const headers = { authorization: `Bearer ${token}`, baggage: `a=1,up=${upstream};p=1,b=2` }
    expect(await (await fetch(url, { headers })).json()).toEqual({ names: ['a', 'b'] })
    const [received] = sink.received
    const at = received?.rawHeaders.findIndex((name) => name.toLowerCase() === 'baggage') ?? -1
    expect(at).toBeGreaterThan(-1)
    expect(received?.rawHeaders[at + 1]).toBe('a=1,b=2,mine=3')
    for (const each of [token, upstream, own]) expect(findToken(sink.bytes(), each ?? '')).toBeUndefined()
  })
})
