/** Remembers tokens that were verified, so that the next request with the same token costs no signature check. */

import { LRUCache } from 'lru-cache'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Validity } from './claim-rules.ts'
import type { Issuer } from './issuer.ts'

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
/** Of a signature: that two tokens have the same end is a coincidence, which costs one of them the short way. */
const END_LENGTH = 24

/**
 * At most `maxEntries` tokens; the least recently used one goes first. Found by equality of the whole text: neither a
 * prefix, a hash nor a claim of a token stands for it. `isCurrent` says whether an issuer is still accepted.
 */
export function createVerifiedTokens(maxEntries: number, isCurrent: (issuer: Issuer) => boolean): VerifiedTokens {
  if (maxEntries === 0) return { get: () => undefined, set: () => undefined, recognize: () => undefined }
  // A text that has just come in has no hash yet, and making one takes longer than all the rest. That of its end is made
  // soon, and what is remembered under that end is compared as a whole. Only signatures end in something of their own.
  const byEnd = new Map<string, string>()
  const tokens = new LRUCache<string, VerifiedToken>({
    max: maxEntries,
    maxSize: maxEntries * BYTES_PER_ENTRY,
    // The text, and about as much again for the claims.
    sizeCalculation: (_, text) => text.length * 2,
    dispose: (_, text) => {
      if (byEnd.get(endOf(text)) === text) byEnd.delete(endOf(text))
    },
  })

  function signed(text: string): string | undefined {
    const known = byEnd.get(endOf(text))
    return known === text ? known : undefined
  }

  return {
    get(presented) {
      const token = tokens.get(signed(presented) ?? presented)
      if (token === undefined || (isInTime(token.validity) && isVouchedFor(token))) return token
      tokens.delete(presented)
      return undefined
    },
    set(text, token) {
      tokens.set(text, token)
      if (token.keyThumbprint !== undefined && tokens.has(text)) byEnd.set(endOf(text), text)
    },
    recognize: signed,
  }

  function isVouchedFor({ issuer, keyThumbprint }: VerifiedToken): boolean {
    if (!isCurrent(issuer)) return false
    return keyThumbprint === undefined || issuer.keys.stillHolds(keyThumbprint)
  }
}

/** By the wall clock, as `exp` is: a clock that jumps makes tokens valid or not, and entries with them. */
function isInTime({ from, until }: Validity): boolean {
  const now = Date.now() / 1000
  return from <= now && now < until
}

function endOf(text: string): string {
  return text.slice(-END_LENGTH)
}
