/** A shared cache that is down, slow or old: every call goes on as if there was none. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { activeRelay } from '../../src/ingress/active-relay.ts'
import { claimsOf } from '../support/exchange-rig.ts'
import { waitFor } from '../support/patience.ts'
import { HAS_REDIS } from '../support/redis.ts'
import type { SharedRig } from './shared-rig.ts'
import { startSharedRig } from './shared-rig.ts'

const token = (shared: SharedRig, claims = {}): Promise<string> => shared.rig.issuer.token(claims)

describe.runIf(HAS_REDIS)('Redis [C13]', () => {
  let shared: SharedRig
  beforeAll(async () => {
    shared = await startSharedRig(100)
  })
  beforeEach(() => shared.clear())
  afterAll(() => shared[Symbol.asyncDispose]())

  it('is stopped and started in the middle: every call goes on, and sharing begins again', async () => {
    const calls = async (count: number): Promise<string> => {
      let last = ''
      for (let i = 0; i < count; i += 1) {
        last = await token(shared)
        expect(await shared.prepare(last)).toBe('done')
      }
      return last
    }
    await calls(5)
    await shared.redis.kill()
    await waitFor(async () => {
      await calls(1)
      expect(await shared.outcomes()).toHaveProperty('unavailable')
    })
    await calls(20)
    const { unavailable, ...others } = await shared.outcomes()
    expect(unavailable).toBeGreaterThanOrEqual(20)
    expect(others).toEqual({})
    await shared.redis.restart()
    await waitFor(async () => {
      const again = await calls(1)
      await shared.another()
      await shared.prepare(again)
      expect(await shared.outcomes()).toHaveProperty('hit')
    })
  })

  it('does not answer: the issuer does', async () => {
    await waitFor(async () => {
      await shared.prepare(await token(shared))
      expect(await shared.outcomes()).toHaveProperty('miss')
    })
    shared.redis.freeze()
    const sent = await shared.rig.as(await token(shared), () => shared.rig.send())
    expect(claimsOf(sent)).toMatchObject({ sub: 'alice', aud: 'billing' })
    shared.redis.thaw()
    await waitFor(async () => {
      const again = await token(shared)
      await shared.prepare(again)
      await shared.another()
      await shared.prepare(again)
      expect(await shared.outcomes()).toHaveProperty('hit')
    })
  })

  it.each<readonly [string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('broken')
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
    ['says nothing that makes sense', () => Promise.resolve(4711)],
    ['gives what was refused for ever', () => Promise.resolve('sealed')],
  ])('is a cache that %s: the issuer is asked', async (_, work) => {
    const broken = { find: work, keep: work, release: work } as unknown as SharedRig['cache']
    await shared.another({ exchange: { sharedCache: broken } })
    expect([await shared.prepare(await token(shared)), shared.asked()]).toEqual(['done', 1])
    shared.rig.endpoint.answer = { status: 400 }
    expect(await shared.prepare(await token(shared))).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
  })
})

describe.runIf(HAS_REDIS)('what another process has got a while ago', () => {
  const NOW = Date.parse('2026-01-02T03:04:05Z')
  const at = (seconds: number): void => void vi.setSystemTime(NOW + seconds * 1000)
  let shared: SharedRig
  beforeAll(async () => {
    shared = await startSharedRig()
  })
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: NOW })
    await shared.clear()
    shared.rig.endpoint.answer = () => {
      const iat = Math.floor(Date.now() / 1000)
      return { claims: { jti: String(shared.asked()), iat, exp: iat + 100 }, members: { expires_in: 100 } }
    }
  })
  afterEach(() => vi.useRealTimers())
  afterAll(() => shared[Symbol.asyncDispose]())

  const longLived = () => token(shared, { iat: NOW / 1000, exp: NOW / 1000 + 3_600 })
  const send = async (alice: string) => claimsOf(await shared.rig.as(alice, () => shared.rig.send())).jti

  it('is renewed in the background when its time has come, once for all', async () => {
    const alice = await longLived()
    expect(await send(alice)).toBe('1')
    const [key = ''] = await shared.kept(1)
    const first = await shared.direct.get(key)
    at(75)
    await shared.another()
    expect(await send(alice)).toBe('1')
    await waitFor(async () => expect(await send(alice)).toBe('2'))
    await waitFor(async () => expect(await shared.direct.get(key)).not.toBe(first))
    await shared.another()
    expect([await send(alice), shared.asked()]).toEqual(['2', 2])
  })

  it('is not used after its end, nor after that of the caller’s own, whatever Redis does [B5]', async () => {
    const alice = await longLived()
    const bob = await token(shared, { sub: 'bob', iat: NOW / 1000, exp: NOW / 1000 + 50 })
    expect([await send(alice), await send(bob)]).toEqual(['1', '2'])
    const keys = await shared.kept(2)
    const lives = await Promise.all(keys.map((key) => shared.direct.pttl(key)))
    const [shorter = 0, longer = 0] = lives.toSorted((a, b) => a - b)
    expect([shorter <= 50_000, longer > 50_000, longer <= 100_000]).toEqual([true, true, true])
    for (const key of keys) await shared.direct.persist(key)
    at(56)
    await shared.another()
    await shared.outcomes()
    await expect(shared.prepare(bob)).rejects.toMatchObject({ code: 'ERR_TOKEN_EXPIRED' })
    at(101)
    await shared.another()
    expect([await send(alice), shared.asked()]).toEqual(['3', 3])
    expect(await shared.outcomes()).toEqual({ 'unusable ERR_TOKEN_SEAL': 1, miss: 1 })
  })

  it.each([
    30, 60, 3_600,
  ])('is kept in Redis no longer than it can be opened: maxAgeSeconds of %i', async (maxAgeSeconds) => {
    await shared.another({ relay: { sealing: { keys: [shared.key], maxAgeSeconds } } })
    expect(await send(await longLived())).toBe('1')
    const [key = ''] = await shared.kept(1)
    const life = await shared.direct.pttl(key)
    expect(life).toBeGreaterThan(0)
    expect(life).toBeLessThanOrEqual(Math.min(maxAgeSeconds, 100) * 1_000)
  })

  it('is replaced for a call that takes longer than it lasts', async () => {
    const alice = await longLived()
    expect(await send(alice)).toBe('1')
    await shared.kept(1)
    at(40)
    await shared.another()
    await shared.rig.as(alice, async () => {
      await shared.rig.relay.prepare(shared.rig.sink.origin, { validForMillis: 80_000 })
      expect(claimsOf(await shared.rig.send()).jti).toBe('2')
    })
    expect(shared.asked()).toBe(2)
  })

  it('is replaced if a destination refuses it', async () => {
    const alice = await longLived()
    expect(await send(alice)).toBe('1')
    await shared.kept(1)
    at(10)
    await shared.another()
    expect(await send(alice)).toBe('1')
    await shared.rig.as(alice, async () => {
      const refused = await activeRelay().prepare(shared.rig.sink.origin, {})
      if (refused === undefined) throw new Error('it was sent before')
      expect(await activeRelay().renew(shared.rig.sink.origin, refused)).toBe(true)
      expect(claimsOf(await shared.rig.send()).jti).toBe('2')
    })
    expect(shared.asked()).toBe(2)
  })
})
