/** The replay window of a fleet, over a real Redis and both clients. */

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { RedisReplayWindow, RedisReplayWindowOptions } from '../../src/redis/index.ts'
import { createRedisReplayWindow } from '../../src/redis/index.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { opened, SECRET, sealed, sealingWith } from '../support/sealing.ts'
import { CLIENTS } from './clients.ts'
import { startWay } from './way.ts'

const within = { timeout: 30_000, interval: 10 }
const soon = (): number => Date.now() + 60_000

describe.runIf(HAS_REDIS).each(CLIENTS)('with %s', (_, clientFor) => {
  let redis: RedisServer
  let direct: Redis
  const windows: RedisReplayWindow[] = []
  beforeAll(async () => {
    redis = await startRedis()
    direct = new Redis(redis.url, { retryStrategy: () => 50 }).on('error', () => undefined)
  })
  afterEach(() => {
    for (const window of windows.splice(0)) window.close()
  })
  afterAll(async () => {
    direct.disconnect()
    await redis[Symbol.asyncDispose]()
  })

  const open = (options: Partial<RedisReplayWindowOptions> = {}): RedisReplayWindow => {
    const window = createRedisReplayWindow({ client: clientFor(redis.url), timeoutMillis: 10_000, ...options })
    windows.push(window)
    return window
  }

  it('H2 counts the openings of a message by all, and those of others apart', async () => {
    const [first, second] = [open(), open()]
    const id = crypto.randomUUID()
    const counts = await Promise.all(
      Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? first : second).count(id, soon())),
    )
    expect(counts.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
    expect(await second.count(crypto.randomUUID(), soon())).toBe(1)
  })

  it('H2 another prefix is another fleet', async () => {
    const id = crypto.randomUUID()
    expect(await open().count(id, soon())).toBe(1)
    expect(await open({ prefix: 'another' }).count(id, soon())).toBe(1)
    expect(await open().count(id, soon())).toBe(2)
  })

  it('H2 a sealed message opens as often as maxOpenings says, whoever opens it', async () => {
    for (const maxOpenings of [1, 3]) {
      const [first, second] = [open(), open()].map((replayWindow) =>
        sealingWith([SECRET.key], { maxOpenings, replayWindow }),
      )
      if (first === undefined || second === undefined) throw new Error('two were made')
      const text = sealed(first)
      const outcomes = await Promise.all(Array.from({ length: 20 }, (_, i) => opened(i % 2 ? first : second, text)))
      expect(outcomes.filter((outcome) => outcome !== 'ERR_TOKEN_SEAL')).toHaveLength(maxOpenings)
    }
  })

  it('remembers a message until after its end, and tells Redis nothing of it but a hash', async () => {
    await direct.flushall()
    const window = open()
    await window.count('a-key 4711', soon())
    await window.count('a-key 4712', 8_640_000_000_000_000)
    await window.count('a-key 4713', Date.now() - 1_000)
    const keys = await direct.keys('*')
    expect(keys).toHaveLength(3)
    expect(keys.join()).not.toContain('471')
    const lives = await Promise.all(keys.map((key) => direct.pttl(key)))
    const [over, usual, longest] = lives.toSorted((a, b) => a - b)
    expect(over).toBeGreaterThan(200_000)
    expect(usual).toBeGreaterThan(300_000)
    expect(usual).toBeLessThanOrEqual(360_000)
    expect(longest).toBeLessThanOrEqual(315_360_000_000)
  })

  it('a message that is replayed ten thousand times takes no more room than one of a thousand', async () => {
    const window = open()
    await direct.flushall()
    for (let i = 0; i < 10; i += 1) {
      await Promise.all(Array.from({ length: 1_000 }, () => window.count('a-key 4711', soon())))
    }
    const [key = ''] = await direct.keys('*')
    expect(await direct.zcard(key)).toBe(1_000)
    expect(await window.count('a-key 4711', soon())).toBeGreaterThan(1_000)
  })

  it('C13 H2 while Redis does not answer nothing is opened, and nothing used up: afterwards it opens once', async () => {
    const [slow, other] = [open({ timeoutMillis: 50 }), open()]
    const id = crypto.randomUUID()
    await vi.waitFor(() => slow.count('warm', soon()), within)
    await other.count('warm', soon())
    redis.freeze()
    const lost = Array.from({ length: 5 }, () => slow.count(id, soon()))
    expect((await Promise.allSettled(lost)).map(({ status }) => status)).toEqual(lost.map(() => 'rejected'))
    redis.thaw()
    // All that was asked meanwhile arrives now, and counts for nothing.
    await vi.waitFor(() => slow.count('warm', soon()), within)
    expect(await other.count(id, soon())).toBe(1)
    expect(await vi.waitFor(() => slow.count(id, soon()), within)).toBeGreaterThan(1)
  })

  it('C13 an opening whose answer was lost with the connection counts once, or not at all', async () => {
    const ends: Record<'near' | 'far', Socket[]> = { near: [], far: [] }
    await using way = await startWay(redis.port, (socket, end) => ends[end].push(socket))
    const window = open({ client: clientFor(`redis://127.0.0.1:${way.port}`) })
    await window.count('warm', soon())
    await direct.flushall()
    for (const answers of ends.far) answers.unpipe()
    const counted = Promise.resolve(window.count('a-key 1', soon())).catch(() => 0)
    const [key = ''] = await vi.waitFor(async () => {
      const keys = await direct.keys('*')
      expect(keys).toHaveLength(1)
      return keys
    }, within)
    // Clients either send it again, or say that it has failed.
    for (const socket of Object.values(ends).flat()) socket.destroy()
    const count = await counted
    expect([0, 1]).toContain(count)
    await vi.waitFor(async () => {
      const [, ...scores] = await direct.zrange(key, 0, '-1', 'WITHSCORES')
      expect(scores).toEqual([String(count)])
    }, within)
  })

  it('C13 an opening that arrives after it was taken back counts for nothing', async () => {
    const questions: Socket[] = []
    await using way = await startWay(redis.port, (socket, end) => end === 'near' && questions.push(socket))
    const window = open({ client: clientFor(`redis://127.0.0.1:${way.port}`), timeoutMillis: 100 })
    await vi.waitFor(() => window.count('warm', soon()), within)
    await direct.flushall()
    // What is sent on this connection stays on its way, with what takes it back.
    const [slow] = questions
    const bytes: Buffer[] = []
    slow
      ?.unpipe()
      .on('data', (chunk: Buffer) => bytes.push(chunk))
      .resume()
    await expect(window.count('a-key 1', soon())).rejects.toThrow('Redis does not answer')
    await vi.waitFor(() => expect(String(Buffer.concat(bytes))).toContain('for i = 2'), within)
    // It is taken back on the next connection, before what was sent on this one arrives.
    slow?.destroy()
    const key = await vi.waitFor(async () => (await onlyKey()) ?? Promise.reject(new Error('not taken back')), within)
    const late = connect(redis.port, '127.0.0.1')
    late.end(Buffer.concat(bytes)).resume()
    await once(late, 'close')
    expect(await direct.zrange(key, 0, '-1', 'WITHSCORES')).toEqual([expect.any(String), '0'])
    expect(await open().count('a-key 1', soon())).toBe(1)
  })

  const onlyKey = async () => (await direct.keys('*'))[0]

  it('C13 what is taken back before it arrives does not count when it does', async () => {
    const window = open({ timeoutMillis: 50 })
    await vi.waitFor(() => window.count('warm', soon()), within)
    await direct.flushall()
    redis.freeze()
    await expect(window.count('a-key 1', soon())).rejects.toThrow('Redis does not answer')
    redis.thaw()
    await vi.waitFor(async () => {
      const [key = ''] = await direct.keys('*')
      expect(await direct.zrange(key, 0, '-1', 'WITHSCORES')).toEqual([expect.any(String), '0'])
    }, within)
  })

  it('C13 without Redis a message is undecided, and once it is back it opens', async () => {
    const sealing = sealingWith([SECRET.key], { replayWindow: open() })
    const [before, during] = [sealed(sealing), sealed(sealing)]
    expect(await opened(sealing, before)).not.toMatch(/^ERR/)
    await redis.kill()
    await vi.waitFor(async () => expect(await opened(sealing, during)).toBe('ERR_TOKEN_UNDECIDED'), within)
    await redis.restart()
    await vi.waitFor(async () => expect(await opened(sealing, during)).not.toMatch(/^ERR/), within)
    expect(await opened(sealing, during)).toBe('ERR_TOKEN_SEAL')
  })

  it('C13 whoever asks before the first connection is there waits for it', async () => {
    expect(await open().count(crypto.randomUUID(), soon())).toBe(1)
  })

  it('H9 what is in Redis by other hands opens nothing', async () => {
    const sealing = sealingWith([SECRET.key], { replayWindow: open() })
    await direct.flushall()
    const text = sealed(sealing)
    expect(await opened(sealing, text)).not.toMatch(/^ERR/)
    const [key = ''] = await direct.keys('*')
    await direct.set(key, 'a text')
    expect(await opened(sealing, text)).toBe('ERR_TOKEN_UNDECIDED')
  })
})

describe('options that are not valid', () => {
  const client = new Redis({ lazyConnect: true })
  it.each<readonly [string, Partial<Record<keyof RedisReplayWindowOptions, unknown>>]>([
    ['client', { client: {} }],
    ['client', { client: undefined }],
    ['prefix', { client, prefix: '' }],
    ['timeoutMillis', { client, timeoutMillis: 9 }],
    ['timeoutMillis', { client, timeoutMillis: 60_001 }],
    ['timeoutMillis', { client, timeoutMillis: 50.5 }],
  ])('%s', (name, options) => {
    expect(() => createRedisReplayWindow(options as RedisReplayWindowOptions)).toThrow(new RegExp(`^${name}: expected`))
  })
})
