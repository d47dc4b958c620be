/** A revocation list that a fleet shares through Redis, and each process answers from memory. */

import { monotonicNow } from '../base/clock.ts'
import type { StoredEntry } from '../revocation/entries.ts'
import { RevocationEntries, storedEntry } from '../revocation/entries.ts'
import type { RevocationEntry, RevocationFacts, RevocationList } from '../revocation/list.ts'
import { normalizeEntry } from '../revocation/list.ts'
import { measureRevocationAge, measureRevocationLag } from '../telemetry/metrics.ts'
import type { RedisClient, RedisConnection } from './connection.ts'
import { checkClient, checkMillis, openConnection, PREFIX } from './connection.ts'
import { ANSWER_MILLIS, Inquirer, NoAnswerError } from './inquirer.ts'
import { StoredRevocations } from './stored-revocations.ts'

/**
 * The revocation was not stored, so other processes do not know of it. This one applies it, and stores it when it can.
 */
export class RevocationStoreError extends Error {
  override readonly name = 'RevocationStoreError'
  readonly code = 'ERR_RELAY_REVOCATION_STORE'

  constructor() {
    super('the revocation could not be stored: other processes do not know of it yet')
  }
}

export interface RedisRevocationOptions {
  /**
   * A `Redis` or `Cluster` of `ioredis`, or a client of `redis` (`createClient`). It is not used itself: two
   * connections with its settings are opened, one to listen and one to ask, and closed by `close()`.
   */
  readonly client: RedisClient
  /** What the names of the two keys and of the channel begin with. Default `otel-token-relay`. */
  readonly prefix?: string
  /**
   * How often the list is compared with Redis, in milliseconds. Two times this and half a second is how long the list
   * is believed without a confirmation, whatever happens: to Redis, to the network, or to a process that was stopped.
   * 10 to 60000; default 250, which makes a second.
   */
  readonly heartbeatMillis?: number
}

/** A {@link RevocationList} that holds connections. */
export interface RedisRevocationList extends RevocationList {
  /** Closes the connections. The list is not available afterwards. */
  close(): void
}

/**
 * Entries lie in a sorted set, by when they expire, as hashes: Redis learns no subject, session or token. A list that
 * is taken into use, or has lost its connection, is not `available` until it has read all of them.
 *
 * Redis 6.2 or later. What Redis loses (no persistence, a fail-over) is stored again by the processes that remember it.
 *
 * @throws TypeError for an option that is not valid.
 */
export function createRedisRevocationList(options: RedisRevocationOptions): RedisRevocationList {
  const { client, prefix = PREFIX, heartbeatMillis = 250 } = options
  checkClient(client, prefix)
  checkMillis('heartbeatMillis', heartbeatMillis, 10)
  return new SharedRevocationList(openConnection(client), openConnection(client), prefix, heartbeatMillis)
}

class SharedRevocationList implements RedisRevocationList {
  readonly #entries = new RevocationEntries()
  readonly #asking: Inquirer
  readonly #listening: RedisConnection
  readonly #stored: StoredRevocations
  readonly #timer: NodeJS.Timeout
  #subscription: 'none' | 'pending' | 'confirmed' = 'none'
  /** Whether messages can arrive. */
  #subscribed = false
  #complete = false
  /**
   * While complete: all that was revoked before is known. Before that there is nothing but a beginning to measure from.
   */
  #confirmedAt = monotonicNow()
  readonly #trustMillis: number
  #beating = false
  /** Counts the losses: what was read before one is not trusted after it. */
  #losses = 0
  #epoch: string | undefined
  /** Highest version that was heard of or read. */
  #count = 0
  #missed = false
  /** What Redis has not taken, and others therefore do not know. */
  #unstored: readonly StoredEntry[] = []
  /** The version that the last heartbeat saw in Redis, and when it asked. */
  #lastSeen = { count: 0, askedAt: Number.NEGATIVE_INFINITY }

