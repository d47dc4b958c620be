/** What is measured of revocations: what was revoked, how soon the others hear of it, and how old their knowledge is. */

import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RevocationList, TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import type { RedisRevocationList } from '../../src/redis/index.ts'
import { createRedisRevocationList } from '../../src/redis/index.ts'
import { createMemoryRevocationList } from '../../src/revocation/index.ts'
import type { RecordedMetrics } from '../support/metrics.ts'
import { recordMetrics } from '../support/metrics.ts'
import { waitFor } from '../support/patience.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner } from '../support/signer.ts'

const entry = (tokenId = 'token-1') => ({ issuer: ISSUER, tokenId, expiresAtMillis: Date.now() + 3_600_000 })

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

it('counts what was revoked, and whether the others learned of it', async () => {
  const memory = createMemoryRevocationList()
  const cannotTell: RevocationList = {
    available: true,
    isRevoked: (token) => memory.isRevoked(token),
    async revoke(what) {
      await memory.revoke(what)
      if ('subject' in what) throw new Error('not stored')
    },
  }
  const { revoke } = relayWith(cannotTell)
  await revoke(entry())
  await revoke(entry('token-2'))
  const { issuer, expiresAtMillis } = entry()
  await revoke({ issuer, expiresAtMillis, sessionId: 'session-1' })
  await expect(revoke({ issuer, expiresAtMillis, subject: 'alice' })).rejects.toThrow('not stored')
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
    await waitFor(() => expect(list.available).toBe(true))
    return list
  }
  const lags = async () => (await recorded.counts('auth.revocation.lag'))[0]?.[1] ?? 0
  const age = async (): Promise<number> => Number((await recorded.values('auth.revocation.age'))[0]?.[1] ?? -1)

  it('measures how long ago Redis stored what another process took back', async () => {
    const [mine, theirs] = [await open(), await open()]
    await mine.revoke(entry())
    await waitFor(() => expect(theirs.isRevoked({ ...entry(), ...NO_SUBJECT })).toBe(true))
    await waitFor(async () => expect(await lags()).toBe(1))
    // By Redis's own clock: not the hours since it was started, nor since 1970.
    expect((await recorded.sums('auth.revocation.lag'))[0]?.[1]).toBeLessThan(60)
    await mine.revoke(entry())
    await theirs.revoke(entry('token-2'))
    await waitFor(async () => expect(await lags()).toBe(2))
  })

  it('ignores what a stranger publishes on the channel', async () => {
    const [mine, theirs] = [await open(), await open()]
    const stranger = new Redis(redis.url)
    await stranger.publish('{otel-token-relay}:revocations', `1 stranger inf ${Date.now() + 60_000}`)
    stranger.disconnect()
    await mine.revoke(entry())
    await waitFor(() => expect(theirs.isRevoked({ ...entry(), ...NO_SUBJECT })).toBe(true))
    await waitFor(async () => expect(await lags()).toBe(1))
    expect((await recorded.sums('auth.revocation.lag'))[0]?.[1]).toBeLessThan(60)
  })

  it('measures the age of the list, which grows while Redis is away', async () => {
    await open()
    await waitFor(async () => expect(await age()).toBeGreaterThanOrEqual(0))
    await redis.kill()
    await waitFor(async () => expect(await age()).toBeGreaterThan(1))
    await redis.restart()
    await waitFor(async () => expect(await age()).toBeLessThan(1))
  })
})

const NO_SUBJECT = { sessionId: undefined, subject: undefined, issuedAtMillis: undefined }
