/** Applications send the same message object again: the token of an earlier call does not leave with a later one. */

import type { Context, TextMapSetter } from '@opentelemetry/api'
import { defaultTextMapSetter, ROOT_CONTEXT } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, setCredential, setDestination } from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const CLEAR = 'rabbitmq:clear'
const [alice, bob] = ['alice', 'bob'].map((sub) => signer.token(goodClaims(ISSUER, { sub }))) as [string, string]

let relay: TokenRelay
beforeEach(() => {
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: [{ to: CLEAR, seal: false }] })
})
afterEach(() => relay.shutdown())

/** Announces `destination` for the caller with `token`, or for nobody. */
async function callOf(token: string | undefined, destination = CLEAR): Promise<Context> {
  const ctx = token === undefined ? ROOT_CONTEXT : setCredential(ROOT_CONTEXT, await relay.verify(token))
  return setDestination(ctx, destination)
}

describe('the next message with the same carrier [F12]', () => {
  let carrier: Record<string, unknown>
  beforeEach(async () => {
    carrier = { id: 1 }
    relay.propagator.inject(await callOf(alice), carrier, defaultTextMapSetter)
    expect(carrier).toEqual({ id: 1, authorization: `Bearer ${alice}` })
  })

  it('of another caller carries that one’s token', async () => {
    relay.propagator.inject(await callOf(bob), carrier, defaultTextMapSetter)
    expect(carrier).toEqual({ id: 1, authorization: `Bearer ${bob}` })
  })

  it.each<readonly [string, string | undefined, string]>([
    ['of nobody', undefined, CLEAR],
    ['to a destination that was not named', alice, 'rabbitmq:other'],
    ['to an origin', alice, 'https://named.example'],
    ['to nowhere in particular', alice, ''],
  ])('%s carries none', async (_, token, destination) => {
    relay.propagator.inject(await callOf(token, destination), carrier, defaultTextMapSetter)
    expect(carrier).toEqual({ id: 1 })
  })

  it('in a context that knows nothing carries none', () => {
    relay.propagator.inject(ROOT_CONTEXT, carrier, defaultTextMapSetter)
    expect(carrier).toEqual({ id: 1 })
  })

  it('with a credential of the application keeps that one', async () => {
    carrier['authorization'] = 'Basic YTpi'
    relay.propagator.inject(await callOf(bob), carrier, defaultTextMapSetter)
    expect(carrier).toEqual({ id: 1, authorization: 'Basic YTpi' })
  })

  it('with a second credential of the application, in another case, loses ours only', async () => {
    carrier['Authorization'] = 'Basic YTpi'
    relay.propagator.inject(await callOf(bob), carrier, defaultTextMapSetter)
    expect(carrier).toEqual({ id: 1, Authorization: 'Basic YTpi' })
  })
})

/** How producers write a header value: as something else than a text, under another name, or into no plain object. */
const SETTERS: readonly (readonly [string, () => object, TextMapSetter])[] = [
  ['bytes, as kafkajs does', () => ({}), putting((key, value) => ({ [key]: Buffer.from(value) }))],
  [
    'an attribute, as SQS does',
    () => ({}),
    putting((key, value) => ({ [key]: { DataType: 'String', StringValue: value } })),
  ],
  ['a name in another case', () => ({}), putting((_, value) => ({ Authorization: value }))],
  ['a Map', () => new Map(), { set: (carrier: Map<string, string>, key, value) => void carrier.set(key, value) }],
  ['Headers', () => new Headers(), { set: (carrier: Headers, key, value) => carrier.set(key, value) }],
]

function putting(entry: (key: string, value: string) => object): TextMapSetter {
  return { set: (carrier: object, key, value) => void Object.assign(carrier, entry(key, value)) }
}

describe.each(SETTERS)('where the setter writes %s [F12]', (_, create, setter) => {
  const textOf = (carrier: object): string => {
    const entries = carrier instanceof Map || carrier instanceof Headers ? [...carrier] : Object.entries(carrier)
    return JSON.stringify(entries.map(([name, value]) => [name, Buffer.isBuffer(value) ? value.toString() : value]))
  }

  it('the next message without a caller carries no token', async () => {
    const carrier = create()
    relay.propagator.inject(await callOf(alice), carrier, setter)
    expect(textOf(carrier)).toContain(alice)
    relay.propagator.inject(await callOf(undefined), carrier, setter)
    expect(textOf(carrier)).not.toContain(alice)
  })

  it('the next message of another caller does not carry the token of the first', async () => {
    const carrier = create()
    relay.propagator.inject(await callOf(alice), carrier, setter)
    relay.propagator.inject(await callOf(bob), carrier, setter)
    expect(textOf(carrier)).not.toContain(alice)
  })
})

it.each<readonly [string, () => Map<string, string> | Headers]>([
  ['a Map', () => new Map([['authorization', 'Basic YTpi']])],
  ['Headers', () => new Headers({ authorization: 'Basic YTpi' })],
])('a credential of the application in %s stays [F10]', async (_, create) => {
  const carrier = create()
  const setter: TextMapSetter<Map<string, string> | Headers> = { set: (c, key, value) => void c.set(key, value) }
  relay.propagator.inject(await callOf(alice), carrier, setter)
  expect([...carrier]).toEqual([['authorization', 'Basic YTpi']])
})
