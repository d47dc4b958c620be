/** A token that was verified, with the facts that its issuer vouches for. The only kind that may leave the process. */

import { inspect } from 'node:util'
import { Credential } from './credential.ts'
import { fingerprint } from './fingerprint.ts'
import { own } from './own.ts'

/** Claims of a verified token (RFC 7519 §4), deeply frozen. */
export type Claims = Readonly<Record<string, unknown>>

/**
 * The caller's verified token, read-only. Printing, serializing or cloning it shows a fingerprint at most.
 *
 * It does not say that the caller may do anything: authorization (scopes, roles, ownership) is the application's.
 */
export interface VerifiedCredential {
  /** `iss` of the token: exactly one of the configured issuers. */
  readonly issuer: string
  /** `sub` of the token, or `undefined` where `requiredClaims` does not ask for one and the token has none. */
  readonly subject: string | undefined
  /** `aud` of the token, always as a list; empty where the token has none. */
  readonly audience: readonly string[]
  /** The members of the `scope` claim (RFC 8693 §4.2), without duplicates. */
  readonly scopes: readonly string[]
  /** All claims, deeply frozen. They may hold personal data; keep them out of logs. */
  readonly claims: Claims
  /** When the token expires, in milliseconds since the epoch; `Infinity` where it has no `exp`. */
  readonly expiresAtMillis: number
  /** Short keyed hash of the token, fit for logs; the same in every service with the same `fingerprintKey`. */
  readonly fingerprint: string
  /**
   * The raw token. It is a bearer credential: whoever reads it is the caller. Never log it, never store it, and send it
   * nowhere: the relay already forwards it to the destinations that were named.
   */
  reveal(): string
}

/** What the verifier knows when it makes a credential. */
export interface VerifiedFacts {
  readonly credential: Credential
  readonly signingInput: string
  readonly issuer: string
  readonly claims: Record<string, unknown>
  readonly fingerprintKey: string
}

class VerifiedToken extends Credential implements VerifiedCredential {
  readonly #facts: VerifiedFacts
  #fingerprint: string | undefined
  readonly #scopes: readonly string[]
  readonly #audience: readonly string[]

  constructor(facts: VerifiedFacts) {
    super(facts.credential.reveal())
    this.#facts = facts
    deepFreeze(facts.claims)
    this.#scopes = Object.freeze(scopesOf(own(facts.claims, 'scope')))
    this.#audience = Object.freeze(audienceOf(own(facts.claims, 'aud')))
  }

  static isVerified(value: unknown): value is VerifiedCredential {
    return typeof value === 'object' && value !== null && #facts in value
  }

  get issuer(): string {
    return this.#facts.issuer
  }

  get subject(): string | undefined {
    const sub = own(this.#facts.claims, 'sub')
    return typeof sub === 'string' ? sub : undefined
  }

  get audience(): readonly string[] {
    return this.#audience
  }

  get scopes(): readonly string[] {
    return this.#scopes
  }

  get claims(): Claims {
    return this.#facts.claims
  }

  get expiresAtMillis(): number {
    const exp = own(this.#facts.claims, 'exp')
    return typeof exp === 'number' ? exp * 1000 : Number.POSITIVE_INFINITY
  }

  get fingerprint(): string {
    this.#fingerprint ??= fingerprint(this.#facts.signingInput, this.#facts.fingerprintKey)
    return this.#fingerprint
  }

  override toJSON(): string {
    return this.toString()
  }

  override toString(): string {
    return `[VerifiedCredential ${this.fingerprint}]`
  }

  override [inspect.custom](): string {
    return this.toString()
  }
}

/** Makes a verified credential. Only `verification/` may call it: a test looks for other callers. */
export function createVerifiedCredential(facts: VerifiedFacts): VerifiedCredential {
  return new VerifiedToken(facts)
}

/** Whether `value` was made by {@link createVerifiedCredential} of this copy of the package; look-alikes are not. */
export function isVerifiedCredential(value: unknown): value is VerifiedCredential {
  return VerifiedToken.isVerified(value)
}

function scopesOf(scope: unknown): string[] {
  return typeof scope === 'string' ? [...new Set(scope.split(' '))].filter((name) => name !== '') : []
}

function audienceOf(aud: unknown): string[] {
  const values: unknown[] = Array.isArray(aud) ? aud : [aud]
  return values.filter((value) => typeof value === 'string')
}

/** Iterative, so that a deeply nested claim cannot exhaust the stack. */
function deepFreeze(root: object): void {
  const pending: object[] = [root]
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    Object.freeze(value)
    for (const member of Object.values(value)) {
      if (typeof member === 'object' && member !== null) pending.push(member)
    }
  }
}
