/** Remembers verified tokens, and lets callers with the same token wait for one verification. */

import { createObjectMetadata } from '../base/object-metadata.ts'
import { ownProperty } from '../base/own-property.ts'
import type { RevocationCheck } from '../revocation/check.ts'
import { decodeJsonObject } from '../token/compact-jws.ts'
import type { UnverifiedCredential } from '../token/credential.ts'
import type { TokenErrorCode } from '../token/errors.ts'
import { asTokenError, cloneError, TokenError, UndecidedError } from '../token/errors.ts'
import type { CredentialPolicy, CredentialTraits, VerifiedCredential } from '../token/verified-credential.ts'
import type { Issuer } from './issuer.ts'
import type { Issuers } from './issuers.ts'
import { errorOf } from './refusal.ts'
import { expiredError, scopeError } from './refusals.ts'
import type { CacheKey } from './verification-cache.ts'
import { CachedVerification, cacheKeyOf, VerificationCache, verificationOf } from './verification-cache.ts'
import type { Verification, VerifyOptions } from './verify.ts'
import { verify, verifyJws } from './verify.ts'

export interface Verifier {
  /**
   * The credential that was made of exactly this text before, if it is a JWS whose signature was verified. It says
   * nothing about whether the token may be used. With it, a parser need not check the text again, and {@link
   * verifyCached} need not search the cache: a request asks the cache once.
   */
  findPresented(text: string): UnverifiedCredential | undefined
  /**
   * The outcome for a token that was verified before, without waiting; `undefined` if it must be verified. Asked on
   * every use, so that a revoked token is an error here although its signature was good a moment ago.
   */
  verifyCached(credential: UnverifiedCredential): VerifiedCredential | TokenError | undefined
  /**
   * Verifies a token that {@link verifyCached} does not know, or joins the verification of the same token that is under
   * way. The error comes at once if no key is needed to refuse the token; the promise rejects with a {@link TokenError}
   * and with nothing else.
   */
  startVerification(credential: UnverifiedCredential): TokenError | Promise<VerifiedCredential>
  /**
   * Whether a token that was refused with `code` is not one of an accepted issuer: it names another one or none, or it
   * is not a JWT. A damaged JWT whose claims still name an issuer of the configuration is that issuer's.
   */
  isForeign(credential: UnverifiedCredential, code: TokenErrorCode): boolean
  /**
   * Verifies a JWS as of an earlier time. Does not look at revocations, and remembers nothing: the caller must know
   * that the token was presented then. Rejects with a {@link TokenError}.
   */
  verifyAsOf(credential: UnverifiedCredential, atMillis: number): Promise<VerifiedCredential>
}

export interface VerifierOptions {
  readonly issuers: Issuers
  readonly checkRevocation: RevocationCheck
  readonly traits: CredentialTraits
  readonly maxEntries: number
}

export function createVerifier(options: VerifierOptions): Verifier {
  return new CachingVerifier(options)
}

/** A verification that is under way. */
interface Flight {
  readonly text: string
  readonly outcome: Promise<Verification>
}

class CachingVerifier implements Verifier {
  readonly #options: VerifierOptions
  readonly #cache: VerificationCache
  /** By the key of the token in the cache. */
  readonly #flights = new Map<CacheKey, Flight>()
  /** The verification of each verified credential, so that most need no look into the cache. */
  readonly #verifications = createObjectMetadata<CachedVerification>()
  readonly #policies = new WeakMap<Issuer, CredentialPolicy>()
  readonly #verifyOptions: VerifyOptions

  constructor(options: VerifierOptions) {
    this.#options = options
    this.#verifyOptions = { issuers: options.issuers, policyOf: (issuer) => this.#policyOf(issuer) }
    this.#cache = new VerificationCache(options.maxEntries, options.issuers.isCurrent)
  }

  findPresented(text: string): UnverifiedCredential | undefined {
    return this.#cache.find(text)?.presented
  }

  verifyCached(credential: UnverifiedCredential): VerifiedCredential | TokenError | undefined {
    const verification = this.#recall(credential)
    return verification === undefined ? undefined : (this.#refusalOf(verification) ?? verification.credential)
  }

  #recall(credential: UnverifiedCredential): Verification | undefined {
    const known = verificationOf(credential) ?? this.#verifications.get(credential)
    return known !== undefined && this.#cache.isUsable(known) ? known : this.#cache.get(credential.reveal())
  }

