/** Through the propagator: sealed on the way out, opened by the consumer that says where it reads, verified as any other. */

import type { Context, Span } from '@opentelemetry/api'
import {
  context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  propagation,
  ROOT_CONTEXT,
  trace,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { CompositePropagator, W3CTraceContextPropagator } from '@opentelemetry/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { getSource } from '../../src/context/destination-context.ts'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import {
  createTokenRelay,
  getActiveCredential,
  getCredential,
  runAsCaller,
  runWithToken,
  setCredential,
  setDestination,
  setSource,
} from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { P256, publicPart, randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const DESTINATIONS = [
  { to: 'kafka:orders' },
  { to: 'kafka:shipping', seal: 'shipping-1' },
  { to: 'kafka:clear', seal: false },
  { to: 'grpcs://grpc.example' },
]
const OPTIONS: TokenRelayOptions = {
  ...optionsFor([signer.jwk]),
  destinations: DESTINATIONS,
  sealing: {
    keys: [
      { kid: 'orders-1', secret: randomSecret() },
      { kid: 'shipping-1', jwk: P256.jwk },
    ],
  },
}
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const spanOf = (traceId: string): Span => trace.wrapSpanContext({ traceId, spanId: 'b7ad6b7169203331', traceFlags: 1 })

let relay: TokenRelay
let token: string
let alices: Context
beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
})
afterAll(() => context.disable())
beforeEach(() => start(OPTIONS))
afterEach(async () => {
  await relay.shutdown()
  propagation.disable()
})

async function start(options: TokenRelayOptions): Promise<void> {
  propagation.disable()
  relay = createTokenRelay(options)
  propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), relay.propagator] }),
  )
  token = signer.token(goodClaims(ISSUER))
  alices = setCredential(trace.setSpan(ROOT_CONTEXT, spanOf(TRACE)), await relay.verify(token))
}

type Headers = Record<string, unknown>

function produce(destination = 'kafka:orders', ctx = alices, headers: Headers = {}): Headers {
  propagation.inject(setDestination(ctx, destination), headers, defaultTextMapSetter)
  return headers
}
const consume = (headers: Headers, source = 'kafka:orders', ctx: Context = ROOT_CONTEXT): Context =>
  propagation.extract(setSource(ctx, source), headers, defaultTextMapGetter)
/** Who the handler of a message runs as, or the code of the error that kept it from running. */
const outcomeOf = (ctx: Context): Promise<unknown> =>
  runAsCaller(ctx, () => getActiveCredential()?.subject).catch((error: { code?: unknown }) => error.code)

describe('a producer', () => {
  it.each(['kafka:orders', 'kafka:shipping'])('seals for %s, in the one field', (destination) => {
    const headers = produce(destination)
    expect(Object.keys(headers).toSorted()).toEqual(['authorization', 'traceparent'])
    expect(headers['authorization']).toMatch(/^Sealed [\w-]+(\.[\w-]+){4}$/)
    expect(JSON.stringify(headers)).not.toContain(token.split('.')[1])
  })

  it('seals each message anew', () => {
    expect(produce()['authorization']).not.toBe(produce()['authorization'])
  })

  it('seals for messages only, and not where the rule says so', () => {
    expect(produce('kafka:clear')['authorization']).toBe(`Bearer ${token}`)
    expect(produce('grpcs://grpc.example')['authorization']).toBe(`Bearer ${token}`)
  })

  it.each<readonly [string, string | undefined, string, string]>([
    ['as it is configured', 'orders', 'otel', 'orders'],
    ['by its name in traces', undefined, 'otel', 'otel'],
    ['by its audience', undefined, '', 'user-service'],
  ])('is named %s', async (_, producer, serviceName, expected) => {
    vi.stubEnv('OTEL_SERVICE_NAME', serviceName)
    await relay.shutdown()
    await start({ ...OPTIONS, sealing: { ...OPTIONS.sealing, ...(producer !== undefined && { producer }) } })
    const [header = ''] = String(produce()['authorization']).slice('Sealed '.length).split('.')
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toMatchObject({ iss: expected })
    vi.unstubAllEnvs()
  })

  it('without a key sends nothing', async () => {
    await relay.shutdown()
    await start({ ...OPTIONS, destinations: [{ to: 'kafka:orders' }], sealing: {} })
    expect(produce()).not.toHaveProperty('authorization')
    expect(relay.explain('kafka:orders')).toMatchObject({ verdict: 'withhold', reason: 'not_sealed' })
  })

  it('explains what it does', () => {
    expect(relay.explain('kafka:orders')).toMatchObject({ verdict: 'forward', rule: 'kafka:orders' })
  })

  it('forgets the sealed token of an earlier message in a carrier that is used again [F12]', async () => {
    const headers = produce()
    propagation.inject(setDestination(ROOT_CONTEXT, 'kafka:orders'), headers, defaultTextMapSetter)
    expect(headers).not.toHaveProperty('authorization')
    produce('kafka:orders', alices, headers)
    produce('kafka:not-named', alices, headers)
    expect(headers).not.toHaveProperty('authorization')
  })

  it('leaves a credential of the application [F10]', () => {
    expect(produce('kafka:orders', alices, { Authorization: 'Basic YTpi' })).not.toHaveProperty('authorization')
  })
})

