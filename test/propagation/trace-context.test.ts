/** E7: whatever comes as trace context or baggage: tracing reads it as it does without the relay, and the token is read alike. */

import type { Context, SpanContext } from '@opentelemetry/api'
import { defaultTextMapGetter, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callerOf } from '../../src/context/credential-context.ts'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { optionsFor } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'

const AUTHORIZATION = `Bearer ${tokenOf()}`
const W3C = new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] })
let relay: TokenRelay
let withRelay: CompositePropagator
beforeAll(() => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
  withRelay = new CompositePropagator({ propagators: [W3C, relay.propagator] })
})
afterAll(() => relay.shutdown())

interface Trace {
  readonly span: Omit<SpanContext, 'traceState'> | undefined
  readonly state: string | undefined
  readonly baggage: readonly unknown[] | undefined
}
function traceOf(ctx: Context): Trace {
  const { traceState, ...span } = trace.getSpanContext(ctx) ?? {}
  const baggage = propagation.getBaggage(ctx)?.getAllEntries()
  return {
    span: 'traceId' in span ? (span as SpanContext) : undefined,
    state: traceState?.serialize(),
    baggage: baggage?.map(([name, { value, metadata }]) => [name, value, metadata?.toString()]),
  }
}
/** The trace that both read out of `carrier`, after they were found to be the same. */
function compare(carrier: Readonly<Record<string, unknown>>): Trace {
  const expected = traceOf(W3C.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter))
  for (const authorization of [undefined, AUTHORIZATION, 'Bearer', [AUTHORIZATION, AUTHORIZATION]]) {
    const ctx = withRelay.extract(ROOT_CONTEXT, { ...carrier, authorization }, defaultTextMapGetter)
    expect(traceOf(ctx)).toEqual(expected)
    const status = callerOf(ctx)?.state.status
    expect(status).toBe(
      authorization === undefined ? undefined : authorization === AUTHORIZATION ? 'unverified' : 'rejected',
    )
  }
  return expected
}

const ID = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const GOOD = `00-${ID}-${SPAN}-01`

