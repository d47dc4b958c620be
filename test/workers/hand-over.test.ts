/** A caller is handed over to one worker, once and for a short time, and is admitted there as usual. */

import { context, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential, runWithToken } from '../../src/index.ts'
import { createCanaries } from '../../src/testing/pieces.ts'
import {
  ExchangeError,
  InsufficientRoleError,
  InsufficientScopeError,
  SealError,
  TokenError,
  TokenRejectedError,
  UndecidedError,
} from '../../src/token/errors.ts'
import { handOver, runInWorker, takeOver } from '../../src/workers/index.ts'
import type { Rig } from '../support/exchange-rig.ts'
import { outcome, startRig } from '../support/exchange-rig.ts'
import { waitFor } from '../support/patience.ts'
import { P256, publicPart, randomSecret } from '../support/sealing.ts'
import { LIFE_SECONDS } from '../support/signer.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const THUMBS = 'worker:thumbnails'
const keys = [{ kid: 'workers-1', secret: randomSecret() }]

let rig: Rig
beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  rig = await startRig()
})
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW })
  await relayed()
})
afterEach(() => {
  vi.useRealTimers()
  rig.issuer.setDown(false)
})
afterAll(async () => {
  context.disable()
  propagation.disable()
  await rig[Symbol.asyncDispose]()
})

async function relayed(relay: Partial<TokenRelayOptions> = {}): Promise<void> {
  const destinations = [{ to: THUMBS }, { to: 'worker:mails' }, { to: rig.sink.origin }]
  await rig.relayWith({ relay: { destinations, sealing: { keys, maxOpenings: 5 }, ...relay } })
}

const handedOver = async (claims = {}, receiver = THUMBS, maxAgeSeconds?: number): Promise<string> =>
  runWithToken(await rig.issuer.token(claims), () =>
    handOver(receiver, maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
  )
const subject = (): string => getActiveCredential()?.subject ?? 'nobody'
const taken = (handed: string, receiver = THUMBS): Promise<unknown> => outcome(takeOver(receiver, handed, subject))
const pass = (seconds: number): void => void vi.setSystemTime(Date.now() + seconds * 1000)

describe('a caller who was handed over', () => {
  it('is the caller of the work, whatever caller is active when it starts', async () => {
    const handed = await Promise.all(['alice', 'bob', 'carol'].map((sub) => handedOver({ sub })))
    await runWithToken(await rig.issuer.token({ sub: 'mallory' }), async () => {
      expect(await Promise.all(handed.map((each) => taken(each)))).toEqual(['alice', 'bob', 'carol'])
      expect(subject()).toBe('mallory')
    })
  })

  it('calls the destinations of the worker until the work ends', async () => {
    let late: (() => Promise<readonly string[]>) | undefined
    await takeOver(THUMBS, await handedOver(), async () => {
      expect(await rig.send()).toHaveLength(1)
      late = context.bind(context.active(), () => rig.send())
    })
    expect(await late?.()).toEqual([])
  })

  it('brings the trace', async () => {
    const span = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 }
    const handed = await context.with(trace.setSpanContext(context.active(), span), () => handedOver())
    const traceId = await takeOver(THUMBS, handed, () => trace.getActiveSpan()?.spanContext().traceId)
    expect(traceId).toBe(span.traceId)
    const another = handed.replace(span.traceId, '1'.repeat(32))
    expect(await taken(another)).toBe('ERR_TOKEN_SEAL')
  })

  it('gets the result of the work, or its error', async () => {
    const mine = new Error('mine')
    expect(await takeOver(THUMBS, await handedOver(), async () => ({ a: 1 }))).toEqual({ a: 1 })
    await expect(takeOver(THUMBS, await handedOver(), () => Promise.reject(mine))).rejects.toBe(mine)
  })

  it('cannot be read on the way [H21]', async () => {
    const marker = randomSecret()
    const token = await rig.issuer.token({ marker })
    const handed = await runWithToken(token, () => handOver(THUMBS))
    const canaries = createCanaries()
    // Both contain the same claim names.
    canaries.add(token.slice(token.lastIndexOf('.') + 1), marker)
    expect(canaries.find(handed)).toBeUndefined()
    expect(canaries.find(`${handed} ${token}`)).toBeDefined()
    expect(handed).toMatch(/^[\x20-\x7e]+$/)
  })
})

describe('no caller', () => {
  it('is handed over without a current caller', async () => {
    expect(await taken(await handOver(THUMBS))).toBe('nobody')
  })

  it('is handed over to a receiver that no rule names', async () => {
    const handed = await handedOver({}, 'worker:unknown')
    expect(handed).not.toContain('authorization')
    expect(await taken(handed, 'worker:unknown')).toBe('nobody')
  })

  it('is handed over if the token is no longer good', async () => {
    const expired = await runWithToken(await rig.issuer.token(), () => {
      pass(LIFE_SECONDS + 100)
      return handOver(THUMBS)
    })
    expect(await taken(expired)).toBe('nobody')
  })
})

