/** Remembers tokens that were verified, so that the next request with the same token costs no signature check. */

import { UnverifiedCredential } from '../token/credential.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Issuer } from './issuer.ts'
import type { Verification } from './verify.ts'

/** A verified token, in the order of use among others. */
export class CachedVerification implements Verification {
  readonly credential: VerifiedCredential
  readonly issuer: Issuer
  readonly keyThumbprint: string | undefined
  readonly from: number
  readonly until: number
  /** Given to the next request with the same token, which then needs no other object. */
  readonly presented: UnverifiedCredential
  /** The second in which it was last marked as used. */
  usedAt = 0
  key: CacheKey = ''
  older: CachedVerification | undefined = undefined
  newer: CachedVerification | undefined = undefined

  constructor(text: string, { credential, issuer, keyThumbprint, from, until }: Verification) {
    this.credential = credential
    this.issuer = issuer
    this.keyThumbprint = keyThumbprint
    this.from = from
    this.until = until
    this.presented = new KnownCredential(text, this)
  }
}

class KnownCredential extends UnverifiedCredential {
  readonly #verification: CachedVerification

  constructor(text: string, verification: CachedVerification) {
    super(text)
    this.#verification = verification
  }

  static verificationOf(credential: UnverifiedCredential): CachedVerification | undefined {
    return #verification in credential ? credential.#verification : undefined
  }
}

/** The verification that `credential` was made of, in whichever cache it is or was. */
export function verificationOf(credential: UnverifiedCredential): CachedVerification | undefined {
  return KnownCredential.verificationOf(credential)
}

/** Average size of an entry, in bytes: a large token takes the place of several. */
const BYTES_PER_ENTRY = 4_096

/**
 * At most `maxEntries` tokens; the least recently used one goes first. Found by equality of the whole text: neither a
 * prefix, a hash nor a claim of a token stands for it. `isCurrent` says whether an issuer is still accepted.
 */
export class VerificationCache {
  readonly #maxEntries: number
  readonly #isCurrent: (issuer: Issuer) => boolean
  // The order is in the entries: a list beside them costs a third of a look-up, and all its memory at once.
  readonly #entries = new Map<CacheKey, CachedVerification>()
  #oldest: CachedVerification | undefined
  #newest: CachedVerification | undefined
  #bytes = 0

  constructor(maxEntries: number, isCurrent: (issuer: Issuer) => boolean) {
    this.#maxEntries = maxEntries
    this.#isCurrent = isCurrent
  }

  /** What was verified under exactly this text, if it would be verified again now. */
  get(text: string): CachedVerification | undefined {
    const entry = this.#look(text)
    if (entry === undefined || this.isUsable(entry)) return entry
    this.#delete(entry)
    return undefined
  }

  /**
   * What was verified under exactly this text, if it is a JWS; not whether it is still good. Opaque tokens are left
   * out: an application may have given one that cannot stand in a header, and parsers trust what is found here.
   */
  find(text: string): CachedVerification | undefined {
    const entry = this.#look(text)
    return entry?.keyThumbprint === undefined ? undefined : entry
  }

  /** Whether `entry`, of this cache or not, would be verified again now. If so, it counts as used. */
  isUsable(entry: CachedVerification): boolean {
    const now = Date.now() / 1_000
    if (!isStillGood(entry, this.#isCurrent, now)) return false
    this.#touch(entry, Math.trunc(now))
    return true
  }

  set(entry: CachedVerification): void {
    const size = sizeOf(entry)
    const maxBytes = this.#maxEntries * BYTES_PER_ENTRY
    if (size > maxBytes) return
    entry.key = cacheKeyOf(textOf(entry))
    const other = this.#entries.get(entry.key)
    if (other !== undefined) this.#delete(other)
    this.#entries.set(entry.key, entry)
    this.#bytes += size
    this.#append(entry)
    while (this.#oldest !== undefined && (this.#entries.size > this.#maxEntries || this.#bytes > maxBytes)) {
      this.#delete(this.#oldest)
    }
  }

  #look(text: string): CachedVerification | undefined {
    const entry = this.#entries.get(cacheKeyOf(text))
    return entry === undefined || textOf(entry) !== text ? undefined : entry
  }

  /** At most once a second: doing so each time would take longer than the rest of the look-up. */
  #touch(entry: CachedVerification, second: number): void {
    if (entry.usedAt === second) return
    entry.usedAt = second
    if (this.#entries.get(entry.key) !== entry) return
    this.#unlink(entry)
    this.#append(entry)
  }

  #delete(entry: CachedVerification): void {
    this.#entries.delete(entry.key)
    this.#bytes -= sizeOf(entry)
    this.#unlink(entry)
  }

  #append(entry: CachedVerification): void {
    entry.older = this.#newest
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
  }

  #unlink(entry: CachedVerification): void {
    if (entry.older === undefined) this.#oldest = entry.newer
    else entry.older.newer = entry.newer
    if (entry.newer === undefined) this.#newest = entry.older
    else entry.newer.older = entry.older
    entry.older = undefined
    entry.newer = undefined
  }
}

/** The text, and about as much again for the claims. */
function sizeOf({ credential }: Verification): number {
  return credential.byteLength * 2
}

/** What finds a token, and few others. */
export type CacheKey = number | string

/** Of a signature. */
const KEY_CHARS = 8

/**
 * The key of a token: a number made of the end of its signature. A text that has just come in has no hash yet, and
 * hashing the whole takes longer than the rest of the look-up. Code that finds something under this key must compare
 * the whole text; of two tokens with one key, which are a coincidence in four billion, only one has a place. Only a
 * signature ends at random, and it stands after a header, which is `{` in base64url; other texts are keys as a whole.
 */
export function cacheKeyOf(text: string): CacheKey {
  if (!text.startsWith('ey')) return text
  let key = 0
  for (let at = text.length - KEY_CHARS; at < text.length; at += 1) key = (Math.imul(key, 61) + text.charCodeAt(at)) | 0
  return key
}

function textOf({ credential }: Verification): string {
  return credential.reveal()
}

/**
 * Whether it would be verified again now: in time, by an issuer that is accepted, with a key that is published. By the
 * wall clock, as `exp` is: a clock that jumps makes tokens valid or not, and entries with them.
 */
function isStillGood(
  { issuer, keyThumbprint, from, until }: Verification,
  isCurrent: (issuer: Issuer) => boolean,
  now: number,
): boolean {
  const isVouchedFor = keyThumbprint === undefined || issuer.keys.isStillPublished(keyThumbprint)
  return from <= now && now < until && isCurrent(issuer) && isVouchedFor
}
