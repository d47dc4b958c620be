/** The entries of a revocation list as one process holds them, and the list that has no others. */

import { createHash } from 'node:crypto'
import type { RevocationKind } from '../telemetry/events.ts'
import type { NormalizedEntry, RevocationFacts, RevocationList } from './list.ts'
import { normalizeEntry } from './list.ts'

/** What is kept of an entry. `key` is a hash, so that a shared store learns no subject, session or token. */
export interface StoredEntry {
  readonly key: string
  /** Tokens issued later are not meant; `Infinity` if all are. */
  readonly issuedBeforeMillis: number
  readonly expiresAtMillis: number
}

/** Entries outlive their tokens by the largest clock tolerance that an issuer may have. */
const MARGIN_MILLIS = 300_000
/** They are kept longer than they block: a clock that is wrong for a while must not lose them. */
const KEPT_MILLIS = 3_600_000
const SWEEP_MILLIS = 60_000

export function storedEntry(entry: NormalizedEntry): StoredEntry {
  const { kind, issuer, value, issuedBeforeMillis, expiresAtMillis } = entry
  return { key: keyOf(kind, issuer, value), issuedBeforeMillis, expiresAtMillis: expiresAtMillis + MARGIN_MILLIS }
}

export class RevocationEntries {
  readonly #entries = new Map<string, StoredEntry>()
  /** Hashing costs more than a look-up, and one credential is asked about many times. */
  readonly #keys = new WeakMap<RevocationFacts, readonly string[]>()
  #sweepAtMillis = 0

  /** Returns whether it blocks tokens that nothing blocked before. */
  add(entry: StoredEntry): boolean {
    this.#sweep()
    if (isOver(entry)) return false
    const known = this.#entries.get(entry.key)
    this.#entries.set(entry.key, known === undefined ? entry : mergeEntries(known, entry))
    return known === undefined || known.issuedBeforeMillis < entry.issuedBeforeMillis
  }

  has(facts: RevocationFacts): boolean {
    if (this.#entries.size === 0) return false
    let keys = this.#keys.get(facts)
    if (keys === undefined) {
      keys = keysOf(facts)
      this.#keys.set(facts, keys)
    }
    return keys.some((key) => this.#blocks(this.#entries.get(key), facts))
  }

  /** The entries that block tokens which `others` lets pass. */
  without(others: RevocationEntries): readonly StoredEntry[] {
    const now = Date.now()
    return [...this.#entries.values()].filter(({ key, issuedBeforeMillis, expiresAtMillis }) => {
      const other = others.#entries.get(key)
      const covered = other !== undefined && other.issuedBeforeMillis >= issuedBeforeMillis
      return expiresAtMillis > now && !(covered && other.expiresAtMillis >= expiresAtMillis)
    })
  }

  #blocks(entry: StoredEntry | undefined, { issuedAtMillis }: RevocationFacts): boolean {
    if (entry === undefined || entry.expiresAtMillis <= Date.now()) return false
    return issuedAtMillis === undefined || issuedAtMillis <= entry.issuedBeforeMillis
  }

  #sweep(): void {
    const now = Date.now()
    // A clock that was set back must not keep entries for ever.
    if (now < this.#sweepAtMillis && this.#sweepAtMillis - now <= SWEEP_MILLIS) return
    this.#sweepAtMillis = now + SWEEP_MILLIS
    for (const entry of this.#entries.values()) {
      if (isOver(entry)) this.#entries.delete(entry.key)
    }
  }
}

/**
 * The default list: it lives in this process and is empty after a restart. What one process revokes, another one
 * accepts until the token expires; a fleet needs `createRedisRevocationList` of `otel-token-relay/redis`.
 */
export function createMemoryRevocationList(): RevocationList {
  const entries = new RevocationEntries()
  return {
    available: true,
    isRevoked: (token) => entries.has(token),
    async revoke(entry) {
      entries.add(storedEntry(normalizeEntry(entry)))
    },
  }
}

function isOver({ expiresAtMillis }: StoredEntry): boolean {
  return expiresAtMillis + KEPT_MILLIS <= Date.now()
}

/** Two entries about the same tokens block what either of them blocks. */
function mergeEntries(a: StoredEntry, b: StoredEntry): StoredEntry {
  return {
    key: a.key,
    issuedBeforeMillis: Math.max(a.issuedBeforeMillis, b.issuedBeforeMillis),
    expiresAtMillis: Math.max(a.expiresAtMillis, b.expiresAtMillis),
  }
}

function keysOf({ issuer, tokenId, sessionId, subject }: RevocationFacts): readonly string[] {
  const keys: string[] = []
  if (tokenId !== undefined) keys.push(keyOf('token', issuer, tokenId))
  if (sessionId !== undefined) keys.push(keyOf('session', issuer, sessionId))
  if (subject !== undefined) keys.push(keyOf('subject', issuer, subject))
  return keys
}

/** JSON keeps the parts apart: no issuer and value can be shifted into another pair. */
function keyOf(kind: RevocationKind, issuer: string, value: string): string {
  return createHash('sha256')
    .update(JSON.stringify([kind, issuer, value]))
    .digest('base64url')
}
