/** A verified token with the facts that its issuer vouches for. Only a verified token may leave the process. */

import { inspect } from 'node:util'
import { ownProperty } from '../base/own-property.ts'
import { readActors } from './actors.ts'
import { signingInputOf } from './compact-jws.ts'
import { UnverifiedCredential } from './credential.ts'
import { fingerprint, pseudonym } from './fingerprint.ts'
import type { ClaimPath } from './roles.ts'
import { readRoles } from './roles.ts'
import { readScopes } from './scopes.ts'

/** Claims of a verified token (RFC 7519 §4), deeply frozen. */
export type Claims = Readonly<Record<string, unknown>>

/**
 * The verified token of the caller, read-only. Printing, serializing or cloning it shows at most a fingerprint.
 *
 * It does not authorize the caller: checking scopes, roles and ownership is the task of the application.
 */
export interface VerifiedCredential {
  /** `iss` of the token: exactly one of the configured issuers. */
  readonly issuer: string
  /** `sub` of the token; `undefined` if the token has none and `requiredClaims` does not require it. */
  readonly subject: string | undefined
  /** `aud` of the token, always as a list; empty if the token has none. */
  readonly audience: readonly string[]
  /**
   * All scopes of the token as one set: the members of `scope` (RFC 8693 §4.2), `scp` and `roles`, which may be lists
   * or separated by spaces, without duplicates. See `scopeClaims` of the issuer.
   */
  readonly scopes: readonly string[]
  /**
   * The roles of the token, from the claims that `roleClaims` of the issuer names, without duplicates. Empty if a claim
   * is anything but a text or a list of texts.
   */
  readonly roles: readonly string[]
  /** `jti` of the token (RFC 7519 §4.1.7), if it has one. */
  readonly tokenId: string | undefined
  /** `sid` of the token: the session at its issuer (OpenID Connect Front-Channel Logout 1.0 §3), if it has one. */
  readonly sessionId: string | undefined
  /** `iat` of the token in milliseconds since the epoch, if it has one. */
  readonly issuedAtMillis: number | undefined
  /** All claims, deeply frozen. They may hold personal data: do not log them. */
  readonly claims: Claims
  /** Expiry of the token in milliseconds since the epoch; `Infinity` if it has no `exp`. */
  readonly expiresAtMillis: number
  /** Short keyed hash of the token for logs; the same in all services with the same `fingerprintKey`. */
  readonly fingerprint: string
  /** Length of the raw token in bytes. */
  readonly byteLength: number
  /**
   * For streams and other long work: aborts within half a second after the token expires or is revoked. The reason is a
   * `TokenRejectedError`. If the relay already watches 100000 tokens, the signal is aborted from the start with an
   * `UndecidedError`. The signal does not keep the process alive, and does nothing after `relay.shutdown()`.
   */
  readonly signal: AbortSignal
  /**
   * Returns the raw token. It is a bearer credential: any reader can act as the caller. Do not log, store or send it;
   * the relay already forwards it to the named destinations.
   */
  reveal(): string
}

/** What all verified credentials of a relay share. */
export interface CredentialTraits {
  /** Key of the fingerprints. `undefined` means the name of the issuer. */
  readonly fingerprintKey: string | undefined
  /** How actors are recorded, see {@link actorsOf}. */
  readonly actors: 'hash' | 'plain'
  /** Key of the pseudonyms of subjects. `undefined`: there are none. */
  readonly pseudonymKey?: string | undefined
  /** Starts to watch a token for expiry and revocation. */
  readonly watch: (token: VerifiedCredential) => AbortSignal
  /** Knows the tokens in use, so that redaction can find them in telemetry. */
  readonly memory?: TokenMemory
}

/** Remembers the tokens in use, so that redaction recognizes their text. */
export interface TokenMemory {
  /** Changes if tokens may have been forgotten. Each token in use is then added again. */
  readonly generation: number
  created(text: string): void
  used(text: string): void
}

/** What the tokens of one issuer share. All of them refer to the same object. */
export interface CredentialPolicy extends CredentialTraits {
  readonly issuer: string
  readonly scopeClaims: readonly string[]
  readonly roleClaims: readonly ClaimPath[]
  /** How long after `exp` a token is still accepted, in seconds. Default 0. */
  readonly clockToleranceSeconds?: number
}

/** What the verifier knows about a verified token. */
export interface VerifiedFacts {
  readonly text: string
  readonly policy: CredentialPolicy
  /** The credential freezes them, so no other code may change them. */
  readonly claims: Claims
  /** Reads the claims from the token text at first use, so that a cached token does not hold its text twice. */
  readonly readClaims?: (text: string) => Claims
}

const NO_ACTORS: readonly string[] = Object.freeze([])

class VerifiedCredentialImpl extends UnverifiedCredential implements VerifiedCredential {
  readonly #policy: CredentialPolicy
  readonly #readClaims: VerifiedFacts['readClaims']
  readonly #expires: number | undefined
  readonly #hasActors: boolean
  // Computed at first use: most tokens are forwarded and never read.
  #claims: Claims | undefined
  #fingerprint: string | undefined
  #pseudonym: string | undefined
  #signal: AbortSignal | undefined
  #scopes: readonly string[] | undefined
  #roles: readonly string[] | undefined
  #audience: readonly string[] | undefined
  /** Generation of the memory that this token was last added to. */
  #generation = 0