describe('takeOver refuses [H21]', () => {
  it('a second opening, whatever sealing.maxOpenings says [H2]', async () => {
    const handed = await handedOver()
    expect([await taken(handed), await taken(handed)]).toEqual(['alice', 'ERR_TOKEN_SEAL'])
    const another = await handedOver()
    const both = await Promise.all([taken(another), taken(another)])
    expect(both.toSorted()).toEqual(['ERR_TOKEN_SEAL', 'alice'])
  })

  it('another receiver [H1]', async () => {
    const handed = await handedOver()
    expect(await taken(handed, 'worker:mails')).toBe('ERR_TOKEN_SEAL')
    expect(await taken(handed)).toBe('alice')
  })

  it('a text that was changed or is not a hand-over', async () => {
    const handed = await handedOver()
    const at = handed.lastIndexOf('.') + 5
    const tampered = handed.slice(0, at) + (handed[at] === 'A' ? 'B' : 'A') + handed.slice(at + 1)
    const clear = JSON.stringify({ authorization: `Bearer ${await rig.issuer.token()}` })
    const hostile = [tampered, clear, '', 'null', '[]', '"x"', '{"authorization":"Sealed"}', undefined, { toString: 1 }]
    const codes = await Promise.all(hostile.map((each) => taken(each as string)))
    expect(codes).toEqual(hostile.map(() => 'ERR_TOKEN_SEAL'))
  })

  it('a text that was sealed with another key or cannot be opened', async () => {
    const handed = await handedOver()
    await relayed({ sealing: { keys: [{ kid: 'workers-1', secret: randomSecret() }] } })
    expect(await taken(handed)).toBe('ERR_TOKEN_SEAL')
    await relayed({ sealing: { keys: [{ kid: 'workers-1', jwk: publicPart(P256.jwk) }] } })
    expect(await taken(await handedOver())).toBe('ERR_TOKEN_SEAL')
  })

  it('a hand-over that is too old', async () => {
    const [first, second, long] = [await handedOver(), await handedOver(), await handedOver({}, THUMBS, 300)]
    pass(29)
    expect(await taken(first)).toBe('alice')
    pass(2)
    expect([await taken(second), await taken(long)]).toEqual(['ERR_TOKEN_SEAL', 'alice'])
  })

  it('a caller whose token has expired or was revoked', async () => {
    const soon = await handedOver({ exp: NOW / 1000 + 10 }, THUMBS, 300)
    pass(200)
    expect(await taken(soon)).toBe('ERR_TOKEN_EXPIRED')
    const revoked = await handedOver()
    await rig.relay.revoke({ issuer: rig.issuer.issuer, subject: 'alice', expiresAtMillis: NOW + 3_600_000 })
    expect(await taken(revoked)).toBe('ERR_TOKEN_REVOKED')
  })

  it('a caller for now, if no decision is possible', async () => {
    const handed = await handedOver()
    await relayed()
    rig.issuer.setDown(true)
    expect(await taken(handed)).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
    rig.issuer.setDown(false)
    pass(20)
    await waitFor(async () => expect(await taken(handed)).toBe('alice'))
  })
})

describe('an error that a pool cloned', () => {
  const failing = (error: Error): Promise<unknown> =>
    runInWorker(THUMBS, { run: () => Promise.reject(structuredClone(error)) }, 'task').catch(
      (reason: unknown) => reason,
    )

  it.each([
    new SealError(),
    new TokenRejectedError('ERR_TOKEN_EXPIRED'),
    new UndecidedError('ERR_TOKEN_KEYS_UNAVAILABLE'),
    new InsufficientRoleError(),
    new ExchangeError('ERR_TOKEN_EXCHANGE_UNAVAILABLE'),
  ])('is restored: $code', async (error) => {
    const { code, name } = error
    const restored = await failing(error)
    expect(restored).toBeInstanceOf(error.constructor)
    expect(restored).toMatchObject({ code, name })
  })

  it('about scopes is not restored, because its required scopes are lost', async () => {
    const error = new InsufficientScopeError(['orders:read'])
    const restored = await failing(error)
    expect(restored).toMatchObject({ message: error.message })
    expect(restored).not.toBeInstanceOf(TokenError)
  })

  it('of other code stays unchanged', async () => {
    expect(await failing(new RangeError('mine'))).toMatchObject({ name: 'RangeError', message: 'mine' })
  })
})

describe('a wrong argument is refused', () => {
  it.each(['thumbnails', 'kafka:orders', 'worker:*', '', 'https://a.example'])('receiver %j', async (receiver) => {
    await expect(handOver(receiver)).rejects.toThrow(TypeError)
    await expect(takeOver(receiver, '{}', subject)).rejects.toThrow('receiver: expected worker:name, without *')
  })

  it.each([0, 301, 1.5, Number.NaN, '30'])('maxAgeSeconds %j', async (maxAgeSeconds) => {
    const expected = 'maxAgeSeconds: expected 1 to 300 whole seconds'
    await expect(handOver(THUMBS, { maxAgeSeconds: maxAgeSeconds as number })).rejects.toThrow(expected)
  })

  it.each([
    ['seal', { seal: false }],
    ['consume', { consume: { onMissing: 'no-caller' } }],
  ] as const)('%s in the rule for a worker', async (name, rule) => {
    await rig.relay.shutdown()
    const issuers = [{ issuer: rig.issuer.issuer, audience: 'user-service' }]
    expect(() => createTokenRelay({ issuers, destinations: [{ to: THUMBS, ...rule }] })).toThrow(
      `destinations[0].${name}: is for brokers only: a worker gets sealed tokens`,
    )
  })
})
