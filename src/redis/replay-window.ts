/** The openings of sealed messages, which a fleet counts together in Redis. */

import { hash, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { ReplayWindow } from '../sealing/replay-window.ts'
import { WALL_CLOCK } from '../verification/wall-clock.ts'
import type { RedisClient, RedisConnection } from './connection.ts'
import { openConnection } from './connection.ts'
import { ANSWER_MILLIS, Inquirer, NoAnswerError } from './inquirer.ts'
import { checkMillis, checkPlace, PREFIX } from './options.ts'

export interface RedisReplayWindowOptions {
  /**
   * A client of `ioredis` or of `redis`. It is not used itself: a connection with its settings is opened, and closed by
   * `close()`.
   */
  readonly client: RedisClient
  /** What the names of the keys begin with. Default `otel-token-relay`. */
  readonly prefix?: string
  /** How long Redis may take to count an opening, in milliseconds. 10 to 60000; default 500. */
  readonly timeoutMillis?: number
}

/** A {@link ReplayWindow} that holds a connection. */
export interface RedisReplayWindow extends ReplayWindow {
  /** Closes the connection. No message is opened afterwards. */
  close(): void
}

/**
 * For `sealing.replayWindow` of all consumers of a queue: whoever opens a message, it is opened `sealing.maxOpenings` times
 * in all. Each opening is one atomic question to Redis; each message a key of its own, a hash of its id, until nobody could
 * open it any more.
 *
 * While Redis does not answer within `timeoutMillis` no message is opened (`ERR_TOKEN_UNDECIDED`: deliver it again), and
 * none is used up: what Redis may have counted without an answer is taken back as soon as it can be.
 *
 * Redis 6.2 or later, without eviction (`maxmemory-policy noeviction`). What it forgets can be opened again: where a
 * restart or a fail-over must not allow that, let it write each change down (`appendfsync always`) and replicate.
 *
 * @throws TypeError for an option that is not valid.
 */
export function createRedisReplayWindow(options: RedisReplayWindowOptions): RedisReplayWindow {
  const { client, prefix = PREFIX, timeoutMillis = ANSWER_MILLIS } = options
  checkPlace(client, prefix)
  checkMillis('timeoutMillis', timeoutMillis, 10)
  return new SharedReplayWindow(openConnection(client), prefix, timeoutMillis)
}

const EXPIRE = `
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end`

/**
 * Counts one opening, once, however often it is asked to: clients send again what was not answered. An opening that was
 * taken back before it came counts 0. Arguments: time to live, opening.
 */
const COUNT = `
local known = redis.call('ZSCORE', KEYS[1], ARGV[2])
if known then return tonumber(known) end
local openings = redis.call('ZCOUNT', KEYS[1], 1, '+inf') + 1
if openings > 1000 then return openings end
redis.call('ZADD', KEYS[1], openings, ARGV[2])${EXPIRE}
return openings`

/** Takes back openings that nobody has made use of, those included that arrive later. Arguments: time to live, openings. */
const TAKE_BACK = `
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 0, ARGV[i]) end${EXPIRE}`

/** Other consumers' clocks may be behind, and allow a message for longer. */
const GRACE_MILLIS = 300_000
/** Ten years: Redis refuses times that are too long, and whoever seals says until when. */
const MAX_LIFE_MILLIS = 315_360_000_000
/** Most messages that are remembered for being taken back: those on their way when a connection is lost. */
const MAX_ABANDONED = 10_000

interface Abandoned {
  readonly openings: readonly string[]
  readonly expiresAtMillis: number
}

class SharedReplayWindow implements RedisReplayWindow {
  readonly #asking: Inquirer
  readonly #prefix: string
  /** By the key of the message. */
  readonly #abandoned = new LRUCache<string, Abandoned>({ max: MAX_ABANDONED, ...WALL_CLOCK })

  constructor(connection: RedisConnection, prefix: string, answerMillis: number) {
    this.#prefix = prefix
    this.#asking = new Inquirer({ connection, answerMillis, onReady: () => this.#takeAllBack() })
  }

  async count(id: string, expiresAtMillis: number): Promise<number> {
    const key = `${this.#prefix}:opened:${hash('sha256', id, 'base64url')}`
    // The connection keeps the order: what was not answered the last time does not count against this one.
    if (this.#abandoned.has(key)) this.#takeBack(key)
    const opening = randomBytes(9).toString('base64url')
    try {
      return (await this.#asking.ask(['EVAL', COUNT, '1', key, String(lifeUntil(expiresAtMillis)), opening])) as number
    } catch (error) {
      if (error instanceof NoAnswerError && error.isSent) this.#abandon(key, opening, expiresAtMillis)
      throw error
    }
  }

  close(): void {
    this.#asking.close()
  }

  /** Its answer may have been lost, or be late: nobody will use it. */
  #abandon(key: string, opening: string, expiresAtMillis: number): void {
    const openings = [...(this.#abandoned.get(key)?.openings ?? []), opening]
    this.#abandoned.set(key, { openings, expiresAtMillis }, { ttl: lifeUntil(expiresAtMillis) })
    this.#takeBack(key)
  }

  #takeAllBack(): void {
    for (const key of [...this.#abandoned.keys()]) this.#takeBack(key)
  }

  #takeBack(key: string): void {
    const abandoned = this.#abandoned.get(key)
    if (abandoned === undefined) return
    const { openings, expiresAtMillis } = abandoned
    this.#asking.ask(['EVAL', TAKE_BACK, '1', key, String(lifeUntil(expiresAtMillis)), ...openings]).then(
      () => {
        // Unless there are more by now.
        if (this.#abandoned.peek(key) === abandoned) this.#abandoned.delete(key)
      },
      // It is tried again with the next opening of the message, and when the connection is there again.
      () => undefined,
    )
  }
}

function lifeUntil(expiresAtMillis: number): number {
  return Math.ceil(Math.min(Math.max(expiresAtMillis - Date.now(), 0) + GRACE_MILLIS, MAX_LIFE_MILLIS))
}
