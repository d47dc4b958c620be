/** A real cluster of three masters, with the client that is understood there. */

import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRedisReplayWindow, createRedisRevocationList, createRedisTokenCache } from '../../src/redis/index.ts'
import { waitFor } from '../support/patience.ts'
import type { RedisCluster } from '../support/redis.ts'
import { HAS_REDIS, startRedisCluster } from '../support/redis.ts'
import { ISSUER } from '../support/relay.ts'

const soon = (): number => Date.now() + 60_000

describe.runIf(HAS_REDIS)('in a cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startRedisCluster()
  })
  afterAll(() => cluster[Symbol.asyncDispose]())

  const client = (): Cluster =>
    new Cluster(
      cluster.ports.map((port) => ({ host: '127.0.0.1', port })),
      { lazyConnect: true },
    )

  it('openings are counted together, wherever their keys are', async () => {
    const windows = [client(), client()].map((each) => createRedisReplayWindow({ client: each, timeoutMillis: 10_000 }))
    const ids = Array.from({ length: 30 }, () => crypto.randomUUID())
    for (const id of ids) {
      const counts = await Promise.all(windows.map((window) => window.count(id, soon())))
      expect(counts.toSorted()).toEqual([1, 2])
    }
    for (const window of windows) window.close()
    expect(await cluster.keysOf('*:opened:*')).toBe(30)
    // On more than one node: otherwise nothing is said about slots.
    expect(await cluster.nodesWith()).toBeGreaterThan(1)
  })

  it('an exchanged token and who asks for it are in one slot, wherever that is', async () => {
    const [first, second] = [client(), client()].map((each) =>
      createRedisTokenCache({ client: each, timeoutMillis: 10_000, waitMillis: 10_000 }),
    )
    if (first === undefined || second === undefined) throw new Error('two were made')
    for (let i = 0; i < 30; i += 1) {
      const key = crypto.randomUUID()
      expect(await first.find(key, undefined, 120_000)).toBeUndefined()
      const found = second.find(key, undefined, 120_000)
      await first.keep(key, `sealed-${i}`, soon())
      expect(await found).toBe(`sealed-${i}`)
    }
    first.close()
    second.close()
  })

  it('what is revoked through one node is refused by processes that listen to another', async () => {
    for (const prefix of ['fleet-a', 'fleet-b', 'fleet-c']) {
      const [first, second] = [client(), client()].map((each) => createRedisRevocationList({ client: each, prefix }))
      if (first === undefined || second === undefined) throw new Error('two were made')
      await waitFor(() => expect([first.available, second.available]).toEqual([true, true]))
      await first.revoke({ issuer: ISSUER, tokenId: 'token-1', expiresAtMillis: soon() })
      const facts = { issuer: ISSUER, tokenId: 'token-1', sessionId: undefined, subject: undefined, issuedAtMillis: 1 }
      await waitFor(() => expect(second.isRevoked(facts)).toBe(true))
      first.close()
      second.close()
    }
  })
})
