/** CR, LF, NUL and what some libraries take for them: in nothing that reaches a header. */

import { randomBytes } from 'node:crypto'
import { defaultTextMapSetter, ROOT_CONTEXT } from '@opentelemetry/api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createServiceClient, get } from '../../src/client/index.ts'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken, setCredential, setDestination } from '../../src/index.ts'
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
  const destinations = [{ to: sink.origin }, { to: 'kafka:orders*', seal: false }, { to: 'nats:orders*' }]
  relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations,
    sealing: { keys: [{ kid: 'a', secret: randomBytes(32).toString('base64url') }] },
  })
})
afterAll(async () => {
  await relay.shutdown()
  await sink[Symbol.asyncDispose]()
})

describe('in a token [F9]', () => {
  const token = signer.token(goodClaims(ISSUER))
  it.each(named)('%s: refused, and not repeated', async (_, line) => {
    for (const bad of [`${token}${line}`, `${line}${token}`, token.replace('.', `.${line}`)]) {
      const error = await relay.verify(bad).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ status: 401 })
      expect(String(error)).not.toContain('X: y')
    }
  })
})

it.each(named)('in a claim, %s: what leaves is the token as it came, on one line [F9]', async (_, line) => {
  const token = signer.token(goodClaims(ISSUER, { sub: `alice${line}`, scope: `a${line}`, email: line }))
  sink.clear()
  await runWithToken(token, async () => (await fetch(sink.origin)).text())
  expect(sink.received.map(({ authorization }) => authorization)).toEqual([[`Bearer ${token}`]])
  expect(sink.received[0]?.rawHeaders.map((text) => text.toLowerCase())).not.toContain('x')
})

/** The fields that a message to `queue` gets. */
async function injected(queue: string): Promise<readonly string[]> {
  const ctx = setCredential(ROOT_CONTEXT, await relay.verify(signer.token(goodClaims(ISSUER))))
  const carrier: Record<string, string> = {}
  relay.propagator.inject(setDestination(ctx, queue), carrier, defaultTextMapSetter)
  return Object.entries(carrier).flat()
}

describe.each(['kafka', 'nats'])('in the name of a queue of %s [F9]', (system) => {
  it('the control: a plain name gets the token, in clear text or sealed', async () => {
    expect(await injected(`${system}:orders`)).toHaveLength(2)
    expect(await injected(`${system}:orders-1`)).toHaveLength(2)
  })

  it.each(named)('%s: white space ends a name, and any other name leaves in printable fields only', async (_, line) => {
    const name = `orders${line.replaceAll(' ', '')}`
    const fields = await injected(`${system}:${name}`)
    expect(fields).toHaveLength(/\s/.test(name) ? 0 : 2)
    for (const field of fields) expect(field).toMatch(/^[\x20-\x7e]+$/)
  })
})

it.each(named)('in a path or query of the service client, %s: encoded or refused [F9]', async (_, line) => {
  sink.clear()
  const client = createServiceClient({
    baseUrl: sink.origin,
    endpoints: { fetchProfile: get('/profiles/{userId}') },
  })
  const [userId, after] = [`42${line}`, line]
  const outcome = await client.fetchProfile({ userId, query: { after } }).then(
    () => 'sent',
    (error: { code?: unknown }) => error.code,
  )
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused.
  const isRefused = /[\0-\x1f]/.test(line) || !line.isWellFormed()
  expect(outcome).toBe(isRefused ? 'ERR_RELAY_OPTION' : 'sent')
  expect(sink.received).toHaveLength(isRefused ? 0 : 1)
  for (const { target, rawHeaders } of sink.received) {
    expect(target).toMatch(/^[\x21-\x7e]+$/)
    const { pathname, searchParams } = new URL(target, sink.origin)
    expect([decodeURIComponent(pathname), searchParams.get('after')]).toEqual([`/profiles/${userId}`, after])
    expect(rawHeaders.map((text) => text.toLowerCase())).not.toContain('x')
  }
})
