/** The replay window of a fleet, over a real Redis and both clients. */

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { context, createContextKey, diag } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { Redis } from 'ioredis'
import { createClientPool, createCluster, createSentinel } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { RedisReplayWindow, RedisReplayWindowOptions } from '../../src/redis/index.ts'
import { createRedisReplayWindow } from '../../src/redis/index.ts'
import { isTracingSuppressed } from '../../src/telemetry/suppression.ts'
import { waitFor } from '../support/patience.ts'
import type { RedisServer } from '../support/redis.ts'
import { HAS_REDIS, startRedis } from '../support/redis.ts'
import { opened, SECRET, sealed, sealingWith } from '../support/sealing.ts'
import { CLIENTS } from './clients.ts'
import { startWay } from './way.ts'

const soon = (): number => Date.now() + 60_000
const allowAll = (direct: Redis): Promise<unknown> => direct.call('ACL', 'SETUSER', 'default', '+@all')

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

  it('counts the openings of a message by all, and those of others apart [H2]', async () => {
    const [first, second] = [open(), open()]
    const id = crypto.randomUUID()
    const counts = await Promise.all(
      Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? first : second).count(id, soon())),
    )
    expect(counts.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
    expect(await second.count(crypto.randomUUID(), soon())).toBe(1)
  })

  it('another prefix is another fleet [H2]', async () => {
    const id = crypto.randomUUID()
    expect(await open().count(id, soon())).toBe(1)
    expect(await open({ prefix: 'another' }).count(id, soon())).toBe(1)
    expect(await open().count(id, soon())).toBe(2)
  })

  it('a sealed message opens as often as maxOpenings says, in all consumers together [H2]', async () => {
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

  it('while Redis does not answer nothing is opened, and nothing used up: afterwards it opens once [C13, H2]', async () => {
    const [slow, other] = [open({ timeoutMillis: 50 }), open()]
    const id = crypto.randomUUID()
    await waitFor(() => slow.count('warm', soon()))
    await other.count('warm', soon())
    redis.freeze()
    const lost = Array.from({ length: 5 }, () => slow.count(id, soon()))
    expect((await Promise.allSettled(lost)).map(({ status }) => status)).toEqual(lost.map(() => 'rejected'))
    redis.thaw()
    // All that was asked meanwhile arrives now, and counts for nothing.
    await waitFor(() => slow.count('warm', soon()))
    expect(await other.count(id, soon())).toBe(1)
    expect(await waitFor(() => slow.count(id, soon()))).toBeGreaterThan(1)
  })

  it('an opening whose answer was lost with the connection counts once, or not at all [C13]', async () => {
    const ends: Record<'near' | 'far', Socket[]> = { near: [], far: [] }
    await using way = await startWay(redis.port, (socket, end) => ends[end].push(socket))
    const window = open({ client: clientFor(`redis://127.0.0.1:${way.port}`) })
    await window.count('warm', soon())
    await direct.flushall()
    for (const answers of ends.far) answers.unpipe()
    const counted = Promise.resolve(window.count('a-key 1', soon())).catch(() => 0)
    const [key = ''] = await waitFor(async () => {
      const keys = await direct.keys('*')
      expect(keys).toHaveLength(1)
      return keys
    })
    // Clients either send it again, or say that it has failed.
    for (const socket of Object.values(ends).flat()) socket.destroy()
    const count = await counted
    expect([0, 1]).toContain(count)
    await waitFor(async () => {
      const [, ...scores] = await direct.zrange(key, 0, '-1', 'WITHSCORES')
      expect(scores).toEqual([String(count)])
    })
  })

  it('an opening that arrives after it was withdrawn counts for nothing [C13]', async () => {
    const questions: Socket[] = []
    await using way = await startWay(redis.port, (socket, end) => end === 'near' && questions.push(socket))
    const window = open({ client: clientFor(`redis://127.0.0.1:${way.port}`), timeoutMillis: 100 })
    await waitFor(() => window.count('warm', soon()))
    await direct.flushall()
    // What is sent on this connection stays on its way, with what withdraws it.
    const [slow] = questions
    const bytes: Buffer[] = []
    slow
      ?.unpipe()
      .on('data', (chunk: Buffer) => bytes.push(chunk))
      .resume()
    await expect(window.count('a-key 1', soon())).rejects.toThrow('Redis does not answer')
    await waitFor(() => expect(String(Buffer.concat(bytes))).toContain('for i = 2'))
    // It is withdrawn on the next connection, before what was sent on this one arrives.
    slow?.destroy()
    const key = await waitFor(async () => (await onlyKey()) ?? Promise.reject(new Error('not withdrawn')))
    const late = connect(redis.port, '127.0.0.1')
    late.end(Buffer.concat(bytes)).resume()
    await once(late, 'close')
    expect(await direct.zrange(key, 0, '-1', 'WITHSCORES')).toEqual([expect.any(String), '0'])
    expect(await open().count('a-key 1', soon())).toBe(1)
  })

  const onlyKey = async () => (await direct.keys('*'))[0]

  it('what is withdrawn before it arrives does not count when it does [C13]', async () => {
    const window = open({ timeoutMillis: 50 })
    await waitFor(() => window.count('warm', soon()))
    await direct.flushall()
    redis.freeze()
    await expect(window.count('a-key 1', soon())).rejects.toThrow('Redis does not answer')
    redis.thaw()
    await waitFor(async () => {
      const [key = ''] = await direct.keys('*')
      expect(await direct.zrange(key, 0, '-1', 'WITHSCORES')).toEqual([expect.any(String), '0'])
    })
  })

  it('an opening that is asked about again and again while Redis does not answer is one opening [C13]', async () => {
    const window = open({ timeoutMillis: 10 })
    await waitFor(() => window.count('warm', soon()))
    await direct.flushall()
    redis.freeze()
    for (let delivery = 0; delivery < 50; delivery += 1) {
      await expect(window.count('a-key 1', soon())).rejects.toThrow('Redis does not answer')
    }
    redis.thaw()
    await waitFor(async () => expect(await direct.zcard((await onlyKey()) ?? '')).toBe(1))
    expect(await waitFor(() => window.count('a-key 1', soon()))).toBe(1)
  })

  it.each<readonly [string, (direct: Redis) => Promise<unknown>, (direct: Redis) => Promise<unknown>]>([
    ['OOM', (raw) => raw.config('SET', 'maxmemory', '1'), (raw) => raw.config('SET', 'maxmemory', '0')],
    ['READONLY', (raw) => raw.replicaof('127.0.0.1', 1), (raw) => raw.replicaof('NO', 'ONE')],
    [
      'NOREPLICAS',
      (raw) => raw.config('SET', 'min-replicas-to-write', '1'),
      (raw) => raw.config('SET', 'min-replicas-to-write', '0'),
    ],
    ['NOPERM', (raw) => raw.call('ACL', 'SETUSER', 'default', '-zadd'), allowAll],
    ['NOPERM, when it would have counted', (raw) => raw.call('ACL', 'SETUSER', 'default', '-pexpire'), allowAll],
  ])('a Redis that refuses to write (%s) is asked once per delivery, and counts nothing [C13]', async (_, refuse, allow) => {
    const said: string[] = []
    const hear = (text: string): void => void said.push(text)
    const window = open()
    await window.count('warm', soon())
    await direct.flushall()
    await refuse(direct)
    await direct.config('RESETSTAT')
    diag.setLogger({ error: hear, warn: hear, info: () => undefined, debug: () => undefined, verbose: () => undefined })
    said.length = 0
    try {
      for (let delivery = 0; delivery < 200; delivery += 1) {
        await expect(window.count('a-key 1', soon())).rejects.toThrow('Redis refuses')
      }
      expect(await direct.info('commandstats')).toMatch(/cmdstat_eval:calls=200,/)
    } finally {
      diag.disable()
      await allow(direct)
    }
    expect(said).toEqual([expect.stringMatching(/^otel-token-relay: Redis refuses what it is asked: [A-Z]+$/)])
    expect(await direct.keys('*')).toEqual([])
    expect(await window.count('a-key 1', soon())).toBe(1)
  })

  it('a message is remembered as long as it was first said to be, whatever is said later [H2]', async () => {
    const window = open()
    await direct.flushall()
    await window.count('a-key 1', Date.now() + 3_600_000)
    await window.count('a-key 1', Date.now() + 10_000)
    expect(await direct.pttl((await onlyKey()) ?? '')).toBeGreaterThan(3_000_000)
    // And longer, where that is said.
    await window.count('a-key 1', Date.now() + 7_200_000)
    expect(await direct.pttl((await onlyKey()) ?? '')).toBeGreaterThan(7_000_000)
  })

  it('without Redis a message is undecided, and once it is back it opens [C13]', async () => {
    const sealing = sealingWith([SECRET.key], { replayWindow: open() })
    const [before, during] = [sealed(sealing), sealed(sealing)]
    expect(await opened(sealing, before)).not.toMatch(/^ERR/)
    await redis.kill()
    await waitFor(async () => expect(await opened(sealing, during)).toBe('ERR_TOKEN_UNDECIDED'))
    await redis.restart()
    await waitFor(async () => expect(await opened(sealing, during)).not.toMatch(/^ERR/))
    expect(await opened(sealing, during)).toBe('ERR_TOKEN_SEAL')
  })

  it('a question before the first connection is there waits for it [C13]', async () => {
    expect(await open().count(crypto.randomUUID(), soon())).toBe(1)
  })

  it('what is in Redis by other hands opens nothing [H9]', async () => {
    const sealing = sealingWith([SECRET.key], { replayWindow: open() })
    await direct.flushall()
    const text = sealed(sealing)
    expect(await opened(sealing, text)).not.toMatch(/^ERR/)
    const [key = ''] = await direct.keys('*')
    await direct.set(key, 'a text')
    expect(await opened(sealing, text)).toBe('ERR_TOKEN_UNDECIDED')
  })
})

