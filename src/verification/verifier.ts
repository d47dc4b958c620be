/** A presented credential becomes a verified one, or an error that says why not. */

import type { RevocationCheck } from '../revocation/check.ts'
import type { DecodedJws } from '../token/compact-jws.ts'
import { decodeCompactJws, isJws } from '../token/compact-jws.ts'
import type { Credential } from '../token/credential.ts'
import { InsufficientScopeError, TokenError, TokenRejectedError, UndecidedError } from '../token/errors.ts'
import { own } from '../token/own.ts'
import type { CredentialTraits, VerifiedCredential } from '../token/verified-credential.ts'
import { createVerifiedCredential } from '../token/verified-credential.ts'
import { checkClaims, validityOf } from './claim-rules.ts'
import { checkHeader } from './header-rules.ts'
import type { Issuer } from './issuer.ts'
import type { Issuers } from './issuers.ts'
import type { PublishedKey } from './published-keys.ts'
import { verifySignature } from './signature.ts'
import { createSingleFlight } from './single-flight.ts'
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
  readonly signingInput: string
  readonly claims: Readonly<Record<string, unknown>>
}

export function createVerifier(options: VerifierOptions): Verifier {
  const { issuers, checkRevocation, traits, maxEntries } = options
  const verified = createVerifiedTokens(maxEntries, issuers.isCurrent)
  const singleFlight = createSingleFlight<VerifiedToken>()

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

  async function verifyAnew(credential: Credential, text: string): Promise<VerifiedToken> {
    const token = vouchFor(credential, await (isJws(text) ? verifyJws(text) : introspect(text)))
    verified.set(text, token)
    return token
  }

  function vouchFor(credential: Credential, evidence: Evidence): VerifiedToken {
    const { signingInput, claims, ...others } = evidence
    const { issuer: name, scopeClaims, claimRules } = evidence.issuer
    const facts = { ...traits, credential, signingInput, issuer: name, claims, scopeClaims }
    const token = { ...others, credential: createVerifiedCredential(facts) }
    // Frozen by now, so that a rule cannot change what the next one sees.
    if (!claimRules.every((rule) => rule(token.credential.claims) === true)) {
      throw new TokenRejectedError('ERR_TOKEN_RULE')
    }
    return token
  }

  async function verifyJws(text: string, at?: Date): Promise<Evidence> {
    const decoded = decodeCompactJws(text)
    if (decoded === undefined) throw new TokenRejectedError('ERR_TOKEN_MALFORMED')
    const issuer = await issuerOf(decoded, issuers)
    checkBeforeKeys(text, decoded, issuer, at)
    const key = await verifyingKey(text, decoded, issuer, at)
    const { payload: claims, signingInput } = decoded
    return { issuer, signingInput, claims, keyThumbprint: key.thumbprint, validity: validityOf(claims, issuer) }
  }

  async function introspect(text: string): Promise<Evidence> {
    const issuer = issuers.introspecting
    if (issuer?.introspection === undefined) throw new TokenRejectedError('ERR_TOKEN_MALFORMED')
    if (text.length > issuer.maxTokenBytes) throw new TokenRejectedError('ERR_TOKEN_TOO_LARGE')
    const { claims, cachedUntil } = await issuer.introspection(text)
    const code = checkClaims(claims, issuer)
    if (code !== undefined) throw new TokenRejectedError(code)
    const { from, until } = validityOf(claims, issuer)
    // Never past `exp`, not even by the tolerance: the issuer can be asked again.
    const validity = { from, until: Math.min(until - issuer.clockToleranceSeconds, cachedUntil) }
    return { issuer, signingInput: text, claims, keyThumbprint: undefined, validity }
  }

  return {
    recall,
    recognize: verified.recognize,
    async verify(credential) {
      try {
        const text = credential.reveal()
        const recalled = verified.get(text)
        const token = recalled ?? (await singleFlight(text, () => verifyAnew(credential, text)))
        const refusal = refusalOf(token)
        if (refusal !== undefined) throw refusal
        return token.credential
      } catch (error) {
        throw asTokenError(error)
      }
    },
    async verifyAsOf(credential, atMillis) {
      try {
        const token = vouchFor(credential, await verifyJws(credential.reveal(), new Date(atMillis)))
        const refusal = lackOf(token.credential, token.issuer.requiredScopes)
        if (refusal !== undefined) throw refusal
        return token.credential
      } catch (error) {
        throw asTokenError(error)
      }
    },
  }
}

function asTokenError(error: unknown): TokenError {
  return error instanceof TokenError ? error : new UndecidedError('ERR_TOKEN_UNDECIDED')
}

function lackOf({ scopes }: VerifiedCredential, requiredScopes: readonly string[]): TokenError | undefined {
  const allowed = requiredScopes.every((scope) => scopes.includes(scope))
  return allowed ? undefined : new InsufficientScopeError(requiredScopes)
}

/** The unverified `iss` chooses the issuer, and with it the only keys that may verify the token (RFC 8725 §3.8). */
async function issuerOf({ payload }: DecodedJws, issuers: Issuers): Promise<Issuer> {
  const iss = own(payload, 'iss')
  const issuer = typeof iss === 'string' ? await issuers.find(iss) : undefined
  if (issuer === undefined) throw new TokenRejectedError('ERR_TOKEN_ISSUER')
  return issuer
}

/** Some issuers give a new key the name of the old one, or none: a signature that does not fit may be the new key's. */
async function verifyingKey(
  text: string,
  { header }: DecodedJws,
  issuer: Issuer,
  at: Date | undefined,
): Promise<PublishedKey> {
  const known = await issuer.keys.candidates(header)
  try {
    return await verifySignature(text, known, issuer, at)
  } catch (error) {
    if (!(error instanceof TokenError) || error.code !== 'ERR_TOKEN_SIGNATURE') throw error
    const published = await issuer.keys.lookAgain(header).catch(() => known)
    const unknown = published.filter(({ thumbprint }) => known.every((key) => key.thumbprint !== thumbprint))
    if (unknown.length === 0) throw error
    return verifySignature(text, unknown, issuer, at)
  }
}

/** Everything that can refuse a token without a key, so that garbage costs neither a fetch nor a signature check. */
function checkBeforeKeys(text: string, { header, payload }: DecodedJws, issuer: Issuer, at?: Date): void {
  if (text.length > issuer.maxTokenBytes) throw new TokenRejectedError('ERR_TOKEN_TOO_LARGE')
  const code = checkHeader(header, issuer) ?? checkClaims(payload, issuer, (at?.getTime() ?? Date.now()) / 1000)
  if (code !== undefined) throw new TokenRejectedError(code)
}
