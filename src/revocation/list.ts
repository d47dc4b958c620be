/** The port through which tokens are revoked before they expire. */

import type { RevocationKind } from '../telemetry/events.ts'

/** What is known of a verified token. A `VerifiedCredential` has all of these, too. */
export interface RevocationFacts {
  /** `iss` */
  readonly issuer: string
  /** `jti` */
  readonly tokenId: string | undefined
  /** `sid` */
  readonly sessionId: string | undefined
  /** `sub` */
  readonly subject: string | undefined
  /**
   * The earliest time at which it can have been issued, in milliseconds since the epoch: `iat` less the clock tolerance
   * of its issuer. A token without `iat` counts as issued before everything.
   */
  readonly issuedAtMillis: number | undefined
}

/**
 * What is revoked: one token, all tokens of a session, or all tokens of a subject that were issued up to a moment.
 * Tokens are named by what their issuer vouches for and never by their text, of which there may be two valid spellings.
 */
export type RevocationEntry = {
  /** `iss` of the tokens. */
  readonly issuer: string
  /**
   * When the last of these tokens expires, in milliseconds since the epoch; the entry is forgotten soon after. For a
   * session or a subject: now, plus the longest life of a token of this issuer. `Infinity` keeps it for ever.
   */
  readonly expiresAtMillis: number
} & (
  | {
      /** `jti` of the one token. */
      readonly tokenId: string
    }
  | {
      /** `sid` of the session. */
      readonly sessionId: string
    }
  | {
      /** `sub` of the subject. */
      readonly subject: string
      /**
       * Tokens issued later than this are good again, in milliseconds since the epoch. Default: now. When the token is
       * checked, `clockToleranceSeconds` of its issuer are added: its clock may be that far ahead, so `iat` may be
       * later than this although the token was issued before. `iat` has whole seconds, so those of the same second are
       * refused too.
       */
      readonly issuedBeforeMillis?: number
    }
)

/** Knows which tokens were revoked. Asked on every use of a token, in and out, so it answers from memory. */
export interface RevocationList {
  /** Whether the token has been revoked, as far as this process knows. Must not throw, block, or be slow. */
  isRevoked(token: RevocationFacts): boolean
  /** Whether the answers can be trusted now. While it is false, `revocation.onUnavailable` decides. */
  readonly available: boolean
  /** Revokes tokens: at once in this process, and in all that share the list when the promise is fulfilled. */
  revoke(entry: RevocationEntry): Promise<void>
}

/** A {@link RevocationEntry} in the form in which it is kept. */
export interface NormalizedEntry {
  readonly kind: RevocationKind
  readonly issuer: string
  readonly value: string
  readonly issuedBeforeMillis: number
  readonly expiresAtMillis: number
}

/**
 * Checks `entry` and fills in what it leaves open.
 *
 * @throws TypeError that names the wrong member, never its value.
 */
export function normalizeEntry(entry: RevocationEntry): NormalizedEntry {
  if (typeof entry !== 'object' || entry === null) throw new TypeError('entry: expected an object')
  const members = entry as Readonly<Record<string, unknown>>
  const issuer = textOf(members, 'issuer')
  const expiresAtMillis = timeOf(members, 'expiresAtMillis')
  const named = Object.entries(KINDS).filter(([member]) => Object.hasOwn(members, member))
  const [member, kind] = named[0] ?? []
  if (member === undefined || kind === undefined || named.length > 1) {
    throw new TypeError('entry: expected exactly one of tokenId, sessionId and subject')
  }
  const issuedBeforeMillis = kind === 'subject' ? issuedBeforeOf(members) : Number.POSITIVE_INFINITY
  return { kind, issuer, value: textOf(members, member), issuedBeforeMillis, expiresAtMillis }
}

const KINDS: Readonly<Record<string, RevocationKind>> = { tokenId: 'token', sessionId: 'session', subject: 'subject' }

function textOf(members: Readonly<Record<string, unknown>>, name: string): string {
  const value = Object.hasOwn(members, name) ? members[name] : undefined
  if (typeof value !== 'string' || value === '') throw new TypeError(`entry.${name}: expected a text`)
  return value
}

function timeOf(members: Readonly<Record<string, unknown>>, name: string): number {
  const value = Object.hasOwn(members, name) ? members[name] : undefined
  if (typeof value !== 'number' || !(value > 0)) {
    throw new TypeError(`entry.${name}: expected milliseconds since the epoch`)
  }
  return value
}

function issuedBeforeOf(members: Readonly<Record<string, unknown>>): number {
  const given = Object.hasOwn(members, 'issuedBeforeMillis') && members['issuedBeforeMillis'] !== undefined
  return given ? timeOf(members, 'issuedBeforeMillis') : Date.now()
}
