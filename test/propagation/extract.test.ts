/** What the propagator takes out of carriers: one token, to be verified, or nothing; never an exception. */

import type { Context, TextMapGetter } from '@opentelemetry/api'
import { createContextKey, defaultTextMapGetter, propagation, ROOT_CONTEXT } from '@opentelemetry/api'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { callerOf } from '../../src/context/credential-context.ts'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, getCredential, setCredential } from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const TOKEN = signer.token(goodClaims(ISSUER))
const OTHER = createContextKey('an entry of somebody else')

let relay: TokenRelay
/** The context of another caller, whose credential must not survive an extraction. */
let bobs: Context
beforeEach(async () => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
  const bob = await relay.verify(signer.token(goodClaims(ISSUER, { sub: 'bob' })))
  bobs = setCredential(ROOT_CONTEXT.setValue(OTHER, 'kept'), bob)
})
afterEach(() => relay.shutdown())

const extract = (carrier: unknown, getter: TextMapGetter = defaultTextMapGetter): Context =>
  relay.propagator.extract(bobs, carrier, getter)
const stateOf = (ctx: Context): unknown => callerOf(ctx)?.state

describe('a token', () => {
  it.each([
    ['as a text', `Bearer ${TOKEN}`],
    ['as the only value of a list', [`Bearer ${TOKEN}`]],
    ['with the scheme in another case [E3]', `bEARER ${TOKEN}`],
  ])('waits to be verified, and is not a credential until then: %s', (_, authorization) => {
    const ctx = extract({ authorization })
    expect(stateOf(ctx)).toMatchObject({ status: 'unverified' })
    expect(getCredential(ctx)).toBeUndefined()
  })

  it('replaces what the context held, and leaves other entries', () => {
    const ctx = extract({ authorization: `Bearer ${TOKEN}` })
    expect(getCredential(bobs)?.subject).toBe('bob')
    expect(getCredential(ctx)).toBeUndefined()
    expect(ctx.getValue(OTHER)).toBe('kept')
  })

  it('is looked for in one field only [E8]', () => {
    const asked: string[] = []
    const getter: TextMapGetter = { keys: () => ['authorization'], get: (_, key) => void asked.push(key) }
    extract({}, getter)
    expect(asked).toEqual(['authorization'])
  })

  it.each([
    'Authorization',
    'x-forwarded-access-token',
    'proxy-authorization',
    'cookie',
    'baggage',
    'tracestate',
    'x-token-verified',
  ])('is not taken from %s [E4, E6]', (name) => {
    expect(stateOf(extract({ [name]: `Bearer ${TOKEN}` }))).toBeUndefined()
  })

  it('leaves baggage alone', () => {
    const baggage = propagation.createBaggage({ a: { value: '1' } })
    const ctx = relay.propagator.extract(
      propagation.setBaggage(ROOT_CONTEXT, baggage),
      { authorization: `Bearer ${TOKEN}` },
      defaultTextMapGetter,
    )
    expect(propagation.getBaggage(ctx)).toBe(baggage)
  })
})

describe('a carrier without a token deletes what the context held', () => {
  it.each<readonly [string, unknown]>([
    ['empty', {}],
    ['undefined value', { authorization: undefined }],
    ['no values', { authorization: [] }],
    ['another scheme [E3]', { authorization: 'Basic YTpi' }],
    ['an array', []],
    ['a Map', new Map([['authorization', `Bearer ${TOKEN}`]])],
    ['null', null],
    ['undefined', undefined],
    ['a number', 7],
    ['a text', `Bearer ${TOKEN}`],
    ['a symbol', Symbol('carrier')],
    ['a function', () => TOKEN],
  ])('%s', (_, carrier) => {
    const ctx = extract(carrier)
    expect(stateOf(ctx)).toBeUndefined()
    expect(getCredential(ctx)).toBeUndefined()
    expect(ctx.getValue(OTHER)).toBe('kept')
  })
})

describe('a carrier with something else in its place is refused', () => {
  it.each<readonly [string, unknown]>([
    ['two tokens [E1]', [`Bearer ${TOKEN}`, `Bearer ${TOKEN}`]],
    ['a comma list [E2]', `Bearer ${TOKEN}, Bearer ${TOKEN}`],
    ['the scheme alone [E3]', 'Bearer'],
    ['bytes [E10]', Buffer.from(`Bearer ${TOKEN}`)],
    ['a nested object [E10]', { value: `Bearer ${TOKEN}` }],
    ['a number [E10]', 7],
    ['a list in a list [E10]', [[`Bearer ${TOKEN}`]]],
    ['a promise', Promise.resolve(`Bearer ${TOKEN}`)],
    ['a symbol', Symbol('Bearer')],
  ])('%s', (_, authorization) => {
    const ctx = extract({ authorization })
    expect(stateOf(ctx)).toMatchObject({ status: 'rejected', error: { code: 'ERR_TOKEN_REQUEST' } })
    expect(getCredential(ctx)).toBeUndefined()
  })

  it('a token above the limit [B12]', () => {
    expect(stateOf(extract({ authorization: `Bearer ${'a'.repeat(100_000)}` }))).toMatchObject({
      status: 'rejected',
      error: { code: 'ERR_TOKEN_TOO_LARGE' },
    })
  })
})

describe('never throws', () => {
  const fail = (): never => {
    throw new Error('hostile')
  }

  it.each<readonly [string, unknown, unknown?]>([
    ['a getter that throws', {}, { keys: fail, get: fail }],
    ['no getter', {}, null],
    ['a getter without get', {}, {}],
    ['a carrier that throws', new Proxy({}, { get: fail, has: fail, ownKeys: fail })],
    ['a field that throws', Object.defineProperty({}, 'authorization', { get: fail })],
    ['a revoked proxy', revoked()],
    ['a value that throws', { authorization: new Proxy({}, { get: fail, getPrototypeOf: fail }) }],
    ['a list that throws', { authorization: new Proxy([], { get: fail }) }],
  ])('%s', (_, carrier, getter) => {
    const ctx = extract(carrier, (getter === undefined ? defaultTextMapGetter : getter) as TextMapGetter)
    expect(getCredential(ctx)).toBeUndefined()
    expect(ctx.getValue(OTHER)).toBe('kept')
  })

  it('whatever is in the field: the former caller is gone, and no caller is verified', () => {
    fc.assert(
      fc.property(fc.anything({ withProxies: false, withNullPrototype: true } as never), (authorization) => {
        expect(getCredential(extract({ authorization }))).toBeUndefined()
      }),
    )
  })
})

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
