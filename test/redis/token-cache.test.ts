/** The cache of exchanged tokens, over a real Redis and both clients: who has to ask the issuer, and who waits. */

import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { RedisTokenCache, RedisTokenCacheOptions } from '../../src/redis/index.ts'
import { createRedisTokenCache } from '../../src/redis/index.ts'
import { waitFor } from '../support/patience.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { CLIENTS } from './clients.ts'

const soon = (): number => Date.now() + 60_000
const ASKING = 120_000

describe.runIf(HAS_REDIS).each(CLIENTS)('with %s', (_, clientFor) => {
  let redis: RedisServer
  let direct: Redis
  const caches: RedisTokenCache[] = []
  let key = ''
  beforeAll(async () => {
    redis = await startRedis()
    direct = new Redis(redis.url, { retryStrategy: () => 50 }).on('error', () => undefined)
  })
  afterEach(() => {
    for (const cache of caches.splice(0)) cache.close()
  })
  afterAll(async () => {
    direct.disconnect()
    await redis[Symbol.asyncDispose]()
  })

  const open = (options: Partial<RedisTokenCacheOptions> = {}): RedisTokenCache => {
    key = crypto.randomUUID()
    const settings = { timeoutMillis: 10_000, waitMillis: 60_000, ...options }
    const cache = createRedisTokenCache({ client: clientFor(redis.url), ...settings })
    caches.push(cache)
    return cache
  }

  it('one process asks, and all others wait for what it gets', async () => {
    const [first, ...others] = [open(), open(), open()] as const
    expect(await first.find(key, undefined, ASKING)).toBeUndefined()
    const found = others.map((cache) => cache.find(key, undefined, ASKING))
    await first.keep(key, 'sealed', soon())
    expect(await Promise.all(found)).toEqual(['sealed', 'sealed'])
    expect(await first.find(key, undefined, ASKING)).toBe('sealed')
  })

  it('a process that gets nothing lets the next one ask', async () => {
    const [first, second, third] = [open(), open(), open()] as const
    expect(await first.find(key, undefined, ASKING)).toBeUndefined()
    const others = [second.find(key, undefined, ASKING), third.find(key, undefined, ASKING)]
    await first.release(key)
    expect(await Promise.race(others)).toBeUndefined()
    await Promise.all([second, third].map((cache) => cache.keep(key, 'sealed', soon())))
    expect((await Promise.all(others)).toSorted()).toEqual(['sealed', undefined])
  })

  it('a process that has died is waited for no longer than it would have asked', async () => {
    const [first, second] = [open(), open()] as const
    expect(await first.find(key, undefined, 200)).toBeUndefined()
    first.close()
    expect(await second.find(key, undefined, ASKING)).toBeUndefined()
  })

  it('no process waits longer than waitMillis, and the turn of another one is left to it', async () => {
    const [first, impatient] = [open(), open({ waitMillis: 50 })] as const
    expect(await first.find(key, undefined, ASKING)).toBeUndefined()
    expect(await impatient.find(key, undefined, ASKING)).toBeUndefined()
    await impatient.release(key)
    expect(await direct.exists(`otel-token-relay:exchanged:{${key}}:asking`)).toBe(1)
  })

  it('what was refused is not given again, serves others, and is replaced', async () => {
    const [first, second] = [open(), open()] as const
    await first.keep(key, 'old', soon())
    expect(await first.find(key, 'old', ASKING)).toBeUndefined()
    expect(await second.find(key, undefined, ASKING)).toBe('old')
    const renewed = second.find(key, 'old', ASKING)
    await first.keep(key, 'new', soon())
    expect(await renewed).toBe('new')
  })

  it('what is kept has an end, and another prefix is another fleet', async () => {
    const cache = open()
    await cache.keep(key, 'sealed', soon())
    const [name = ''] = await direct.keys(`*${key}*`)
    expect(name).toBe(`otel-token-relay:exchanged:{${key}}`)
    const life = await direct.pttl(name)
    expect(life).toBeGreaterThan(30_000)
    expect(life).toBeLessThanOrEqual(60_000)
    const mine = key
    const another = open({ prefix: 'another' })
    expect(await another.find(mine, undefined, ASKING)).toBeUndefined()
  })

  it('what is longer than any token is not there [H6]', async () => {
    const cache = open()
    await direct.set(`otel-token-relay:exchanged:{${key}}`, 'x'.repeat(300_000))
    expect(await cache.find(key, undefined, ASKING)).toBeUndefined()
    await cache.keep(key, 'sealed', soon())
    expect(await cache.find(key, undefined, ASKING)).toBe('sealed')
  })

  it('what Redis does not answer in time is an error, and so is everything while it is down [C13]', async () => {
    const cache = open({ timeoutMillis: 50 })
    const find = () => cache.find(key, undefined, ASKING)
    await waitFor(find)
    redis.freeze()
    await expect(find()).rejects.toThrow('Redis does not answer')
    await expect(cache.keep(key, 'sealed', soon())).rejects.toThrow('Redis does not answer')
    redis.thaw()
    await redis.kill()
    await waitFor(() => expect(find()).rejects.toThrow('Redis does not answer'))
    await redis.restart()
    await waitFor(find)
  })
})

describe('options that are not valid', () => {
  const client = new Redis({ lazyConnect: true })
  it.each<readonly [string, Partial<Record<keyof RedisTokenCacheOptions, unknown>>]>([
    ['client', { client: {} }],
    ['prefix', { client, prefix: '' }],
    ['timeoutMillis', { client, timeoutMillis: 9 }],
    ['waitMillis', { client, waitMillis: -1 }],
    ['waitMillis', { client, waitMillis: 60_001 }],
  ])('%s', (name, options) => {
    expect(() => createRedisTokenCache(options as RedisTokenCacheOptions)).toThrow(new RegExp(`^${name}: expected`))
  })
})