it('Redis is asked in no caller’s context, and unseen by tracing [G3, G5]', async () => {
  const key = createContextKey('caller')
  const seen: (readonly [string, unknown, boolean])[] = []
  const note = (what: string): void =>
    void seen.push([what, context.active().getValue(key), isTracingSuppressed(context.active())])
  const listeners = new Map<string, () => void>()
  const connection = {
    status: 'wait',
    on: (event: string, listener: () => void) => listeners.set(event, listener),
    async connect() {
      note('connect')
      listeners.get('ready')?.()
    },
    async call() {
      note('call')
      return 1
    },
    subscribe: async () => undefined,
    disconnect: () => undefined,
    duplicate: () => connection,
  }
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  try {
    await context.with(context.active().setValue(key, 'alice'), async () => {
      const window = createRedisReplayWindow({ client: connection })
      expect(await window.count('a-key 1', soon())).toBe(1)
    })
  } finally {
    context.disable()
  }
  expect(seen).toEqual([
    ['connect', undefined, true],
    ['call', undefined, true],
  ])
})

describe('options that are not valid', () => {
  const client = new Redis({ lazyConnect: true })
  it.each<readonly [string, Partial<Record<keyof RedisReplayWindowOptions, unknown>>]>([
    ['client', { client: {} }],
    ['client', { client: undefined }],
    ['client', { client: { duplicate: () => client } }],
    // Their commands have other parameters, and nothing of them says when a connection was lost.
    ['client', { client: createCluster({ rootNodes: [{ url: 'redis://127.0.0.1:1' }] }) }],
    ['client', { client: createSentinel({ name: 'a', sentinelRootNodes: [{ host: '127.0.0.1', port: 1 }] }) }],
    ['client', { client: createClientPool() }],
    ['prefix', { client, prefix: '' }],
    ['timeoutMillis', { client, timeoutMillis: 9 }],
    ['timeoutMillis', { client, timeoutMillis: 60_001 }],
    ['timeoutMillis', { client, timeoutMillis: 50.5 }],
  ])('%s', (name, options) => {
    expect(() => createRedisReplayWindow(options as RedisReplayWindowOptions)).toThrow(new RegExp(`^${name}: expected`))
  })
})
