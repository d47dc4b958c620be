/** CR, LF, NUL and what some libraries take for them: in nothing that reaches a header. */

import { context, defaultTextMapSetter } from '@opentelemetry/api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createServiceClient, get } from '../../src/client/index.ts'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken, setDestination } from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const LINES = [
  '\r\nX: y',
  '\nX: y',
  '\rX: y',
  '\r\n\r\nGET / HTTP/1.1',
  '\0',
  '\0\r\nX: y',
  '\t\r\n X: y',
  '\u0085X: y',
  '\u2028X: y',
  '\u2029X: y',
  '\u560d\u560aX: y',
  '\u010d\u010aX: y',
  '\u000bX: y',
  '\u000cX: y',
  '%0d%0aX: y',
  '\\r\\nX: y',
  '\ud800X: y',
]
const named = LINES.map((line) => [JSON.stringify(line), line] as const)

const signer = createSigner()
let sink: Sink
let relay: TokenRelay
beforeAll(async () => {
  sink = await startSink()
  const destinations = [{ to: sink.origin }, { to: 'kafka:orders*', seal: false }]
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations })
})
afterAll(async () => {
  await relay.shutdown()
  await sink[Symbol.asyncDispose]()
})

describe('F9 in a token', () => {
  const token = signer.token(goodClaims(ISSUER))
  it.each(named)('%s: refused, and not repeated', async (_, line) => {
    for (const bad of [`${token}${line}`, `${line}${token}`, token.replace('.', `.${line}`)]) {
      const error = await relay.verify(bad).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ status: 401 })
      expect(String(error)).not.toContain('X: y')
    }
  })
})

it.each(named)('F9 in a claim, %s: what leaves is the token as it came, on one line', async (_, line) => {
  const token = signer.token(goodClaims(ISSUER, { sub: `alice${line}`, scope: `a${line}`, email: line }))
  sink.clear()
  await runWithToken(token, async () => (await fetch(sink.origin)).text())
  expect(sink.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${token}`]])
  expect(sink.received[0]?.rawHeaders.map((text) => text.toLowerCase())).not.toContain('x')
})

async function injected(queue: string): Promise<readonly string[]> {
  const ctx = await runWithToken(signer.token(goodClaims(ISSUER)), () => context.active())
  const carrier: Record<string, string> = {}
  relay.propagator.inject(setDestination(ctx, queue), carrier, defaultTextMapSetter)
  return Object.values(carrier)
}

it.each(named)('F9 in the name of a queue, %s: nothing that breaks the carrier', async (_, line) => {
  expect(await injected('kafka:orders')).toHaveLength(1)
  for (const value of await injected(`kafka:orders${line}`)) expect(value).toMatch(/^[\x20-\x7e]*$/)
})

it.each(named)('F9 in a path or query of the service client, %s: encoded or refused', async (_, line) => {
  sink.clear()
  const client = createServiceClient({
    baseUrl: sink.origin,
    endpoints: { fetchProfile: get('/profiles/{userId}') },
  })
  const isSent = await client.fetchProfile({ userId: `42${line}`, query: { after: line } }).then(
    () => true,
    () => false,
  )
  expect(sink.received).toHaveLength(isSent ? 1 : 0)
  for (const { target, rawHeaders } of sink.received) {
    expect(target).toMatch(/^\/profiles\/[\x21-\x7e]+$/)
    expect(rawHeaders.map((text) => text.toLowerCase())).not.toContain('x')
  }
})
