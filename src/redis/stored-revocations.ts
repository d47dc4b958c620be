/** The entries of a revocation list in Redis: stores, reads and announces them. */

import { randomUUID } from 'node:crypto'
import { monotonicNow } from '../base/clock.ts'
import type { StoredEntry } from '../revocation/entries.ts'
import { RevocationEntries } from '../revocation/entries.ts'
import type { Inquirer } from './inquirer.ts'

/** What Redis holds: `count` additions since it began with `epoch`. */
export interface Version {
  readonly epoch: string
  readonly count: number
}

/** What is published when an entry is added. `entry` is `undefined` if it cannot be read. */
export interface Addition {
  readonly entry: StoredEntry | undefined
  readonly count: number
  /** How long ago Redis has stored it, in milliseconds, as near as the way there and back allows. */
  readonly agoMillis: number
}

/**
 * Adds what is new and publishes it. The version counts what was added; its epoch, which is an entry too that blocks
 * nothing, changes when Redis has lost one of the two keys. Keys: entries, version. Arguments: channel, epoch to begin
 * with, then key, issued-before and expiry per entry. What has expired is removed by the clock of Redis: one process
 * with a wrong clock must not forget for all.
 */
const ADD = `
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch or not redis.call('ZSCORE', KEYS[1], epoch) then
  redis.call('HSET', KEYS[2], 'epoch', ARGV[2])
  redis.call('ZADD', KEYS[1], 'inf', ARGV[2])
end
for i = 3, #ARGV, 3 do
  local member = ARGV[i] .. ' ' .. ARGV[i + 1]
  if redis.call('ZADD', KEYS[1], 'GT', 'CH', ARGV[i + 2], member) == 1 then
    local version = redis.call('HINCRBY', KEYS[2], 'count', 1)
    redis.call('PUBLISH', ARGV[1], version .. ' ' .. member .. ' ' .. ARGV[i + 2] .. ' ' .. now)
  end
end
local version = redis.call('HMGET', KEYS[2], 'epoch', 'count')
return {version[1], version[2] or '0', now}`

const CHUNK = 500

export class StoredRevocations {
  readonly #inquirer: Inquirer
  readonly #names: { readonly entries: string; readonly version: string }
  /** What is added is published here. */
  readonly channel: string
  /** How far Redis's clock is ahead of the one of `performance.now()`, in milliseconds. */
  #aheadMillis = Number.NaN

  constructor(inquirer: Inquirer, prefix: string) {
    this.#inquirer = inquirer
    // One hash tag, so that a cluster keeps both keys together.
    this.channel = `{${prefix}}:revocations`
    this.#names = { entries: this.channel, version: `${this.channel}:version` }
  }

  /** Resolves with the version after `entries` have been stored, of which there may be none. */
  async store(entries: readonly StoredEntry[]): Promise<Version> {
    let version = await this.#add(entries.slice(0, CHUNK))
    for (let i = CHUNK; i < entries.length; i += CHUNK) version = await this.#add(entries.slice(i, i + CHUNK))
    return version
  }

  async #add(entries: readonly StoredEntry[]): Promise<Version> {
    const words = entries.flatMap(({ key, issuedBeforeMillis, expiresAtMillis }) => [
      key,
      formatTime(issuedBeforeMillis),
      formatTime(expiresAtMillis),
    ])
    const keys = ['2', this.#names.entries, this.#names.version]
    const askedAt = monotonicNow()
    const reply = await this.#inquirer.ask(['EVAL', ADD, ...keys, this.channel, randomUUID(), ...words])
    const [epoch, count, now] = reply as [string, string, string]
    this.#aheadMillis = Number(now) - (askedAt + monotonicNow()) / 2
    return { epoch, count: Number(count) }
  }

  /** All that Redis has; each entry is also given to `onEntry` as soon as it is read. */
  async readAll(onEntry: (entry: StoredEntry) => void): Promise<RevocationEntries> {
    const stored = new RevocationEntries()
    let cursor = '0'
    do {
      const reply = await this.#inquirer.ask(['ZSCAN', this.#names.entries, cursor, 'COUNT', String(CHUNK)])
      const [next, members] = reply as [string, string[]]
      for (let i = 0; i < members.length; i += 2) {
        const [key = '', issuedBefore = ''] = (members[i] ?? '').split(' ')
        const entry = parseEntry(key, issuedBefore, members[i + 1] ?? '')
        if (entry === undefined) continue
        onEntry(entry)
        stored.add(entry)
      }
      cursor = next
    } while (cursor !== '0')
    return stored
  }

  parseAddition(message: string): Addition {
    const [count = '', key = '', issuedBefore = '', expires = '', storedAt = ''] = message.split(' ')
    const agoMillis = monotonicNow() + this.#aheadMillis - parseTime(storedAt)
    return {
      entry: parseEntry(key, issuedBefore, expires),
      count: Number(count) || 0,
      agoMillis: Math.max(0, agoMillis),
    }
  }
}

/** Anything may be in Redis: what is no entry is left out. */
function parseEntry(key: string, issuedBefore: string, expires: string): StoredEntry | undefined {
  const entry = { key, issuedBeforeMillis: parseTime(issuedBefore), expiresAtMillis: parseTime(expires) }
  return key !== '' && entry.issuedBeforeMillis >= 0 && entry.expiresAtMillis >= 0 ? entry : undefined
}

function formatTime(millis: number): string {
  return millis === Number.POSITIVE_INFINITY ? 'inf' : String(millis)
}

function parseTime(text: string): number {
  return text === 'inf' ? Number.POSITIVE_INFINITY : text === '' ? Number.NaN : Number(text)
}
