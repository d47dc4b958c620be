/** A token that was verified, with the facts that its issuer vouches for. The only kind that may leave the process. */

import { inspect } from 'node:util'
import { actorsIn } from './actors.ts'
import { signingInputOf } from './compact-jws.ts'
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
  /**
   * What the token allows, as one set whatever its issuer calls it: the members of `scope` (RFC 8693 §4.2), `scp` and
   * `roles`, as lists or separated by spaces, without duplicates. See `scopeClaims` of the issuer.
   */
  readonly scopes: readonly string[]
  /** `jti` of the token (RFC 7519 §4.1.7), where it has one. */
  readonly tokenId: string | undefined
  /** `sid` of the token: the session at its issuer (OpenID Connect Front-Channel Logout 1.0 §3), where it has one. */
  readonly sessionId: string | undefined
  /** `iat` of the token, in milliseconds since the epoch, where it has one. */
  readonly issuedAtMillis: number | undefined
  /** All claims, deeply frozen. They may hold personal data; keep them out of logs. */
  readonly claims: Claims
  /** When the token expires, in milliseconds since the epoch; `Infinity` where it has no `exp`. */
  readonly expiresAtMillis: number
  /** Short keyed hash of the token, fit for logs; the same in every service with the same `fingerprintKey`. */
  readonly fingerprint: string
  /** How long the raw token is, in bytes. */
  readonly byteLength: number
  /**
   * Aborts when the token expires or is revoked, half a second late at most, for streams and other long work. Its reason
   * is a `TokenRejectedError`; where 100000 tokens are watched already, the signal is aborted from the beginning, with
   * an `UndecidedError`. Keeps no process alive, and does nothing after `relay.shutdown()`.
   */
  readonly signal: AbortSignal
  /**
   * The raw token. It is a bearer credential: whoever reads it is the caller. Never log it, never store it, and send it
   * nowhere: the relay already forwards it to the destinations that were named.
   */
  reveal(): string
}

/** What all credentials of a relay have in common. */
export interface CredentialTraits {
  /** Key of the fingerprints; `undefined`: the name of the issuer. */
  readonly fingerprintKey: string | undefined
  /** How actors are told of, see {@link actorsOf}. */
  readonly actors: 'hash' | 'plain'
  /** Watches over a token from now on. */
  readonly watch: (token: VerifiedCredential) => AbortSignal
  /** Told the text of every token, to find it where it must not be. */
  readonly remember?: (text: string) => void
}

/** What the tokens of an issuer have in common. One object for all of them. */
export interface CredentialPolicy extends CredentialTraits {
  readonly issuer: string
  readonly scopeClaims: readonly string[]
}

/** What the verifier knows when it makes a credential. */
export interface VerifiedFacts {
  readonly text: string
  readonly policy: CredentialPolicy
  /** Nobody else may hold them. */
  readonly claims: Claims
  /** Reads the claims out of a text that holds them. They take as much room as the text, and are kept once they are read. */
  readonly readClaims?: (text: string) => Claims
}

class VerifiedToken extends Credential implements VerifiedCredential {
  readonly #policy: CredentialPolicy
  readonly #readClaims: VerifiedFacts['readClaims']
  readonly #expires: number | undefined
  readonly #hasActors: boolean
  // Made when somebody asks: most tokens are forwarded and never looked into.
  #claims: Claims | undefined
  #fingerprint: string | undefined
  #signal: AbortSignal | undefined
  #scopes: readonly string[] | undefined
  #audience: readonly string[] | undefined

  constructor({ text, policy, claims, readClaims }: VerifiedFacts) {
    super(text)
    this.#policy = policy
    this.#readClaims = readClaims
    const exp = own(claims, 'exp')
    this.#expires = typeof exp === 'number' ? exp : undefined
    this.#hasActors = own(claims, 'act') !== undefined
    if (readClaims === undefined) this.#claims = deepFrozen(claims)
  }

  static isVerified(value: unknown): value is VerifiedCredential {
    return typeof value === 'object' && value !== null && #policy in value
  }

  static actorsOf(value: unknown): readonly string[] {
    if (!VerifiedToken.isVerified(value) || !(value as VerifiedToken).#hasActors) return []
    const { actors } = (value as VerifiedToken).#policy
    const key = (value as VerifiedToken).#key
    return actorsIn(value.claims, (name) => (actors === 'plain' ? name : fingerprint(name, key)))
  }

  get #key(): string {
    return this.#policy.fingerprintKey ?? this.#policy.issuer
  }

  get issuer(): string {
    return this.#policy.issuer
  }

  get subject(): string | undefined {
    return this.#text('sub')
  }

  get tokenId(): string | undefined {
    return this.#text('jti')
  }

  get sessionId(): string | undefined {
    return this.#text('sid')
  }

  get issuedAtMillis(): number | undefined {
    const iat = own(this.claims, 'iat')
    return typeof iat === 'number' ? iat * 1000 : undefined
  }

  get audience(): readonly string[] {
    this.#audience ??= Object.freeze(audienceOf(own(this.claims, 'aud')))
    return this.#audience
  }

  get scopes(): readonly string[] {
    this.#scopes ??= Object.freeze(scopesOf(this.claims, this.#policy.scopeClaims))
    return this.#scopes
  }

  get claims(): Claims {
    this.#claims ??= deepFrozen(this.#readClaims?.(this.reveal()) ?? {})
    return this.#claims
  }

  get expiresAtMillis(): number {
    return this.#expires === undefined ? Number.POSITIVE_INFINITY : this.#expires * 1000
  }

  get fingerprint(): string {
    this.#fingerprint ??= fingerprint(signingInputOf(this.reveal()), this.#key)
    return this.#fingerprint
  }

  get signal(): AbortSignal {
    this.#signal ??= this.#policy.watch(this)
    return this.#signal
  }

  #text(claim: string): string | undefined {
    const value = own(this.claims, claim)
    return typeof value === 'string' ? value : undefined
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
  facts.policy.remember?.(facts.text)
  return new VerifiedToken(facts)
}

/** Whether `value` was made by {@link createVerifiedCredential} of this copy of the package; look-alikes are not. */
export function isVerifiedCredential(value: unknown): value is VerifiedCredential {
  return VerifiedToken.isVerified(value)
}

/**
 * Who acts for the subject of `credential`, the current actor first (`sub` of `act`, RFC 8693 §4.1), as it may be told: as
 * keyed hashes, unless the configuration says that the names are those of services.
 */
export function actorsOf(credential: VerifiedCredential): readonly string[] {
  return VerifiedToken.actorsOf(credential)
}

function scopesOf(claims: Claims, names: readonly string[]): string[] {
  const members = names.flatMap((name) => {
    const value = own(claims, name)
    return typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? (value as unknown[]) : []
  })
  return [...new Set(members.filter((member) => typeof member === 'string' && member !== ''))] as string[]
}

function audienceOf(aud: unknown): string[] {
  const values: unknown[] = Array.isArray(aud) ? aud : [aud]
  return values.filter((value) => typeof value === 'string')
}

/** Iterative, so that a deeply nested claim cannot exhaust the stack. */
function deepFrozen<T extends object>(root: T): T {
  const pending: object[] = [root]
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    Object.freeze(value)
    for (const member of Object.values(value)) {
      if (typeof member === 'object' && member !== null) pending.push(member)
    }
  }
  return root
}
