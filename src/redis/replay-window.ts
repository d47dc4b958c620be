/** Counts the openings of sealed messages in Redis, for a whole fleet. */

import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { monotonicNow, WALL_CLOCK } from '../base/clock.ts'
import { hash } from '../base/newer-functions.ts'
import type { ReplayWindow } from '../sealing/replay-window.ts'
import type { RedisClient, RedisConnection } from './connection.ts'
import { checkClient, checkMillis, openConnection, PREFIX } from './connection.ts'
import { ANSWER_MILLIS, Inquirer, NoAnswerError } from './inquirer.ts'

export interface RedisReplayWindowOptions {
  /**
   * A `Redis` or `Cluster` of `ioredis`, or a client of `redis` (`createClient`). It is not used itself: a connection
   * with its settings is opened, and closed by `close()`.
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
 * For `sealing.replayWindow` of all consumers of a queue: together they open a message `sealing.maxOpenings` times.
 * Each opening is one atomic question to Redis. Each sealed text has a key, which is its hash, until no consumer could
 * open it any more.
 *
 * While Redis does not answer within `timeoutMillis` no message is opened (`ERR_TOKEN_UNDECIDED`: deliver it again),
 * and none is used up: what Redis may have counted without an answer is withdrawn as soon as it can be, and the message
 * is not opened before. A Redis that refuses to write has counted nothing.
 *
 * Redis 6.2 or later, without eviction (`maxmemory-policy noeviction`). What it forgets can be opened again: if a
 * restart or a fail-over must not allow that, let it write each change to disk (`appendfsync always`) and replicate.
 *
 * @throws TypeError for an option that is not valid.
 */
export function createRedisReplayWindow(options: RedisReplayWindowOptions): RedisReplayWindow {
  const { client, prefix = PREFIX, timeoutMillis = ANSWER_MILLIS } = options
  checkClient(client, prefix)
  checkMillis('timeoutMillis', timeoutMillis, 10)
  return new SharedReplayWindow(openConnection(client), prefix, timeoutMillis)
}

/**
 * Counts an opening once, even if a client repeats the command. Returns 0 for an opening that was withdrawn before it
 * arrived. A refused opening is not counted.
 * Arguments: time to live, opening.
 */
const COUNT = `
local known = redis.call('ZSCORE', KEYS[1], ARGV[2])
if known then return tonumber(known) end
local openings = redis.call('ZCOUNT', KEYS[1], 1, '+inf') + 1
if openings > 1000 then return openings end
local life = redis.call('PTTL', KEYS[1])
redis.call('ZADD', KEYS[1], openings, ARGV[2])
local ended = life >= tonumber(ARGV[1]) or redis.pcall('PEXPIRE', KEYS[1], ARGV[1])
if type(ended) == 'table' then
  redis.call('ZREM', KEYS[1], ARGV[2])
  return ended
end
return openings`

/** Withdraws openings that were not used, also those that arrive later. Arguments: time to live, openings. */
const WITHDRAW = `
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 0, ARGV[i]) end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end`

/** Other consumers' clocks may be behind, and allow a message for longer. */
const GRACE_MILLIS = 300_000
/** Ten years: Redis refuses times that are too long, and the sealing service chooses the time. */
const MAX_LIFE_MILLIS = 315_360_000_000
/** Most openings that are remembered so that they can be withdrawn: those on their way when a connection is lost. */
const MAX_ABANDONED = 10_000

/** The openings of a message of which it is not known whether they were counted. */
interface Abandoned {
  readonly openings: Set<string>
  readonly expiresAtMillis: number
  /** The attempt to withdraw them, for all that wait for it. */
  attempt: Promise<void> | undefined
  failedAt: number
}

class SharedReplayWindow implements RedisReplayWindow {
  readonly #asking: Inquirer
  readonly #prefix: string
  /** How long Redis is left alone after it did not withdraw them, however often the message is delivered. */
  readonly #pauseMillis: number
  /** By the key of the message. */
  readonly #abandoned = new LRUCache<string, Abandoned>({
    maxSize: MAX_ABANDONED,
    sizeCalculation: ({ openings }) => openings.size,
    ...WALL_CLOCK,
  })

  constructor(connection: RedisConnection, prefix: string, answerMillis: number) {
    this.#prefix = prefix
    this.#pauseMillis = answerMillis
    this.#asking = new Inquirer({ connection, answerMillis, onReady: () => this.#takeAllBack() })
  }

  async count(id: string, expiresAtMillis: number): Promise<number> {
    const key = `${this.#prefix}:opened:${hash('sha256', id, 'base64url')}`
    // Unanswered openings must not count against this one, and must not become more with each attempt.
    await this.#withdraw(key)
    const opening = randomBytes(9).toString('base64url')
    try {
      return (await this.#asking.ask(['EVAL', COUNT, '1', key, String(lifeUntil(expiresAtMillis)), opening])) as number
    } catch (error) {
      if (error instanceof NoAnswerError && error.mayBeDone) this.#abandon(key, opening, expiresAtMillis)
      throw error
    }
  }

  close(): void {
    this.#asking.close()
  }

  /** Gives up an opening whose answer may be lost or late. */
  #abandon(key: string, opening: string, expiresAtMillis: number): void {
    const known = this.#abandoned.get(key)
    const abandoned = known ?? {
      openings: new Set(),
      expiresAtMillis,
      attempt: undefined,
      failedAt: Number.NEGATIVE_INFINITY,
    }
    abandoned.openings.add(opening)
    // Deleted first: the cache weighs an entry only when it is added.
    this.#abandoned.delete(key)
    this.#abandoned.set(key, abandoned, { ttl: lifeUntil(expiresAtMillis) })
    // This opening alone: a message that is delivered a thousand times at once has a thousand of them.
    this.#forgetWhenTakenBack(key, abandoned, [opening]).catch(() => undefined)
  }

  #takeAllBack(): void {
    for (const [key, abandoned] of [...this.#abandoned.entries()]) {
      abandoned.failedAt = Number.NEGATIVE_INFINITY
      this.#withdraw(key).catch(() => undefined)
    }
  }

  /** Rejects with a {@link NoAnswerError} if it is not sure that none counts any more. */
  async #withdraw(key: string): Promise<void> {
    const abandoned = this.#abandoned.get(key)
    if (abandoned === undefined) return
    if (monotonicNow() - abandoned.failedAt < this.#pauseMillis) throw new NoAnswerError(false)
    abandoned.attempt ??= this.#forgetWhenTakenBack(key, abandoned, [...abandoned.openings]).finally(() => {
      abandoned.attempt = undefined
    })
    await abandoned.attempt
  }

  async #forgetWhenTakenBack(key: string, abandoned: Abandoned, openings: readonly string[]): Promise<void> {
    try {
      const life = String(lifeUntil(abandoned.expiresAtMillis))
      await this.#asking.ask(['EVAL', WITHDRAW, '1', key, life, ...openings])
    } catch (error) {
      abandoned.failedAt = monotonicNow()
      throw error
    }
    for (const opening of openings) abandoned.openings.delete(opening)
    // Unless there are more by now.
    if (abandoned.openings.size === 0 && this.#abandoned.peek(key) === abandoned) this.#abandoned.delete(key)
  }
}

function lifeUntil(expiresAtMillis: number): number {
  return Math.ceil(Math.min(Math.max(expiresAtMillis - Date.now(), 0) + GRACE_MILLIS, MAX_LIFE_MILLIS))
}