  startVerification(credential: UnverifiedCredential): TokenError | Promise<VerifiedCredential> {
    const text = credential.reveal()
    const key = cacheKeyOf(text)
    const flight = this.#flights.get(key)
    if (flight?.text === text) return flight.outcome.then(this.#use, rethrowClone)
    const outcome = this.#verify(text)
    return outcome instanceof TokenError ? outcome : this.#complete(key, { text, outcome })
  }

  #verify(text: string): TokenError | Promise<Verification> {
    try {
      return verify(text, this.#verifyOptions)
    } catch (error) {
      return asTokenError(error)
    }
  }

  /** Callers that come meanwhile with the same token wait for the same outcome. */
  #complete(key: CacheKey, { text, outcome }: Flight): Promise<VerifiedCredential> {
    const end = (): void => {
      if (this.#flights.get(key)?.text === text) this.#flights.delete(key)
    }
    this.#flights.set(key, { text, outcome })
    return outcome.then(
      (verification) => {
        end()
        this.#remember(text, verification)
        return this.#use(verification)
      },
      (error: unknown) => {
        end()
        throw asTokenError(error)
      },
    )
  }

  #remember(text: string, verification: Verification): void {
    const cached = new CachedVerification(text, verification)
    this.#cache.set(cached)
    this.#verifications.set(cached.credential, cached)
  }

  /** Checks again what may have changed while the verification was waited for. */
  readonly #use = (verification: Verification): VerifiedCredential => {
    if (hasExpired(verification)) throw expiredError(verification.issuer)
    const refusal = this.#refusalOf(verification)
    if (refusal !== undefined) throw refusal
    return verification.credential
  }

  /** Checks what may change while a token is valid, and is therefore never remembered. */
  #refusalOf({ credential, issuer }: Verification): TokenError | undefined {
    const verdict = this.#options.checkRevocation(credential)
    if (verdict === 'revoked') return errorOf({ code: 'ERR_TOKEN_REVOKED', found: 'the token was revoked' }, issuer)
    if (verdict === 'undecided') return new UndecidedError('ERR_TOKEN_REVOCATION_UNAVAILABLE', 1)
    return scopeError(credential, issuer)
  }

  isForeign(credential: UnverifiedCredential, code: TokenErrorCode): boolean {
    if (code !== 'ERR_TOKEN_MALFORMED') return code === 'ERR_TOKEN_ISSUER'
    const payload = credential.reveal().split('.')[1] ?? ''
    return !this.#options.issuers.configured.some(({ issuer }) => mentions(payload, issuer))
  }

  async verifyAsOf(credential: UnverifiedCredential, atMillis: number): Promise<VerifiedCredential> {
    try {
      const outcome = verifyJws(credential.reveal(), { ...this.#verifyOptions, at: new Date(atMillis) })
      if (outcome instanceof TokenError) throw outcome
      const { credential: verified, issuer } = await outcome
      const refusal = scopeError(verified, issuer)
      if (refusal !== undefined) throw refusal
      return verified
    } catch (error) {
      throw asTokenError(error)
    }
  }

  #policyOf(issuer: Issuer): CredentialPolicy {
    let policy = this.#policies.get(issuer)
    if (policy === undefined) {
      const { scopeClaims, roleClaims, clockToleranceSeconds } = issuer
      policy = { ...this.#options.traits, issuer: issuer.issuer, scopeClaims, roleClaims, clockToleranceSeconds }
      this.#policies.set(issuer, policy)
    }
    return policy
  }
}

/** Errors carry stacks, and can be changed. */
function rethrowClone(error: unknown): never {
  throw cloneError(asTokenError(error))
}

/** By the token itself: the answer of an issuer that was asked serves for a shorter time, and has just been given. */
function hasExpired({ credential, issuer, keyThumbprint, until }: Verification): boolean {
  const end = keyThumbprint === undefined ? credential.expiresAtMillis / 1000 + issuer.clockToleranceSeconds : until
  return end < Date.now() / 1000
}

/** Whether the claims name `issuer`, also if something in them is wrong that other readers of tokens pass over. */
function mentions(payload: string, issuer: string): boolean {
  const claims = decodeJsonObject(payload)
  if (claims !== undefined) return ownProperty(claims, 'iss') === issuer
  return unescapeJson(Buffer.from(payload, 'base64url').toString()).includes(JSON.stringify(issuer))
}

function unescapeJson(text: string): string {
  return text.replace(/\\(?:u([\da-f]{4})|\/)/gi, (_, code?: string) =>
    code === undefined ? '/' : String.fromCharCode(Number.parseInt(code, 16)),
  )
}