describe('a consumer', () => {
  it.each(['kafka:orders', 'kafka:shipping'])('of %s runs as the sender of the message', async (queue) => {
    expect(await outcomeOf(consume(produce(queue), queue))).toBe('alice')
  })

  it('has no caller before the token was opened and verified', async () => {
    const ctx = consume(produce())
    expect(getCredential(ctx)).toBeUndefined()
    expect(produce('kafka:clear', ctx)).not.toHaveProperty('authorization')
    expect(await outcomeOf(ctx)).toBe('alice')
    expect(getCredential(ctx)?.subject).toBe('alice')
  })

  it.each<readonly [string, (value: unknown) => unknown]>([
    ['bytes', (value) => Buffer.from(String(value))],
    ['a list of one', (value) => [value]],
    ['an attribute', (value) => ({ DataType: 'String', StringValue: value })],
  ])('reads %s', async (_, wrap) => {
    const headers = Object.fromEntries(Object.entries(produce()).map(([name, value]) => [name, wrap(value)]))
    expect(await outcomeOf(consume(headers))).toBe('alice')
  })

  it('elsewhere runs nothing [H1]', async () => {
    expect(await outcomeOf(consume(produce(), 'kafka:shipping'))).toBe('ERR_TOKEN_SEAL')
  })

  it('in another message runs nothing [H1]', async () => {
    const other = produce('kafka:orders', trace.setSpan(alices, spanOf('1'.repeat(32))))
    const moved = { ...other, authorization: produce()['authorization'] }
    expect(await outcomeOf(consume(moved))).toBe('ERR_TOKEN_SEAL')
    expect(await outcomeOf(consume({ authorization: produce()['authorization'] }))).toBe('ERR_TOKEN_SEAL')
  })

  it('of the same message again runs nothing [H2]', async () => {
    const headers = produce()
    expect(await outcomeOf(consume({ ...headers }))).toBe('alice')
    expect(await outcomeOf(consume({ ...headers }))).toBe('ERR_TOKEN_SEAL')
  })

  it('that extracts one message twice opens it once', async () => {
    const headers = produce()
    const [first, second] = [consume(headers), consume(headers)]
    expect(await Promise.all([outcomeOf(first), outcomeOf(second), outcomeOf(first)])).toEqual(Array(3).fill('alice'))
  })

  it('verifies what it opened: a token revoked since runs nothing', async () => {
    const headers = produce()
    await relay.revoke({ issuer: ISSUER, subject: 'alice', expiresAtMillis: Date.now() + 600_000 })
    expect(await outcomeOf(consume(headers))).toBe('ERR_TOKEN_REVOKED')
  })

  it('whose issuer is down has not used up its message [H2]', async () => {
    const headers = produce()
    await relay.shutdown()
    let isDown = true
    const jwks = { keys: [signer.jwk] }
    const settings = { issuer: ISSUER, audience: 'user-service', jwks }
    const resolveIssuer = async () => (isDown ? Promise.reject(new Error('down')) : settings)
    relay = createTokenRelay({ issuers: [], resolveIssuer, ...(OPTIONS.sealing && { sealing: OPTIONS.sealing }) })
    propagation.disable()
    propagation.setGlobalPropagator(relay.propagator)
    expect(await outcomeOf(consume(headers))).toBe('ERR_TOKEN_ISSUER_UNAVAILABLE')
    expect(await outcomeOf(consume({ ...headers }))).toBe('ERR_TOKEN_ISSUER_UNAVAILABLE')
    isDown = false
    expect(await outcomeOf(consume(headers))).toBe('alice')
    expect(await outcomeOf(consume({ ...headers }))).toBe('ERR_TOKEN_SEAL')
  })

  it('that works on a message again, later, does so only as long as its token is good', async () => {
    const ctx = consume(produce())
    expect(await outcomeOf(ctx)).toBe('alice')
    expect(await outcomeOf(ctx)).toBe('alice')
    await relay.revoke({ issuer: ISSUER, subject: 'alice', expiresAtMillis: Date.now() + 600_000 })
    expect(await outcomeOf(ctx)).toBe('ERR_TOKEN_REVOKED')
  })

  it('verifies what anybody sealed with the public key [H7]', async () => {
    await relay.shutdown()
    const jwk = publicPart(P256.jwk)
    await start({
      ...OPTIONS,
      ...optionsFor([signer.jwk], { typ: null, audience: null }),
      sealing: { keys: [{ kid: 'shipping-1', jwk }] },
      destinations: [{ to: 'kafka:shipping' }],
    })
    const foreign = signer.token(goodClaims(ISSUER, { aud: 'another-service' }))
    const headers = await runWithToken(foreign, () => produce('kafka:shipping', context.active()))
    await relay.shutdown()
    await start(OPTIONS)
    expect(await outcomeOf(consume(headers, 'kafka:shipping'))).toBe('ERR_TOKEN_AUDIENCE')
  })

  it('has no caller for a message without a token, and does not run as a former caller', async () => {
    expect(await outcomeOf(consume({}))).toBe('ERR_TOKEN_MISSING')
    expect(await outcomeOf(consume({}, 'kafka:orders', alices))).toBe('ERR_TOKEN_MISSING')
    expect(await outcomeOf(consume({ authorization: 'Basic YTpi' }, 'kafka:orders', alices))).toBe('ERR_TOKEN_MISSING')
  })

  it('names a source for one extraction', () => {
    expect(getSource(consume(produce()))).toBeUndefined()
  })
})

it('runAsCaller without a relay runs nothing', async () => {
  const ctx = consume(produce())
  await relay.shutdown()
  let ran = false
  await expect(
    runAsCaller(ctx, () => {
      ran = true
    }),
  ).rejects.toThrow('no token relay is active')
  expect(ran).toBe(false)
})