/** The cases of the W3C test suite for Trace Context, in their kinds. */
const TRACEPARENTS: readonly string[] = [
  GOOD,
  `00-${ID}-${SPAN}-00`,
  `00-${ID}-${SPAN}-ff`,
  `01-${ID}-${SPAN}-01`,
  `cc-${ID}-${SPAN}-01`,
  `cc-${ID}-${SPAN}-01-what-the-future-will-be-like`,
  `cc-${ID}-${SPAN}-01.what-the-future`,
  `ff-${ID}-${SPAN}-01`,
  `.0-${ID}-${SPAN}-01`,
  `0.-${ID}-${SPAN}-01`,
  `0-${ID}-${SPAN}-01`,
  `000-${ID}-${SPAN}-01`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-.${ID.slice(1)}-${SPAN}-01`,
  `00-${ID.slice(1)}-${SPAN}-01`,
  `00-${ID}0-${SPAN}-01`,
  `00-${ID.toUpperCase()}-${SPAN}-01`,
  `00-${ID}-${'0'.repeat(16)}-01`,
  `00-${ID}-.${SPAN.slice(1)}-01`,
  `00-${ID}-${SPAN.slice(1)}-01`,
  `00-${ID}-${SPAN}0-01`,
  `00-${ID}-${SPAN.toUpperCase()}-01`,
  `00-${ID}-${SPAN}-.0`,
  `00-${ID}-${SPAN}-0.`,
  `00-${ID}-${SPAN}-1`,
  `00-${ID}-${SPAN}-001`,
  `00-${ID}-${SPAN}-01-`,
  `00-${ID}-${SPAN}-01-x`,
  ` ${GOOD}`,
  `\t${GOOD}`,
  `${GOOD} `,
  `${GOOD}\t`,
  `\t ${GOOD} \t`,
  `${GOOD},${GOOD}`,
  `${GOOD};x`,
  '',
  '-',
  '---',
  '00',
  'x'.repeat(8_192),
  '00-'.repeat(30_000),
  `00-${ID}-${SPAN}`,
  `00_${ID}_${SPAN}_01`,
  `${GOOD}\u0000`,
  `\ufeff${GOOD}`,
  `00-${'ａ'.repeat(32)}-${SPAN}-01`,
]
const KEY_256 = `a${'b'.repeat(255)}`
const TRACESTATES: readonly string[] = [
  'foo=1',
  'foo=1,bar=2',
  'foo=1, bar=2',
  'foo=1 \t , \t bar=2',
  'foo=1,',
  ',foo=1',
  'foo=1,,bar=2',
  'foo=1,foo=1',
  'foo=1,foo=2',
  'foo=',
  '=1',
  'foo',
  'foo =1',
  'FOO=1',
  'foo.bar=1',
  'foo@=1,bar=2',
  '@foo=1,bar=2',
  'foo@@bar=1,bar=2',
  'foo@bar@baz=1,bar=2',
  'tenant@vendor=1',
  `${KEY_256}=1`,
  `${KEY_256}b=1`,
  `${'t'.repeat(241)}@${'v'.repeat(14)}=1`,
  `${'t'.repeat(242)}@v=1`,
  `t@${'v'.repeat(15)}=1`,
  'foo=öäü',
  'foo=bar=baz',
  'foo=,bar=3',
  `foo=${'x'.repeat(256)}`,
  `foo=${'x'.repeat(257)}`,
  'foo=a\u0000b',
  Array.from({ length: 32 }, (_, i) => `bar${i}=${i}`).join(','),
  Array.from({ length: 33 }, (_, i) => `bar${i}=${i}`).join(','),
  ','.repeat(10_000),
  '',
  ' ',
  '=',
  '@',
  'otel-token-relay=verified',
]
const BAGGAGES: readonly string[] = [
  'a=1',
  'a=1,b=2;p=1;q',
  'a=1,a=2',
  'a=%20%C3%A4',
  'a=%',
  'a=%zz',
  'a=%E0%A4%A',
  '=1',
  'a',
  'a=',
  ',,,',
  'a =1 , b= 2',
  'a=1;;;',
  `a=${'x'.repeat(4_096)}`,
  `a=${'x'.repeat(8_192)}`,
  Array.from({ length: 200 }, (_, i) => `k${i}=${i}`).join(','),
  Array.from({ length: 100_000 }, (_, i) => `k${i}=`).join(','),
  '__proto__=1,constructor=2,toString=3',
  'a=\u0000',
  'auth.token.verified=true',
]

describe('traceparent [E7]', () => {
  it.each(TRACEPARENTS.map((value) => [value.slice(0, 80), value] as const))('%j [E7]', (_, traceparent) => {
    compare({ traceparent })
    compare({ traceparent, tracestate: 'foo=1', baggage: 'a=1' })
    compare({ traceparent: [traceparent, GOOD] })
    compare({ Traceparent: traceparent })
  })

  it('is read at all', () => {
    expect(compare({ traceparent: GOOD }).span?.traceId).toBe(ID)
    expect(compare({ traceparent: `ff-${ID}-${SPAN}-01` }).span).toBeUndefined()
  })
})

describe('tracestate [E7]', () => {
  it.each(TRACESTATES.map((value) => [value.slice(0, 80), value] as const))('%j [E7]', (_, tracestate) => {
    compare({ traceparent: GOOD, tracestate })
    compare({ traceparent: GOOD, tracestate: [tracestate, 'foo=1'] })
    compare({ tracestate })
  })
})

describe('baggage [E7]', () => {
  it.each(BAGGAGES.map((value) => [value.slice(0, 80), value] as const))('%j [E7]', (_, baggage) => {
    compare({ traceparent: GOOD, baggage })
    compare({ baggage: [baggage, 'a=1'] })
  })
})

it('anything at all [E7]', () => {
  const field = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(...TRACEPARENTS, ...TRACESTATES, ...BAGGAGES.slice(0, 12)),
  )
  fc.assert(
    fc.property(field, field, field, (traceparent, tracestate, baggage) => {
      compare({ traceparent, tracestate, baggage })
    }),
    { numRuns: 500 },
  )
})

it('of 64 fields of 8 KiB only authorization is read, and a megabyte in it is no token [E7]', () => {
  const fields = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`x-${i}`, 'x'.repeat(8_192)]))
  compare({ ...fields, traceparent: GOOD })
  const asked: string[] = []
  const getter = {
    keys: Object.keys,
    get(carrier: object, name: string) {
      asked.push(name)
      return Reflect.get(carrier, name) as string
    },
  }
  relay.propagator.extract(ROOT_CONTEXT, { ...fields, authorization: AUTHORIZATION }, getter)
  expect(asked).toEqual(['authorization'])
  for (const huge of ['Bearer ', 'Bearer a.', 'x', ',bearer', 'Bearer ,'].map((part) =>
    part.repeat(1_000_000 / part.length),
  )) {
    const ctx = relay.propagator.extract(ROOT_CONTEXT, { authorization: huge }, defaultTextMapGetter)
    expect(callerOf(ctx)?.state.status).not.toBe('unverified')
  }
})
