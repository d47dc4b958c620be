/** A presented credential becomes a verified one, or an error that says why not. */

import type { RevocationCheck } from '../revocation/check.ts'
import type { DecodedJws } from '../token/compact-jws.ts'
import { claimsIn, decodeCompactJws, isJws } from '../token/compact-jws.ts'
import type { Credential } from '../token/credential.ts'
import { cloneError, InsufficientScopeError, TokenError, TokenRejectedError, UndecidedError } from '../token/errors.ts'
import { own } from '../token/own.ts'
import type { CredentialPolicy, CredentialTraits, VerifiedCredential } from '../token/verified-credential.ts'
import { createVerifiedCredential } from '../token/verified-credential.ts'
import { checkClaims, validityOf } from './claim-rules.ts'
import { checkHeader } from './header-rules.ts'
import type { Issuer } from './issuer.ts'
import type { Issuers } from './issuers.ts'
import type { PublishedKey } from './published-keys.ts'
import { verifySignature } from './signature.ts'
import { nameOf } from './token-name.ts'
import type { VerifiedToken } from './verified-tokens.ts'
import { createVerifiedTokens } from './verified-tokens.ts'

export interface Verifier {
  /**
   * The outcome for a token that was verified before, without waiting; `undefined` where it must be verified. Asked on
   * every use, so that a revoked token is an error here although its signature was good a moment ago.
   */
  recall(credential: Credential): VerifiedCredential | TokenError | undefined
  /** `text` as it is remembered, where it is a JWS whose signature was verified; not whether it may be used. */
  recognize(text: string): string | undefined
  /**
   * What {@link verify} does, for a token that {@link recall} does not know: the error at once where no key is needed to
   * refuse it, else a promise that rejects with a {@link TokenError} and with nothing else.
   */
  decide(credential: Credential): TokenError | Promise<VerifiedCredential>
  /** Resolves with the verified credential; rejects with a {@link TokenError} and with nothing else. */
  verify(credential: Credential): Promise<VerifiedCredential>
  /**
   * What {@link verify} would have resolved with at an earlier time, for a JWS: revocations are not looked at, and nothing
   * is remembered. Whoever uses it must know that it was presented then. Rejects with a {@link TokenError}.
   */
  verifyAsOf(credential: Credential, atMillis: number): Promise<VerifiedCredential>
}

export interface VerifierOptions {
  readonly issuers: Issuers
  readonly checkRevocation: RevocationCheck
  readonly traits: CredentialTraits
  readonly maxEntries: number
}

/** What vouches for a token. */
interface Evidence extends Omit<VerifiedToken, 'credential'> {
  readonly claims: Readonly<Record<string, unknown>>
}

/** A JWS of which everything is good that can be seen without a key. */
interface Examined extends DecodedJws {
  readonly issuer: Issuer
  readonly alg: string
  /** That may have signed it. */
  readonly keys: readonly PublishedKey[] | Promise<readonly PublishedKey[]>
}

/** A verification that is under way, for whoever comes with the same token meanwhile. */
interface Flight {
  readonly text: string
  readonly outcome: Promise<VerifiedToken>
}

