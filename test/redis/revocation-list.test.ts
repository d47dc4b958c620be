/** The revocation list of a fleet, over a real Redis and both clients. */

import type { Socket } from 'node:net'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { RevocationFacts } from '../../src/index.ts'
import type { RedisRevocationList } from '../../src/redis/index.ts'
import { createRedisRevocationList } from '../../src/redis/index.ts'
import { waitFor } from '../support/patience.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { ISSUER } from '../support/relay.ts'
import { CLIENTS } from './clients.ts'
import { startWay } from './way.ts'

const HOUR = 3_600_000
const facts = (changes: Partial<RevocationFacts> = {}): RevocationFacts => ({
  issuer: ISSUER,
  tokenId: 'token-1',
  sessionId: 'session-1',
  subject: 'alice',
  issuedAtMillis: Date.now() - 1_000,
  ...changes,
})
const entry = (tokenId = 'token-1') => ({ issuer: ISSUER, tokenId, expiresAtMillis: Date.now() + HOUR })

describe.runIf(HAS_REDIS).each(CLIENTS)('with %s', (_, clientFor) => {
  let redis: RedisServer
  const lists: RedisRevocationList[] = []
  let prefix = 0

  beforeAll(async () => {
    redis = await startRedis()
  })
  afterEach(() => {
    for (const list of lists.splice(0)) list.close()
    prefix += 1
  })
  afterAll(() => redis[Symbol.asyncDispose]())

  const open = (): RedisRevocationList => {
    const list = createRedisRevocationList({ client: clientFor(redis.url), prefix: `test-${prefix}` })
    lists.push(list)
    return list
  }
  const available = (list: RedisRevocationList) => waitFor(() => expect(list.available).toBe(true))
  const unavailable = (list: RedisRevocationList) => waitFor(() => expect(list.available).toBe(false))
  const revoked = (list: RedisRevocationList, tokenId = 'token-1') =>
    waitFor(() => expect(list.isRevoked(facts({ tokenId }))).toBe(true))

  it('is not available before it has read everything, and then knows all', async () => {
    const first = open()
    expect(first.available).toBe(false)
    await available(first)
    for (let i = 0; i < 1_200; i += 100) {
      // A machine that is busy may be too slow for an answer within half a second.
      const all = Array.from({ length: 100 }, (_, j) => waitFor(() => first.revoke(entry(`many-${i + j}`))))
      await Promise.all(all)
    }
    const second = open()
    await available(second)
    expect(second.isRevoked(facts({ tokenId: 'many-0' }))).toBe(true)
    expect(second.isRevoked(facts({ tokenId: 'many-1199' }))).toBe(true)
    expect(second.isRevoked(facts({ tokenId: 'other' }))).toBe(false)
  })

  it('reaches all others [C5]', async () => {
    const [first, second, third] = [open(), open(), open()]
    await Promise.all([first, second, third].map(available))
    await first.revoke(entry())
    expect(first.isRevoked(facts())).toBe(true)
    await Promise.all([second, third].map((list) => revoked(list)))
    await third.revoke({ issuer: ISSUER, sessionId: 'session-2', expiresAtMillis: Date.now() + HOUR })
    await waitFor(() => expect(first.isRevoked(facts({ tokenId: 'x', sessionId: 'session-2' }))).toBe(true))
    await second.revoke({ issuer: ISSUER, subject: 'bob', expiresAtMillis: Date.now() + HOUR })
    await waitFor(() => expect(first.isRevoked(facts({ tokenId: 'x', subject: 'bob' }))).toBe(true))
    const later = facts({ tokenId: 'x', subject: 'bob', issuedAtMillis: Date.now() + 2_000 })
    expect(first.isRevoked(later)).toBe(false)
  })

  it('learns after a lost connection what was revoked meanwhile, before it is trusted again [C12]', async () => {
    const [first, second] = [open(), open()]
    await Promise.all([first, second].map(available))
    await second.revoke(entry('before'))
    await revoked(first, 'before')
    await redis.kill()
    await Promise.all([first, second].map(unavailable))
    await expect(second.revoke(entry('meanwhile'))).rejects.toMatchObject({ code: 'ERR_RELAY_REVOCATION_STORE' })
    expect(second.isRevoked(facts({ tokenId: 'meanwhile' }))).toBe(true)
    // Redis comes back empty: those who remember tell it again, and it tells those who come later.
    await redis.restart()
    await Promise.all([first, second].map(available))
    await revoked(first, 'meanwhile')
    const third = open()
    await available(third)
    await revoked(third, 'before')
    await revoked(third, 'meanwhile')
  })

  it('a Redis that refuses to store is still believed, read once, and given the entry when it accepts it [C13]', async () => {
    const [first, second] = [open(), open()]
    await Promise.all([first, second].map(available))
    const raw = new Redis(redis.url)
    const calls = async (name: string) =>
      Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(await raw.info('commandstats'))?.[1] ?? 0)
    await raw.call('ACL', 'SETUSER', 'default', '-zadd')
    try {
      await expect(first.revoke(entry('refused'))).rejects.toMatchObject({ code: 'ERR_RELAY_REVOCATION_STORE' })
      await raw.config('RESETSTAT')
      await waitFor(async () => expect(await calls('eval')).toBeGreaterThan(20))
      expect(await calls('zscan')).toBeLessThanOrEqual(2)
      await Promise.all([first, second].map(available))
      expect([first, second].map((list) => list.isRevoked(facts({ tokenId: 'refused' })))).toEqual([true, false])
    } finally {
      await raw.call('ACL', 'SETUSER', 'default', '+@all')
    }
    await revoked(second, 'refused')
    raw.disconnect()
  })

  it('notices a Redis that keeps the connection and does not answer [C13]', async () => {
    const list = open()
    await available(list)
    redis.freeze()
    try {
      await unavailable(list)
      await expect(list.revoke(entry())).rejects.toMatchObject({ code: 'ERR_RELAY_REVOCATION_STORE' })
    } finally {
      redis.thaw()
    }
    await available(list)
  })

  it('gives up a connection whose other end has vanished without a word [C13]', async () => {
    const held: Socket[] = []
    await using way = await startWay(redis.port, (socket) => held.push(socket))
    const list = createRedisRevocationList({ client: clientFor(`redis://127.0.0.1:${way.port}`), prefix: 'vanished' })
    lists.push(list)
    await available(list)
    for (const socket of held.splice(0)) socket.pause().unpipe()
    await unavailable(list)
    await available(list)
  })

  it('a process that was stopped for a second does not trust what it knew before [C5]', async () => {
    const list = open()
    await available(list)
    // As under SIGSTOP or a long computation: no message, no timer and no answer is processed.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_100)
    expect(list.available).toBe(false)
    await available(list)
  })

  it.each([
    ['when the next one comes', true],
    ['by the heartbeat', false],
  ])('a message that was lost is noticed %s', async (_how, another) => {
    const [first, second] = [open(), open()]
    await Promise.all([first, second].map(available))
    await first.revoke(entry('known'))
    const elsewhere = createRedisRevocationList({ client: clientFor(redis.url), prefix: `elsewhere-${prefix}` })
    lists.push(elsewhere)
    await available(elsewhere)
    await elsewhere.revoke(entry('lost'))
    // What a revocation leaves in Redis, without the message.
    const raw = new Redis(redis.url)
    const [member = '', score = ''] = (
      await raw.zrange(`{elsewhere-${prefix}}:revocations`, '0', '0', 'WITHSCORES')
    ).map(String)
    await raw.zadd(`{test-${prefix}}:revocations`, score, member)
    await raw.hincrby(`{test-${prefix}}:revocations:version`, 'count', 1)
    raw.disconnect()
    if (another) await first.revoke(entry('later'))
    await revoked(second, 'lost')
    await available(second)
  })

  it('entries die with the tokens they block, in Redis too', async () => {
    const list = open()
    await available(list)
    const raw = new Redis(redis.url)
    const key = `{test-${prefix}}:revocations`
    // The margin for clock tolerance is five minutes, by Redis's clock and in whole seconds.
    await list.revoke({ issuer: ISSUER, tokenId: 'old', expiresAtMillis: Date.now() - 300_000 + 100 })
    await list.revoke({ issuer: ISSUER, tokenId: 'ever', expiresAtMillis: Number.POSITIVE_INFINITY })
    // That one, and the mark by which a loss is noticed.
    await waitFor(async () => expect(await raw.zcard(key)).toBe(2))
    expect(list.isRevoked(facts({ tokenId: 'old' }))).toBe(false)
    expect(list.isRevoked(facts({ tokenId: 'ever' }))).toBe(true)
    raw.disconnect()
  })

  it('a process whose clock is wrong does not forget for the others [B6]', async () => {
    const list = open()
    await available(list)
    await list.revoke(entry('known'))
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3 * HOUR })
    try {
      await list.revoke(entry('later'))
    } finally {
      vi.useRealTimers()
    }
    const other = open()
    await available(other)
    expect(other.isRevoked(facts({ tokenId: 'known' }))).toBe(true)
    expect(other.isRevoked(facts({ tokenId: 'later' }))).toBe(true)
  })

  it.each<readonly [string, (raw: Redis) => Promise<unknown>]>([
    ['everything', (raw) => raw.flushall()],
    ['the entries', (raw) => raw.del(`{test-${prefix}}:revocations`)],
    ['the version', (raw) => raw.del(`{test-${prefix}}:revocations:version`)],
  ])('what Redis loses while it is connected, %s, is stored again [C12]', async (_what, lose) => {
    const [first, second] = [open(), open()]
    await Promise.all([first, second].map(available))
    await first.revoke(entry('known'))
    await revoked(second, 'known')
    const raw = new Redis(redis.url)
    await lose(raw)
    await waitFor(async () => expect(await raw.zcard(`{test-${prefix}}:revocations`)).toBe(2))
    const third = open()
    await available(third)
    expect(third.isRevoked(facts({ tokenId: 'known' }))).toBe(true)
    raw.disconnect()
  })

  it('a replica that takes over without the last entry is given it, though its version has caught up [C12]', async () => {
    const list = open()
    await available(list)
    await list.revoke(entry('lost'))
    const raw = new Redis(redis.url)
    await raw.zremrangebyscore(`{test-${prefix}}:revocations`, '-inf', String(Date.now() + 2 * HOUR))
    await raw.call('CLIENT', 'KILL', 'TYPE', 'normal')
    await waitFor(async () => expect(await raw.zcard(`{test-${prefix}}:revocations`)).toBe(2))
    const later = open()
    await available(later)
    expect(later.isRevoked(facts({ tokenId: 'lost' }))).toBe(true)
    raw.disconnect()
  })

  it('Redis learns no token, session or subject', async () => {
    const list = open()
    await available(list)
    const raw = new Redis(redis.url)
    const seen: string[] = []
    const monitor = await raw.monitor()
    monitor.on('monitor', (_time: string, args: string[]) => seen.push(args.join(' ')))
    await list.revoke({ issuer: ISSUER, subject: 'marked-subject', expiresAtMillis: Date.now() + HOUR })
    await waitFor(() => expect(seen.join('\n')).toContain('ZREMRANGEBYSCORE'))
    expect(seen.join('\n')).not.toMatch(/marked-subject|id\.example/)
    monitor.disconnect()
    raw.disconnect()
  })
})

describe('options that are not valid', () => {
  it.each([
    [{}, 'client'],
    [{ client: {} }, 'client'],
    [{ client: new Redis({ lazyConnect: true }), prefix: '' }, 'prefix'],
    [{ client: new Redis({ lazyConnect: true }), heartbeatMillis: 5 }, 'heartbeatMillis'],
  ])('case %#', (options, name) => {
    expect(() => createRedisRevocationList(options as never)).toThrow(new RegExp(`^${name}: `))
  })
})
