/** E8: baggage goes to every destination, so no token may be in it, whoever has put it there. */

import {
  baggageEntryMetadataFromString,
  context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  propagation,
  ROOT_CONTEXT,
} from '@opentelemetry/api'
import { CompositePropagator, W3CBaggagePropagator } from '@opentelemetry/core'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, setCredential, setDestination } from '../../src/index.ts'
import { findToken } from '../support/exports.ts'
import { optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'
import { segment } from '../support/signer.ts'

const TOKEN = tokenOf()
const JWE = `${segment({ alg: 'RSA-OAEP', enc: 'A128GCM' })}.a.b.c.d`
let relay: TokenRelay
let composite: CompositePropagator
beforeAll(() => {
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: 'kafka:orders', seal: false }] })
  composite = new CompositePropagator({ propagators: [new W3CBaggagePropagator(), relay.propagator] })
})
afterAll(() => relay.shutdown())

const namesIn = (baggage: string): readonly string[] => {
  const ctx = composite.extract(ROOT_CONTEXT, { baggage }, defaultTextMapGetter)
  return (propagation.getBaggage(ctx)?.getAllEntries() ?? []).map(([name]) => name)
}
function fieldOf(entries: Parameters<typeof propagation.createBaggage>[0], ctx = ROOT_CONTEXT): string | undefined {
  const carrier: Record<string, string> = {}
  composite.inject(propagation.setBaggage(ctx, propagation.createBaggage(entries)), carrier, defaultTextMapSetter)
  return carrier['baggage']
}

/** A token however it may come to stand there. */
const TOKENS: readonly (readonly [string, string])[] = [
  ['as it is', TOKEN],
  ['with its scheme', `Bearer ${TOKEN}`],
  ['in JSON', JSON.stringify({ token: TOKEN })],
  ['in a query', `https://a.example/?access_token=${TOKEN}&x=y`],
  ['percent-encoded', TOKEN.replaceAll('.', '%2E')],
  ['percent-encoded twice', encodeURIComponent(encodeURIComponent(`Bearer ${TOKEN}`)).replaceAll('.', '%252e')],
  ['without its signature', `${TOKEN.slice(0, TOKEN.lastIndexOf('.'))}.`],
  ['with white space in its header', `${segment('{ "typ" : "JWT",\n "alg" : "ES256" }')}.e30.x`],
  ['encrypted', JWE],
]
/** What looks a little like one. */
const OTHERS = [
  'tenant-7',
  'e2e-frontend.internal.example',
  '1.2.3',
  'eyJ',
  'eyJhbGci.x',
  'a.b.c',
  '192.168.0.1',
  `${segment({ a: 1 })}.b.c`,
  '...',
]

describe('incoming [E8]', () => {
  it.each(TOKENS)('a token %s is dropped, and the rest stays', (_, value) => {
    expect(namesIn(`a=1,t=${encodeURIComponent(value)};p=1,b=2`)).toEqual(['a', 'b'])
  })

  it('a token in a name or in a property is dropped too', () => {
    expect(namesIn(`a=1,${TOKEN}=x,b=2;p=${TOKEN}`)).toEqual(['a'])
  })

  it.each(OTHERS)('%s stays, and the very baggage object with it', (value) => {
    const baggage = propagation.createBaggage({ a: { value } })
    const ctx = relay.propagator.extract(propagation.setBaggage(ROOT_CONTEXT, baggage), {}, defaultTextMapGetter)
    expect(propagation.getBaggage(ctx)).toBe(baggage)
  })
})

describe('outgoing [E8]', () => {
  it.each(TOKENS)('a token %s that the application has put there does not leave', (_, value) => {
    const field = fieldOf({ a: { value: '1' }, t: { value }, b: { value: '2' } })
    expect(field).toBe('a=1,b=2')
  })

  it('a token alone leaves no field', () => {
    expect(fieldOf({ t: { value: TOKEN, metadata: baggageEntryMetadataFromString('p=1') } })).toBeUndefined()
  })

  it.each(OTHERS)('%s leaves as ever', (value) => {
    expect(fieldOf({ a: { value } })).toBe(`a=${encodeURIComponent(value)}`)
  })

  it('the caller’s token is written beside it, never into it', async () => {
    const ctx = setDestination(setCredential(ROOT_CONTEXT, await relay.verify(TOKEN)), 'kafka:orders')
    const carrier: Record<string, string> = {}
    const baggage = propagation.createBaggage({ a: { value: '1' } })
    composite.inject(propagation.setBaggage(ctx, baggage), carrier, defaultTextMapSetter)
    expect(carrier).toEqual({ baggage: 'a=1', authorization: `Bearer ${TOKEN}` })
    expect(findToken(JSON.stringify(carrier['baggage']), TOKEN)).toBeUndefined()
  })
})

describe('never throws, and never changes what it cannot read', () => {
  const fail = (): never => {
    throw new Error('hostile')
  }
  it.each<readonly [string, object]>([
    ['a frozen carrier', Object.freeze({ baggage: `t=${TOKEN}` })],
    ['a carrier whose field throws', Object.defineProperty({}, 'baggage', { get: fail })],
    ['a proxy that throws', new Proxy({}, { get: fail, ownKeys: fail, getOwnPropertyDescriptor: fail })],
    ['a list', { baggage: [`t=${TOKEN}`] }],
    ['bytes', { baggage: Buffer.from(`t=${TOKEN}`) }],
    ['a Map', new Map([['baggage', `t=${TOKEN}`]])],
  ])('%s', (_, carrier) => {
    expect(() => relay.propagator.inject(context.active(), carrier, defaultTextMapSetter)).not.toThrow()
  })

  it('keeps every member of any field without a token, byte by byte', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (baggage) => {
        const carrier: { baggage?: string } = { baggage }
        relay.propagator.inject(ROOT_CONTEXT, carrier, defaultTextMapSetter)
        expect(carrier.baggage).toBe(baggage)
      }),
      { numRuns: 2_000 },
    )
  })

  it.each([
    ['eyJ'.repeat(350_000)],
    ['eyJ.'.repeat(250_000)],
    ['.'.repeat(1_000_000)],
    ['e.e.e,'.repeat(170_000)],
    ['%25'.repeat(330_000)],
    [`${segment({ alg: 'x'.repeat(100_000) })}.`.repeat(7)],
  ])('reads a megabyte of almost-tokens within the time of this test, which quadratic work would exceed (%#)', (baggage) => {
    for (let i = 0; i < 3; i += 1) {
      const carrier: { baggage?: string } = { baggage }
      relay.propagator.inject(ROOT_CONTEXT, carrier, defaultTextMapSetter)
      // Whole, or dropped as a whole.
      expect([baggage.length, undefined]).toContain(carrier.baggage?.length)
    }
  })
})