export function createVerifier(options: VerifierOptions): Verifier {
  const { issuers, checkRevocation, traits, maxEntries } = options
  const verified = createVerifiedTokens(maxEntries, issuers.isCurrent)
  const flights = new Map<string, Flight>()
  const policies = new WeakMap<Issuer, CredentialPolicy>()

  function recall(credential: Credential): VerifiedCredential | TokenError | undefined {
    const token = verified.get(credential.reveal())
    return token === undefined ? undefined : (refusalOf(token) ?? token.credential)
  }

  /** What may change while a token is valid, and is therefore never remembered. */
  function refusalOf({ credential, issuer: { requiredScopes } }: VerifiedToken): TokenError | undefined {
    const verdict = checkRevocation(credential)
    if (verdict === 'revoked') return new TokenRejectedError('ERR_TOKEN_REVOKED')
    if (verdict === 'undecided') return new UndecidedError('ERR_TOKEN_REVOCATION_UNAVAILABLE', 1)
    return lackOf(credential, requiredScopes)
  }

  function decide(credential: Credential): TokenError | Promise<VerifiedCredential> {
    const text = credential.reveal()
    const name = nameOf(text)
    const flight = flights.get(name)
    if (flight?.text === text) return joined(flight)
    const examined = isJws(text) ? examine(text, issuers) : refusalOfOpaque(text, issuers)
    if (examined instanceof TokenError) return examined
    const outcome = verifyAnew(text, examined)
    if (flight !== undefined) return concluded(outcome)
    flights.set(name, { text, outcome })
    return concluded(outcome, name)
  }

  /** An error of its own for each of those who wait for the same outcome. */
  async function joined({ outcome }: Flight): Promise<VerifiedCredential> {
    try {
      return accepted(await outcome)
    } catch (error) {
      throw cloneError(asTokenError(error))
    }
  }

  async function concluded(outcome: Promise<VerifiedToken>, name?: string): Promise<VerifiedCredential> {
    try {
      return accepted(await outcome)
    } catch (error) {
      throw asTokenError(error)
    } finally {
      if (name !== undefined) flights.delete(name)
    }
  }

  function accepted(token: VerifiedToken): VerifiedCredential {
    const refusal = refusalOf(token)
    if (refusal !== undefined) throw refusal
    return token.credential
  }

  async function verifyAnew(text: string, examined: Examined | Promise<Examined> | undefined): Promise<VerifiedToken> {
    const evidence = examined === undefined ? introspect(text) : verifyJws(text, examined)
    const token = vouchFor(text, await evidence)
    verified.set(token)
    return token
  }

  function vouchFor(text: string, { issuer, keyThumbprint, from, until, claims }: Evidence): VerifiedToken {
    const facts = {
      text,
      policy: policyOf(issuer),
      claims,
      ...(keyThumbprint === undefined ? {} : { readClaims: claimsIn }),
    }
    const credential = createVerifiedCredential(facts)
    // Frozen, so that a rule cannot change what the next one sees.
    if (!issuer.claimRules.every((rule) => rule(credential.claims) === true)) {
      throw new TokenRejectedError('ERR_TOKEN_RULE')
    }
    return { credential, issuer, keyThumbprint, from, until }
  }

  function policyOf(issuer: Issuer): CredentialPolicy {
    let policy = policies.get(issuer)
    if (policy === undefined) {
      policy = { ...traits, issuer: issuer.issuer, scopeClaims: issuer.scopeClaims }
      policies.set(issuer, policy)
    }
    return policy
  }

  async function introspect(text: string): Promise<Evidence> {
    const issuer = issuers.introspecting
    if (issuer?.introspection === undefined) throw new TokenRejectedError('ERR_TOKEN_MALFORMED')
    const { claims, cachedUntil } = await issuer.introspection(text)
    const code = checkClaims(claims, issuer)
    if (code !== undefined) throw new TokenRejectedError(code)
    const { from, until } = validityOf(claims, issuer)
    // Never past `exp`, not even by the tolerance: the issuer can be asked again.
    const asked = Math.min(until - issuer.clockToleranceSeconds, cachedUntil)
    return { issuer, claims, keyThumbprint: undefined, from, until: asked }
  }

  return {
    recall,
    recognize: verified.recognize,
    decide,
    async verify(credential) {
      const outcome = recall(credential) ?? decide(credential)
      if (outcome instanceof TokenError) throw outcome
      return outcome
    },
    async verifyAsOf(credential, atMillis) {
      try {
        const text = credential.reveal()
        const at = new Date(atMillis)
        const examined = isJws(text) ? examine(text, issuers, at) : new TokenRejectedError('ERR_TOKEN_MALFORMED')
        if (examined instanceof TokenError) throw examined
        const token = vouchFor(text, await verifyJws(text, examined, at))
        const refusal = lackOf(token.credential, token.issuer.requiredScopes)
        if (refusal !== undefined) throw refusal
        return token.credential
      } catch (error) {
        throw asTokenError(error)
      }
    },
  }
}