  constructor({ text, policy, claims, readClaims }: VerifiedFacts) {
    super(text)
    this.#policy = policy
    this.#readClaims = readClaims
    const exp = ownProperty(claims, 'exp')
    this.#expires = typeof exp === 'number' ? exp : undefined
    this.#hasActors = ownProperty(claims, 'act') !== undefined
    if (readClaims === undefined) this.#claims = deepFreeze(claims)
  }

  static isVerified(value: unknown): value is VerifiedCredential {
    return typeof value === 'object' && value !== null && #policy in value
  }

  static hasExpired(value: VerifiedCredential, nowMillis: number): boolean {
    const tolerance = #policy in value ? ((value as VerifiedCredentialImpl).#policy.clockToleranceSeconds ?? 0) : 0
    return value.expiresAtMillis + tolerance * 1000 <= nowMillis
  }

  static actorsOf(value: unknown): readonly string[] {
    if (!VerifiedCredentialImpl.isVerified(value) || !(value as VerifiedCredentialImpl).#hasActors) return NO_ACTORS
    const { actors } = (value as VerifiedCredentialImpl).#policy
    const key = (value as VerifiedCredentialImpl).#key
    return readActors(value.claims, (name) => (actors === 'plain' ? name : fingerprint(name, key)))
  }

  static pseudonymOf(value: unknown): string | undefined {
    return VerifiedCredentialImpl.isVerified(value) ? (value as VerifiedCredentialImpl).#pseudonymOnce() : undefined
  }

  #pseudonymOnce(): string | undefined {
    const { pseudonymKey, issuer } = this.#policy
    if (pseudonymKey === undefined || this.subject === undefined) return undefined
    this.#pseudonym ??= pseudonym(issuer, this.subject, pseudonymKey)
    return this.#pseudonym
  }

  override reveal(): string {
    const { memory } = this.#policy
    if (memory !== undefined && memory.generation !== this.#generation) this.#addTo(memory)
    return super.reveal()
  }

  /** A revealed token is in use, and redaction must recognize it afterwards. */
  #addTo(memory: TokenMemory): void {
    memory.used(super.reveal())
    this.#generation = memory.generation
  }

  get #key(): string {
    return this.#policy.fingerprintKey ?? this.#policy.issuer
  }

  get issuer(): string {
    return this.#policy.issuer
  }

  get subject(): string | undefined {
    return this.#stringClaim('sub')
  }

  get tokenId(): string | undefined {
    return this.#stringClaim('jti')
  }

  get sessionId(): string | undefined {
    return this.#stringClaim('sid')
  }

  get issuedAtMillis(): number | undefined {
    const iat = ownProperty(this.claims, 'iat')
    return typeof iat === 'number' ? iat * 1000 : undefined
  }

  get audience(): readonly string[] {
    this.#audience ??= Object.freeze(audienceOf(ownProperty(this.claims, 'aud')))
    return this.#audience
  }

  get scopes(): readonly string[] {
    this.#scopes ??= Object.freeze(readScopes(this.claims, this.#policy.scopeClaims))
    return this.#scopes
  }

  get roles(): readonly string[] {
    this.#roles ??= Object.freeze(readRoles(this.claims, this.#policy.roleClaims))
    return this.#roles
  }

  get claims(): Claims {
    this.#claims ??= deepFreeze(this.#readClaims?.(this.reveal()) ?? {})
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

  #stringClaim(claim: string): string | undefined {
    const value = ownProperty(this.claims, claim)
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

/** Creates a verified credential. Only `verification/` may call this function; a test checks that. */
export function createVerifiedCredential(facts: VerifiedFacts): VerifiedCredential {
  facts.policy.memory?.created(facts.text)
  facts.policy.memory?.used(facts.text)
  return new VerifiedCredentialImpl(facts)
}

/** Returns whether {@link createVerifiedCredential} of this copy of the package created `value`. */
export function isVerifiedCredential(value: unknown): value is VerifiedCredential {
  return VerifiedCredentialImpl.isVerified(value)
}

/** Returns whether the token has expired. Ingress and egress apply the same clock tolerance. */
export function hasExpired(credential: VerifiedCredential): boolean {
  return VerifiedCredentialImpl.hasExpired(credential, Date.now())
}

/**
 * Returns the actors that act for the subject of `credential`, the current one first (`sub` of `act`, RFC 8693 §4.1),
 * in the form that may be recorded: keyed hashes, or plain names if the configuration says that they name services.
 */
export function actorsOf(credential: VerifiedCredential): readonly string[] {
  return VerifiedCredentialImpl.actorsOf(credential)
}

/** Returns the keyed hash of the subject that may be recorded; `undefined` if the configuration wants none. */
export function pseudonymOf(credential: VerifiedCredential): string | undefined {
  return VerifiedCredentialImpl.pseudonymOf(credential)
}

function audienceOf(aud: unknown): string[] {
  const values: unknown[] = Array.isArray(aud) ? aud : [aud]
  return values.filter((value) => typeof value === 'string')
}

/** Freezes without recursion, so that a deeply nested claim cannot exhaust the stack. */
function deepFreeze<T extends object>(root: T): T {
  const pending: object[] = [root]
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    Object.freeze(value)
    for (const member of Object.values(value)) {
      if (typeof member === 'object' && member !== null) pending.push(member)
    }
  }
  return root
}
