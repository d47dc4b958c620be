/** Remembers tokens that were verified, so that the next request with the same token costs no signature check. */

import { LRUCache } from 'lru-cache'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Validity } from './claim-rules.ts'
import type { Issuer } from './issuer.ts'
import { nameOf } from './token-name.ts'

export interface VerifiedToken {
  readonly credential: VerifiedCredential
  readonly issuer: Issuer
  /** The key that verified it; `undefined` where the issuer was asked instead. */
  readonly keyThumbprint: string | undefined
  readonly validity: Validity
}

export interface VerifiedTokens {
  /** What was verified under exactly this text, if it would be verified again now. */
  get(text: string): VerifiedToken | undefined
  set(text: string, token: VerifiedToken): void
  /** `text` as it is remembered, where it is a JWS whose signature was verified; not whether it may be used. */
  recognize(text: string): string | undefined
}

/** What an entry may weigh on average, in bytes: large tokens take the place of several. */
const BYTES_PER_ENTRY = 4_096

interface Entry {
  readonly text: string
  readonly token: VerifiedToken
}

/**
 * At most `maxEntries` tokens; the least recently used one goes first. Found by equality of the whole text: neither a
 * prefix, a hash nor a claim of a token stands for it. `isCurrent` says whether an issuer is still accepted.
 */
export function createVerifiedTokens(maxEntries: number, isCurrent: (issuer: Issuer) => boolean): VerifiedTokens {
  if (maxEntries === 0) return { get: () => undefined, set: () => undefined, recognize: () => undefined }
  const entries = new LRUCache<string, Entry>({
    max: maxEntries,
    maxSize: maxEntries * BYTES_PER_ENTRY,
    // The text, and about as much again for the claims.
    sizeCalculation: ({ text }) => text.length * 2,
  })

  /** Whoever is recognized is asked for next, with the text that is remembered: by whoever lets in. */
  let latest: Entry | undefined

  function entryOf(text: string): Entry | undefined {
    if (latest?.text === text) return latest
    const entry = entries.get(nameOf(text))
    if (entry?.text !== text) return undefined
    latest = entry
    return entry
  }

  function isVouchedFor({ issuer, keyThumbprint }: VerifiedToken): boolean {
    if (!isCurrent(issuer)) return false
    return keyThumbprint === undefined || issuer.keys.stillHolds(keyThumbprint)
  }

  return {
    get(text) {
      const entry = entryOf(text)
      if (entry === undefined || (isInTime(entry.token.validity) && isVouchedFor(entry.token))) return entry?.token
      entries.delete(nameOf(text))
      latest = undefined
      return undefined
    },
    set: (text, token) => void entries.set(nameOf(text), { text, token }),
    recognize(text) {
      const entry = entryOf(text)
      return entry?.token.keyThumbprint === undefined ? undefined : entry.text
    },
  }
}

/** By the wall clock, as `exp` is: a clock that jumps makes tokens valid or not, and entries with them. */
function isInTime({ from, until }: Validity): boolean {
  const now = Date.now() / 1000
  return from <= now && now < until
}
