/** `relay.explain` says what happens on the wire: it is compared with what did. */

import { context, defaultTextMapSetter, ROOT_CONTEXT } from '@opentelemetry/api'
import fc from 'fast-check'
import { Agent, request, fetch as undiciFetch } from 'undici'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Explanation, TokenRelay, VerifiedCredential } from '../../src/index.ts'
import { createTokenRelay, runWithToken, setCredential, setDestination } from '../../src/index.ts'
import { optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'

const TOKEN = tokenOf()
const DESTINATIONS = [
  { to: 'https://named.example' },
  { to: 'https://named.example:8443' },
  { to: 'https://*.internal.example' },
  { to: 'http://localhost:3000' },
  { to: 'http://[::1]:3000' },
  { to: 'http://clear.example', allowCleartext: true },
  { to: 'grpcs://ledger.example:50051' },
  { to: 'kafka:clear', seal: false },
  { to: 'kafka:sealed' },
  { to: 'rabbitmq:orders.*', seal: false },
]
const BASE = { ...optionsFor([signer.jwk]), destinations: DESTINATIONS }

let relay: TokenRelay
let credential: VerifiedCredential
beforeEach(async () => {
  relay = createTokenRelay(BASE)
  // Registers the context manager, too.
  credential = await runWithToken(TOKEN, () => relay.verify(TOKEN))
})
afterEach(() => relay.shutdown())

const pick = ({ verdict, reason, rule }: Partial<Explanation>) => ({ verdict, reason, rule })
const asCaller = <T>(fn: () => T): T => context.with(setCredential(ROOT_CONTEXT, credential), fn)

describe('says', () => {
  it.each([
    ['https://named.example/path?query', 'https://named.example', 'https://named.example', 'forward', undefined],
    ['HTTPS://NAMED.example:443', 'https://named.example', 'https://named.example', 'forward', undefined],
    ['https://named.example:8443', 'https://named.example:8443', 'https://named.example:8443', 'forward', undefined],
    ['https://a.internal.example', 'https://a.internal.example', 'https://*.internal.example', 'forward', undefined],
    ['https://a.b.internal.example', 'https://a.b.internal.example', undefined, 'withhold', 'not_named'],
    ['http://named.example', 'http://named.example', undefined, 'withhold', 'not_named'],
    ['https://named.example.', 'https://named.example.', undefined, 'withhold', 'not_named'],
    ['https://x@named.example', 'https://named.example', 'https://named.example', 'withhold', 'own_credential'],
    ['http://[0:0::1]:3000', 'http://[::1]:3000', 'http://[::1]:3000', 'forward', undefined],
    [
      'grpcs://ledger.example:50051',
      'grpcs://ledger.example:50051',
      'grpcs://ledger.example:50051',
      'forward',
      undefined,
    ],
    ['kafka:clear', 'kafka:clear', 'kafka:clear', 'forward', undefined],
    ['kafka:sealed', 'kafka:sealed', 'kafka:sealed', 'withhold', 'not_sealed'],
    ['rabbitmq:orders.new', 'rabbitmq:orders.new', 'rabbitmq:orders.*', 'forward', undefined],
    ['rabbitmq:orders.*', undefined, undefined, 'withhold', 'unknown_destination'],
    ['ftp://named.example', undefined, undefined, 'withhold', 'unknown_destination'],
    ['https://', undefined, undefined, 'withhold', 'unknown_destination'],
    ['', undefined, undefined, 'withhold', 'unknown_destination'],
  ])('%s: with a caller and without one', (destination, name, rule, verdict, reason) => {
    const expected = { destination: name, rule, verdict, reason }
    expect(relay.explain(destination)).toEqual(expected)
    expect(asCaller(() => relay.explain(destination))).toEqual(expected)
  })

  it('of a URL object what it says of its text', () => {
    const url = new URL('https://named.example/x')
    expect(relay.explain(url)).toEqual(relay.explain(url.href))
  })

  it('that a token has been revoked, and to whom that matters', async () => {
    await relay.revoke({ issuer: credential.issuer, subject: 'alice', expiresAtMillis: Date.now() + 60_000 })
    expect(asCaller(() => relay.explain('https://named.example'))).toMatchObject({ reason: 'revoked' })
    expect(relay.explain('https://named.example')).toMatchObject({ verdict: 'forward' })
  })

  it('that nothing is sent in mode report', async () => {
    await relay.shutdown()
    relay = createTokenRelay({ ...BASE, egress: { mode: 'report' } })
    expect(relay.explain('https://named.example')).toMatchObject({ verdict: 'withhold', reason: 'report_only' })
    expect(relay.explain('https://other.example')).toMatchObject({ reason: 'not_named' })
  })

  it.each([undefined, null, 7, {}, [], 'x'.repeat(1_000_000)])('nothing of what is no destination', (value) => {
    expect(relay.explain(value as string)).toMatchObject({ destination: undefined, reason: 'unknown_destination' })
  })
})

const label = fc.constantFrom('named', 'NAMED', 'internal', 'a', 'x-y', '*', 'xn--e1a', 'ñ', 'localhost', '')
const host = fc.oneof(
  fc
    .tuple(fc.array(label, { maxLength: 3 }), fc.constantFrom('example', 'internal.example', 'example.', 'com'))
    .map(([labels, end]) => [...labels, end].join('.')),
  fc.constantFrom('localhost', '[::1]', '[0:0:0::1]', '127.1', '0x7f.1', 'clear.example', '[::ffff:127.0.0.1]', '。'),
)
const origin = fc
  .tuple(
    fc.constantFrom('http', 'https', 'HTTPS'),
    fc.constantFrom('', '', '', 'u@', 'u:p@', '@'),
    host,
    fc.constantFrom('', ':443', ':80', ':8443', ':3000', ':0', ':65535', ':65536'),
    fc.constantFrom('', '/', '/path?x#y', '\\x', '?x'),
  )
  .map(([scheme, user, name, port, rest]) => `${scheme}://${user}${name}${port}${rest}`)

/** What the wire decided last, in mode report, where every decision is remembered. */
describe('agrees with the wire', () => {
  const nowhere = new Agent({ connect: (_, done) => done(new Error('no network'), null) })
  beforeEach(async () => {
    await relay.shutdown()
    relay = createTokenRelay({ ...BASE, egress: { mode: 'report' } })
  })
  afterAll(() => nowhere.destroy())

  it.each<readonly [string, (url: string) => Promise<unknown>, boolean]>([
    ['fetch', (url) => undiciFetch(url, { dispatcher: nowhere }), true],
    // It drops what stands before the host and calls without it, so that nothing is there which could be withheld for.
    ['undici', (url) => request(url, { dispatcher: nowhere }), false],
  ])('%s: for any URL', async (_, call, readsUserinfo) => {
    await fc.assert(
      fc.asyncProperty(origin, async (url) => {
        fc.pre(readsUserinfo || !url.includes('@'))
        const before = new Map(relay.observedDestinations().map((seen) => [seen.to, seen.requests]))
        await runWithToken(TOKEN, () => call(url)).catch(() => undefined)
        const seen = relay.observedDestinations().find(({ to, requests }) => before.get(to) !== requests)
        // Some URLs are refused by the client itself: then there was no request, and nothing to agree with.
        if (seen === undefined) return
        const explained = await runWithToken(TOKEN, () => relay.explain(url))
        expect(explained.destination).toBe(seen.to)
        expect(pick(explained)).toEqual(pick(seen))
      }),
      { numRuns: 400 },
    )
    expect(relay.observedDestinations().length).toBeGreaterThan(20)
  })

  it('carriers: for any announced destination', () => {
    const name = fc.stringMatching(/^[a-z._*/:-]{0,12}$/)
    const system = fc.constantFrom('kafka', 'rabbitmq', 'redis', 'nats', 'grpcs', 'grpc')
    const tail = fc.oneof(name, fc.constantFrom('clear', 'sealed', 'orders.new', '//ledger.example:50051'))
    fc.assert(
      fc.property(system, tail, (prefix, rest) => {
        const destination = `${prefix}:${rest}`
        const before = new Map(relay.observedDestinations().map((seen) => [seen.to, seen.requests]))
        relay.propagator.inject(
          setDestination(setCredential(ROOT_CONTEXT, credential), destination),
          {},
          defaultTextMapSetter,
        )
        const seen = relay.observedDestinations().find(({ to, requests }) => before.get(to) !== requests)
        const explained = asCaller(() => relay.explain(destination))
        expect(explained.destination).toBe(seen?.to)
        if (seen !== undefined) expect(pick(explained)).toEqual(pick(seen))
      }),
      { numRuns: 2_000 },
    )
    expect(relay.observedDestinations().length).toBeGreaterThan(20)
  })
})
