/** Remembers tokens that were verified, so that the next request with the same token costs no signature check. */

import { LRUCache } from 'lru-cache'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Validity } from './claim-rules.ts'
import type { Issuer } from './issuer.ts'
import { nameOf } from './token-name.ts'

export interface VerifiedToken extends Validity {
  readonly credential: VerifiedCredential
  readonly issuer: Issuer
  /** The key that verified it; `undefined` where the issuer was asked instead. */
  readonly keyThumbprint: string | undefined
}

interface Entry extends VerifiedToken {
  /** In which second it was last moved away from the end where tokens are forgotten. */
  usedAt: number
}

export interface VerifiedTokens {
  /** What was verified under exactly this text, if it would be verified again now. */
  get(text: string): VerifiedToken | undefined
  set(token: VerifiedToken): void
  /** `text` as it is remembered, where it is a JWS whose signature was verified; not whether it may be used. */
  recognize(text: string): string | undefined
}

/** What an entry may weigh on average, in bytes: large tokens take the place of several. */
const BYTES_PER_ENTRY = 4_096

/**
 * At most `maxEntries` tokens; the least recently used one goes first. Found by equality of the whole text: neither a
 * prefix, a hash nor a claim of a token stands for it. `isCurrent` says whether an issuer is still accepted.
 */
export function createVerifiedTokens(maxEntries: number, isCurrent: (issuer: Issuer) => boolean): VerifiedTokens {
  if (maxEntries === 0) return { get: () => undefined, set: () => undefined, recognize: () => undefined }
  const tokens = new LRUCache<string, Entry>({
    max: maxEntries,
    maxSize: maxEntries * BYTES_PER_ENTRY,
    // The text, and about as much again for the claims.
    sizeCalculation: ({ credential }) => credential.byteLength * 2,
  })

  /** Whoever is recognized is asked for next, with the text that is remembered: by whoever lets in. */
  let latest: Entry | undefined

  function find(text: string): Entry | undefined {
    if (latest !== undefined && textOf(latest) === text) return latest
    const name = nameOf(text)
    const entry = tokens.peek(name)
    if (entry === undefined || textOf(entry) !== text) return undefined
    touch(name, entry)
    latest = entry
    return entry
  }

  /** By the second: each time would take longer than all the rest. */
  function touch(name: string, entry: Entry): void {
    const second = Math.trunc(Date.now() / 1_000)
    if (entry.usedAt === second) return
    entry.usedAt = second
    tokens.get(name)
  }

  function isVouchedFor({ issuer, keyThumbprint }: VerifiedToken): boolean {
    if (!isCurrent(issuer)) return false
    return keyThumbprint === undefined || issuer.keys.stillHolds(keyThumbprint)
  }

  return {
    get(text) {
      const entry = find(text)
      if (entry === undefined || (isInTime(entry) && isVouchedFor(entry))) return entry
      tokens.delete(nameOf(text))
      latest = undefined
      return undefined
    },
    set({ credential, issuer, keyThumbprint, from, until }) {
      const entry: Entry = { credential, issuer, keyThumbprint, from, until, usedAt: 0 }
      tokens.set(nameOf(textOf(entry)), entry)
    },
    recognize(text) {
      const entry = find(text)
      return entry?.keyThumbprint === undefined ? undefined : textOf(entry)
    },
  }
}

function textOf({ credential }: Entry): string {
  return credential.reveal()
}

/** By the wall clock, as `exp` is: a clock that jumps makes tokens valid or not, and entries with them. */
function isInTime({ from, until }: Validity): boolean {
  const now = Date.now() / 1000
  return from <= now && now < until
}
