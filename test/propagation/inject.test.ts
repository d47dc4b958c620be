/** What the propagator writes: a verified token, into a carrier whose destination was named and is not HTTP. */

import type { Context, Span } from '@opentelemetry/api'
import { context, defaultTextMapSetter, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { suppressTracing } from '@opentelemetry/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Caller } from '../../src/context/caller.ts'
import { withCaller } from '../../src/context/credential-context.ts'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, deleteCredential, setCredential, setDestination } from '../../src/index.ts'
import { UnverifiedCredential } from '../../src/token/credential.ts'
import { TokenRejectedError } from '../../src/token/errors.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims, LIFE_SECONDS } from '../support/signer.ts'

const signer = createSigner()
const CLEAR = 'rabbitmq:clear'
const DESTINATIONS = [
  { to: CLEAR, seal: false },
  { to: 'rabbitmq:events.*', seal: false },
  { to: 'rabbitmq:sealed' },
  { to: 'kafka:sealed', seal: true },
  { to: 'grpcs://grpc.example' },
  { to: 'https://named.example' },
  { to: 'http://localhost:3000' },
]

let relay: TokenRelay
let token: string
let alices: Context
beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
})
afterAll(() => context.disable())
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-02T03:04:05Z') })
  relay = createTokenRelay({ ...optionsFor([signer.jwk]), destinations: DESTINATIONS })
  token = signer.token(goodClaims(ISSUER))
  alices = setCredential(ROOT_CONTEXT, await relay.verify(token))
})
afterEach(async () => {
  await relay.shutdown()
  propagation.disable()
  vi.useRealTimers()
})

function inject(ctx: Context, carrier: object = {}): object {
  relay.propagator.inject(ctx, carrier, defaultTextMapSetter)
  return carrier
}
const to = (destination: string, ctx: Context = alices): Context => setDestination(ctx, destination)
const spanOf = (spanId: string): Span =>
  trace.wrapSpanContext({ traceId: '0af7651916cd43dd8448eb211c80319c', spanId, traceFlags: 1 })

describe('writes', () => {
  it.each([
    CLEAR,
    'rabbitmq:events.created',
    'grpcs://grpc.example',
    'grpcs://GRPC.example:443',
  ])('the token for %s, and nothing else', (destination) => {
    expect(inject(to(destination), { traceparent: 'x' })).toEqual({
      traceparent: 'x',
      authorization: `Bearer ${token}`,
    })
  })

  it('through the API, in the active context, across await', async () => {
    propagation.setGlobalPropagator(relay.propagator)
    const carrier = await context.with(to(CLEAR), async () => {
      await Promise.resolve()
      const message = {}
      propagation.inject(context.active(), message)
      return message
    })
    expect(carrier).toEqual({ authorization: `Bearer ${token}` })
  })

  it('sampled or not', () => {
    for (const traceFlags of [0, 1]) {
      const span = trace.wrapSpanContext({ ...spanOf('b7ad6b7169203331').spanContext(), traceFlags })
      expect(inject(to(CLEAR, trace.setSpan(alices, span)))).toEqual({ authorization: `Bearer ${token}` })
    }
  })
})

describe('writes nothing', () => {
  it.each([
    ['without a destination', undefined],
    ['for a named origin: HTTP is decided on the wire', 'https://named.example'],
    ['for a named origin in clear text', 'http://localhost:3000'],
    ['for a destination that was not named', 'rabbitmq:other'],
    ['for a queue whose name begins like a named one [F14]', 'rabbitmq:clear-evil'],
    ['for a queue in another case [F14]', 'rabbitmq:Clear'],
    ['for the same queue of another system [F14]', 'kafka:clear'],
    ['for a pattern [F14]', 'rabbitmq:events.*'],
    ['for a queue that would have to be sealed, which is the default [H7]', 'rabbitmq:sealed'],
    ['for a queue that was said to be sealed [H7]', 'kafka:sealed'],
    ['for another port', 'grpcs://grpc.example:8443'],
    ['for gRPC in clear text [F13]', 'grpc://grpc.example'],
    ['for something that is no destination', 'clear'],
    ['for no text', ''],
  ])('%s', (_, destination) => {
    expect(inject(destination === undefined ? alices : to(destination))).toEqual({})
  })

  it.each([undefined, null, 7, {}])('where the destination is %j', (destination) => {
    expect(inject(to(destination as string))).toEqual({})
  })

  it('without a caller', () => {
    expect(inject(to(CLEAR, ROOT_CONTEXT))).toEqual({})
    expect(inject(to(CLEAR, deleteCredential(alices)))).toEqual({})
  })

  it('for a token that is not verified, or was refused [E11]', () => {
    const caller = Caller.fromHeader({ kind: 'token', credential: new UnverifiedCredential(token) })
    expect(inject(to(CLEAR, withCaller(alices, caller)))).toEqual({})
    caller.reject(new TokenRejectedError('ERR_TOKEN_SIGNATURE'))
    expect(inject(to(CLEAR, withCaller(alices, caller)))).toEqual({})
  })

  it('for a token that has expired since [B5]', () => {
    vi.setSystemTime(Date.now() + (LIFE_SECONDS + 6) * 1000)
    expect(inject(to(CLEAR))).toEqual({})
  })

  it('where tracing is suppressed, as in exporters [F11]', () => {
    expect(inject(suppressTracing(to(CLEAR)))).toEqual({})
  })

  it('after the relay was shut down', async () => {
    await relay.shutdown()
    expect(inject(to(CLEAR))).toEqual({})
  })
})

describe('an announced destination', () => {
  it('holds for its span, not for those that are started under it', () => {
    const announced = to(CLEAR, trace.setSpan(alices, spanOf('b7ad6b7169203331')))
    expect(inject(announced)).toEqual({ authorization: `Bearer ${token}` })
    expect(inject(trace.setSpan(announced, spanOf('00f067aa0ba902b7')))).toEqual({})
  })

  it('without a span holds until one is started', () => {
    expect(inject(trace.setSpan(to(CLEAR), spanOf('00f067aa0ba902b7')))).toEqual({})
  })

  it('is replaced by the next one', () => {
    expect(inject(to('rabbitmq:other', to(CLEAR)))).toEqual({})
    expect(inject(to(CLEAR, to('rabbitmq:other')))).toEqual({ authorization: `Bearer ${token}` })
  })
})

it.each(['authorization', 'Authorization', 'AUTHORIZATION'])('%s of the application stays as it is [F10]', (name) => {
  for (const value of ['Basic YTpi', 'Bearer other', '', ['Bearer other'], Buffer.from('x'), null]) {
    expect(inject(to(CLEAR), { [name]: value })).toEqual({ [name]: value })
  }
})

describe('never throws', () => {
  const fail = (): never => {
    throw new Error('hostile')
  }

  it.each<readonly [string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a text', 'carrier'],
    ['a number', 7],
    ['a frozen object', Object.freeze({})],
    ['an object that throws', new Proxy({}, { get: fail, set: fail, ownKeys: fail })],
    ['a field that throws', Object.defineProperty({}, 'a', { get: fail, enumerable: true })],
  ])('for a carrier that is %s', (_, carrier) => {
    expect(() => relay.propagator.inject(to(CLEAR), carrier, defaultTextMapSetter)).not.toThrow()
  })

  it.each([{ set: fail }, {}, undefined])('for a setter that does not work', (setter) => {
    expect(() => relay.propagator.inject(to(CLEAR), {}, setter as never)).not.toThrow()
  })
})

it('fields() is empty: SQS counts the names against its ten attributes, and the trace would be lost first', () => {
  expect(relay.propagator.fields()).toEqual([])
})
