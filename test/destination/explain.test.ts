/** `relay.explain` says what happens on the wire: it is compared with what did. */

import { context, defaultTextMapSetter, ROOT_CONTEXT } from '@opentelemetry/api'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
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

/** What the wire decided last, in mode report, where every decision is remembered. */
describe('agrees with the wire', () => {
  beforeEach(async () => {
    await relay.shutdown()
    relay = createTokenRelay({ ...BASE, egress: { mode: 'report' } })
  })

  // What clients do with URLs is compared in test/egress/spellings.test.ts.
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