  constructor(asking: RedisConnection, listening: RedisConnection, prefix: string, heartbeatMillis: number) {
    this.#listening = listening
    this.#trustMillis = 2 * heartbeatMillis + ANSWER_MILLIS
    this.#asking = new Inquirer({
      connection: asking,
      onLost: () => this.#lose(),
      onReady: () => this.#beat(),
      onVanished: () => listening.renew(),
    })
    this.#stored = new StoredRevocations(this.#asking, prefix)
    this.#listen()
    this.#timer = setInterval(() => {
      this.#beat()
      measureRevocationAge((monotonicNow() - this.#confirmedAt) / 1000)
    }, heartbeatMillis).unref()
  }

  get available(): boolean {
    // By a clock that cannot be set: a process that was stopped, or busy for long, has heard of nothing meanwhile.
    return this.#complete && monotonicNow() - this.#confirmedAt < this.#trustMillis
  }

  isRevoked(token: RevocationFacts): boolean {
    return this.#entries.has(token)
  }

  async revoke(entry: RevocationEntry): Promise<void> {
    const stored = storedEntry(normalizeEntry(entry))
    this.#entries.add(stored)
    try {
      await this.#stored.store([stored])
    } catch {
      // The next heartbeat compares everything, and stores what is missing.
      this.#missed = true
      throw new RevocationStoreError()
    }
  }

  close(): void {
    this.#lose()
    this.#subscribed = false
    clearInterval(this.#timer)
    this.#asking.close()
    this.#listening.close()
  }

  #listen(): void {
    this.#listening.observe(
      () => {
        this.#subscribed = false
        this.#lose()
      },
      () => this.#subscribe(),
    )
    this.#listening.open()
    this.#subscribe()
  }

  /** Clients renew by themselves what has worked once. What is published before they have shows in the heartbeat. */
  #subscribe(): void {
    if (this.#subscription === 'pending') return
    if (this.#subscription === 'confirmed') return this.#resume()
    this.#subscription = 'pending'
    this.#listening
      .subscribe(this.#stored.channel, (message) => this.#hear(message))
      .then(
        () => {
          this.#subscription = 'confirmed'
          this.#resume()
        },
        () => {
          this.#subscription = 'none'
        },
      )
  }

  #resume(): void {
    this.#subscribed = true
    this.#beat()
  }

  /** From now on nothing is believed to be known until everything has been read again. */
  #lose(): void {
    this.#complete = false
    this.#losses += 1
  }

  #hear(message: string): void {
    const { entry, count, agoMillis } = this.#stored.parseAddition(message)
    // What this process has revoked itself is no news.
    if (entry !== undefined && this.#entries.add(entry)) measureRevocationLag(agoMillis / 1000)
    // Messages come in their order; a number that was left out is one that was lost.
    if (count > this.#count + 1) this.#missed = true
    this.#count = Math.max(this.#count, count)
  }

  #beat(): void {
    if (this.#beating || !this.#subscribed) return
    this.#beating = true
    this.#synchronize()
      .catch(() => this.#lose())
      .finally(() => {
        this.#beating = false
      })
  }

  async #synchronize(): Promise<void> {
    const losses = this.#losses
    const askedAt = monotonicNow()
    const seen = await this.#stored.store([])
    // A message may be on its way still; what the last heartbeat saw should have arrived by now.
    const missed = this.#missed || this.#count < this.#lastSeen.count
    this.#missed = false
    const lost = this.#epoch !== undefined && (seen.epoch !== this.#epoch || seen.count < this.#lastSeen.count)
    if (this.#complete && !missed && !lost) {
      await this.#storeRest()
      this.#confirmedAt = this.#count < seen.count ? this.#lastSeen.askedAt : askedAt
      this.#lastSeen = { count: seen.count, askedAt }
      return
    }
    if (lost) this.#count = seen.count
    const stored = await this.#stored.readAll((entry) => this.#entries.add(entry))
    this.#epoch = seen.epoch
    this.#count = Math.max(this.#count, seen.count)
    this.#lastSeen = { count: seen.count, askedAt }
    // What Redis has lost is stored again by those who remember it, before they are asked about it.
    this.#unstored = this.#entries.without(stored)
    await this.#storeRest()
    if (losses !== this.#losses) return
    this.#complete = true
    this.#confirmedAt = askedAt
  }

  /** A Redis that refuses to write is read all the same: what this process knows is as complete as before. */
  async #storeRest(): Promise<void> {
    if (this.#unstored.length === 0) return
    try {
      await this.#stored.store(this.#unstored)
      this.#unstored = []
    } catch (error) {
      if (!(error instanceof NoAnswerError && error.isRefused)) throw error
    }
  }
}