/** Why an issuer is not even asked about a token. */
function refusalOfOpaque(text: string, { introspecting }: Issuers): TokenError | undefined {
  if (introspecting === undefined) return new TokenRejectedError('ERR_TOKEN_MALFORMED')
  return text.length > introspecting.maxTokenBytes ? new TokenRejectedError('ERR_TOKEN_TOO_LARGE') : undefined
}

function asTokenError(error: unknown): TokenError {
  return error instanceof TokenError ? error : new UndecidedError('ERR_TOKEN_UNDECIDED')
}

function lackOf(credential: VerifiedCredential, requiredScopes: readonly string[]): TokenError | undefined {
  const allowed = requiredScopes.every((scope) => credential.scopes.includes(scope))
  return allowed ? undefined : new InsufficientScopeError(requiredScopes)
}

/** Everything that can refuse a token without a key, so that garbage costs neither a fetch nor a signature check. */
function examine(text: string, issuers: Issuers, at?: Date): Examined | TokenError | Promise<Examined> {
  try {
    return examineText(text, issuers, at)
  } catch (error) {
    return asTokenError(error)
  }
}

function examineText(text: string, issuers: Issuers, at?: Date): Examined | TokenError | Promise<Examined> {
  const decoded = decodeCompactJws(text)
  if (decoded === undefined) return new TokenRejectedError('ERR_TOKEN_MALFORMED')
  // The unverified `iss` chooses the issuer, and with it the only keys that may verify the token (RFC 8725 §3.8).
  const iss = own(decoded.payload, 'iss')
  const issuer = typeof iss === 'string' ? issuers.find(iss) : undefined
  return issuer instanceof Promise ? examineLater(text, decoded, issuer, at) : examineFor(text, decoded, issuer, at)
}

async function examineLater(
  text: string,
  decoded: DecodedJws,
  asked: Promise<Issuer | undefined>,
  at: Date | undefined,
): Promise<Examined> {
  const examined = examineFor(text, decoded, await asked, at)
  if (examined instanceof TokenError) throw examined
  return examined
}

function examineFor(
  text: string,
  decoded: DecodedJws,
  issuer: Issuer | undefined,
  at: Date | undefined,
): Examined | TokenError {
  if (issuer === undefined) return new TokenRejectedError('ERR_TOKEN_ISSUER')
  if (text.length > issuer.maxTokenBytes) return new TokenRejectedError('ERR_TOKEN_TOO_LARGE')
  const { header, payload } = decoded
  const now = (at?.getTime() ?? Date.now()) / 1000
  const code = checkHeader(header, issuer) ?? checkClaims(payload, issuer, now)
  if (code !== undefined) return new TokenRejectedError(code)
  const keys = issuer.keys.candidates(header)
  if (!(keys instanceof Promise) && keys.length === 0) return new TokenRejectedError('ERR_TOKEN_KEY')
  // A text, as `checkHeader` has seen.
  return { header, payload, issuer, alg: own(header, 'alg') as string, keys }
}

async function verifyJws(text: string, examined: Examined | Promise<Examined>, at?: Date): Promise<Evidence> {
  const jws = examined instanceof Promise ? await examined : examined
  const { thumbprint } = await verifyingKey(text, jws, at)
  const { issuer, payload: claims } = jws
  return { issuer, claims, keyThumbprint: thumbprint, ...validityOf(claims, issuer) }
}

/** Some issuers give a new key the name of the old one, or none: a signature that does not fit may be the new key's. */
async function verifyingKey(
  text: string,
  { header, alg, issuer, keys }: Examined,
  at: Date | undefined,
): Promise<PublishedKey> {
  const known = keys instanceof Promise ? await keys : keys
  try {
    return await verifySignature(text, alg, known, issuer, at)
  } catch (error) {
    if (!(error instanceof TokenError) || error.code !== 'ERR_TOKEN_SIGNATURE') throw error
    const published = await issuer.keys.lookAgain(header).catch(() => known)
    const unknown = published.filter(({ thumbprint }) => known.every((key) => key.thumbprint !== thumbprint))
    if (unknown.length === 0) throw error
    return verifySignature(text, alg, unknown, issuer, at)
  }
}
