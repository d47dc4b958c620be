/** Keeps the exchanged tokens of a fleet in Redis, sealed. */

import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { monotonicNow } from '../base/clock.ts'
import type { SharedTokenCache } from '../exchange/shared-cache.ts'
import type { RedisClient, RedisConnection } from './connection.ts'
import { checkClient, checkMillis, openConnection, PREFIX } from './connection.ts'
import { Inquirer } from './inquirer.ts'

export interface RedisTokenCacheOptions {
  /**
   * A `Redis` or `Cluster` of `ioredis`, or a client of `redis` (`createClient`). It is not used itself: a connection
   * with its settings is opened, and closed by `close()`.
   */
  readonly client: RedisClient
  /** What the names of the keys begin with. Default `otel-token-relay`. */
  readonly prefix?: string
  /**
   * How long Redis may take for an answer, in milliseconds: after that the issuer is asked. 10 to 60000; default 250.
   */
  readonly timeoutMillis?: number
  /**
   * How long to wait for a token that another process is asking for, in milliseconds: after that the issuer is asked
   * again. 0 to 60000; default 1000.
   */
  readonly waitMillis?: number
}

/** A {@link SharedTokenCache} that holds a connection. */
export interface RedisTokenCache extends SharedTokenCache {
  /** Closes the connection. Each process asks the issuer for itself afterwards. */
  close(): void
}

/**
 * For `exchange.sharedCache` of an issuer, in all processes of a service. Redis gets sealed tokens under hashes, so it
 * learns neither a token nor its subject. It keeps each as long as the token and the caller's own are valid, and
 * `sealing.maxAgeSeconds` at most.
 *
 * That a token is exchanged once is best effort. While Redis is down or slow, when the process that asks the issuer
 * dies or takes longer than `waitMillis`, and for a moment after a fail-over, more than one process may ask.
 *
 * Redis 6.2 or later. It may forget at any time, and needs no persistence.
 *
 * @throws TypeError for an option that is not valid.
 */
export function createRedisTokenCache(options: RedisTokenCacheOptions): RedisTokenCache {
  const { client, prefix = PREFIX, timeoutMillis = 250, waitMillis = 1_000 } = options
  checkClient(client, prefix)
  checkMillis('timeoutMillis', timeoutMillis, 10)
  checkMillis('waitMillis', waitMillis, 0)
  return new StoredTokens(openConnection(client), { prefix, timeoutMillis, waitMillis })
}

/** The keys of all scripts: the token, and the process that is asking for it. */
const FORGET_ASKING = `if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end`

/**
 * Returns 1 if this process should ask the issuer, and 0 if another one does so. What is longer than any token was not
 * kept by us. Arguments: process, how long it asks, what it has seen already.
 */
const FIND = `
local kept = redis.call('STRLEN', KEYS[1]) <= 262144 and redis.call('GET', KEYS[1])
if kept and kept ~= ARGV[3] then return kept end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return redis.call('GET', KEYS[2]) == ARGV[1] and 1 or 0`

/** Arguments: process, token, its life. */
const KEEP = `
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
${FORGET_ASKING}`

const FIRST_PAUSE_MILLIS = 10
const LONGEST_PAUSE_MILLIS = 100

class StoredTokens implements RedisTokenCache {
  readonly #asking: Inquirer
  readonly #prefix: string
  readonly #waitMillis: number
  readonly #process = randomUUID()

  constructor(connection: RedisConnection, settings: Required<Omit<RedisTokenCacheOptions, 'client'>>) {
    this.#prefix = settings.prefix
    this.#waitMillis = settings.waitMillis
    this.#asking = new Inquirer({ connection, answerMillis: settings.timeoutMillis })
  }

  async find(key: string, refused: string | undefined, askingMillis: number): Promise<string | undefined> {
    const until = monotonicNow() + this.#waitMillis
    for (let millis = FIRST_PAUSE_MILLIS; ; millis = Math.min(millis * 2, LONGEST_PAUSE_MILLIS)) {
      const reply = await this.#ask(FIND, key, String(Math.max(1, askingMillis)), refused ?? '')
      if (typeof reply === 'string') return reply
      if (reply === 1 || monotonicNow() + millis > until) return undefined
      await pause(millis)
    }
  }

  async keep(key: string, value: string, expiresAtMillis: number): Promise<void> {
    await this.#ask(KEEP, key, value, String(Math.max(1, Math.floor(expiresAtMillis - Date.now()))))
  }

  async release(key: string): Promise<void> {
    await this.#ask(FORGET_ASKING, key)
  }

  close(): void {
    this.#asking.close()
  }

  #ask(script: string, key: string, ...words: string[]): Promise<unknown> {
    // A hash tag, so that a cluster keeps both keys together.
    const kept = `${this.#prefix}:exchanged:{${key}}`
    return this.#asking.ask(['EVAL', script, '2', kept, `${kept}:asking`, this.#process, ...words])
  }
}
