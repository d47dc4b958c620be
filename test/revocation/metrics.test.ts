/** What is measured of revocations: what was taken back, how soon the others hear of it, and how old their knowledge is. */

import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RevocationList, TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type { RedisRevocationList } from '../../src/redis/index.ts'
import { createRedisRevocationList } from '../../src/redis/index.ts'
import { createMemoryRevocationList } from '../../src/revocation/index.ts'
import type { RecordedMetrics } from '../support/metrics.ts'
import { recordMetrics } from '../support/metrics.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner } from '../support/signer.ts'

const entry = (tokenId = 'token-1') => ({ issuer: ISSUER, tokenId, expiresAtMillis: Date.now() + 3_600_000 })
const within = { timeout: 20_000, interval: 10 }

let recorded: RecordedMetrics
let relay: TokenRelay | undefined
beforeEach(() => {
  recorded = recordMetrics()
})
afterEach(async () => {
  await relay?.shutdown()
  relay = undefined
  await recorded[Symbol.asyncDispose]()
})

const relayWith = (list: RevocationList): TokenRelay => {
  relay = createTokenRelay({ ...optionsFor([createSigner().jwk]), revocation: { list } })
  return relay
}
const counted = (kind: string, outcome: string): object => ({
  'auth.revocation.kind': kind,
  'auth.revocation.outcome': outcome,
})

it('what was taken back, and whether the others could be told', async () => {
  const memory = createMemoryRevocationList()
  const cannotTell: RevocationList = {
    available: true,
    isRevoked: (token) => memory.isRevoked(token),
    async revoke(what) {
      await memory.revoke(what)
      if ('subject' in what) throw new Error('nobody listens')
    },
  }
  const { revoke } = relayWith(cannotTell)
  await revoke(entry())
  await revoke(entry('token-2'))
  const { issuer, expiresAtMillis } = entry()
  await revoke({ issuer, expiresAtMillis, sessionId: 'session-1' })
  await expect(revoke({ issuer, expiresAtMillis, subject: 'alice' })).rejects.toThrow('nobody listens')
  await expect(revoke({ issuer, expiresAtMillis } as never)).rejects.toThrow(TypeError)
  expect(await recorded.values('auth.revocations')).toEqual([
    [counted('token', 'success'), 2],
    [counted('session', 'success'), 1],
    [counted('subject', 'failure'), 1],
  ])
})

describe.runIf(HAS_REDIS)('over Redis', () => {
  let redis: RedisServer
  const lists: RedisRevocationList[] = []
  beforeEach(async () => {
    redis = await startRedis()
  })
  afterEach(async () => {
    for (const list of lists.splice(0)) list.close()
    await redis[Symbol.asyncDispose]()
  })

  async function open(): Promise<RedisRevocationList> {
    const client = new Redis(redis.url, { lazyConnect: true, retryStrategy: () => 50 })
    const list = createRedisRevocationList({ client, heartbeatMillis: 50 })
    lists.push(list)
    await vi.waitFor(() => expect(list.available).toBe(true), within)
    return list
  }
  const lags = async () => (await recorded.counts('auth.revocation.lag'))[0]?.[1] ?? 0
  const age = async (): Promise<number> => Number((await recorded.values('auth.revocation.age'))[0]?.[1] ?? -1)

  it('how long ago Redis had stored what another process has taken back', async () => {
    const [mine, theirs] = [await open(), await open()]
    await mine.revoke(entry())
    await vi.waitFor(() => expect(theirs.isRevoked({ ...entry(), ...NOBODY })).toBe(true), within)
    await vi.waitFor(async () => expect(await lags()).toBe(1), within)
    // By Redis's own clock: not the hours since it was started, nor since 1970.
    expect((await recorded.sums('auth.revocation.lag'))[0]?.[1]).toBeLessThan(60)
    await mine.revoke(entry())
    await theirs.revoke(entry('token-2'))
    await vi.waitFor(async () => expect(await lags()).toBe(2), within)
  })

  it('what somebody else publishes is no measurement', async () => {
    const [mine, theirs] = [await open(), await open()]
    const stranger = new Redis(redis.url)
    await stranger.publish('{otel-token-relay}:revocations', `1 stranger inf ${Date.now() + 60_000}`)
    stranger.disconnect()
    await mine.revoke(entry())
    await vi.waitFor(() => expect(theirs.isRevoked({ ...entry(), ...NOBODY })).toBe(true), within)
    await vi.waitFor(async () => expect(await lags()).toBe(1), within)
    expect((await recorded.sums('auth.revocation.lag'))[0]?.[1]).toBeLessThan(60)
  })

  it('how old the list is, which grows while Redis is away', async () => {
    await open()
    await vi.waitFor(async () => expect(await age()).toBeGreaterThanOrEqual(0), within)
    await redis.kill()
    await vi.waitFor(async () => expect(await age()).toBeGreaterThan(1), within)
    await redis.restart()
    await vi.waitFor(async () => expect(await age()).toBeLessThan(1), within)
  })
})

const NOBODY = { sessionId: undefined, subject: undefined, issuedAtMillis: undefined }
