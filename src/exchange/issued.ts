/** Checks that an issued token is the requested one: no wider, of the same subject and kind (RFC 8693 §2.2.1). */

import { ownProperty } from '../base/own-property.ts'
import type { TokenRequest } from '../destination/token-request.ts'
import { isJws } from '../token/compact-jws.ts'
import { ExchangeError, TokenError } from '../token/errors.ts'
import type { CredentialTraits, VerifiedCredential } from '../token/verified-credential.ts'
import { verifyIssuedToken } from '../verification/issued-token.ts'
import type { Issuer } from '../verification/issuer.ts'
import type { GrantType } from './grant.ts'
import { isTokenType } from './grant.ts'
import type { ClientSettings } from './settings.ts'
import type { TokenResponse } from './token-protocol.ts'
import type { ObtainedToken } from './token-source.ts'

/** What was requested, from which issuer, and for which subject. */
export interface IssueRequest {
  readonly issuer: Issuer
  readonly settings: ClientSettings
  readonly traits: CredentialTraits
  readonly grant: GrantType
  readonly request: TokenRequest
  /** The token that was exchanged; `undefined` if the service asked for a token for itself. */
  readonly subject: VerifiedCredential | undefined
  /** The token that this one replaces, which must have the same subject. */
  readonly previous: VerifiedCredential | undefined
}

/** Longest token that is accepted. */
const MAX_TOKEN_BYTES = 65_536
// RFC 6750 §2.1: what may follow `Bearer`, and breaks no header.
const B64TOKEN = /^[\w\-.~+/]+=*$/

/** Checks a response of `obtainedAtMillis`. Rejects only with an {@link ExchangeError}. */
export async function acceptIssued(
  response: TokenResponse,
  asked: IssueRequest,
  obtainedAtMillis = Date.now(),
): Promise<ObtainedToken> {
  if (!hasRequestedType(response, asked)) refuse()
  const credential = await verify(response, asked, obtainedAtMillis)
  // Not the caller's own token again, not even in another spelling of its signature.
  if (credential.fingerprint === asked.subject?.fingerprint) refuse()
  const wanted =
    hasSameSubject(credential, asked) &&
    hasOnlyRequestedAudiences(credential, asked) &&
    hasNoMoreScopes(credential, response, asked)
  if (!wanted) refuse()
  if (credential.expiresAtMillis - obtainedAtMillis > asked.settings.maxLifetimeMillis) refuse()
  const { expiresInSeconds = Number.POSITIVE_INFINITY } = response
  const usableUntilMillis = Math.min(credential.expiresAtMillis, obtainedAtMillis + expiresInSeconds * 1000)
  return { credential, obtainedAtMillis, usableUntilMillis }
}

function refuse(): never {
  throw new ExchangeError('ERR_TOKEN_EXCHANGE_RESULT')
}

function hasRequestedType(
  { accessToken, tokenType, issuedTokenType }: TokenResponse,
  { grant, request }: IssueRequest,
): boolean {
  if (tokenType.toLowerCase() !== 'bearer') return false
  if (accessToken.length > MAX_TOKEN_BYTES || !B64TOKEN.test(accessToken)) return false
  if (request.tokenType === 'jwt' && !isJws(accessToken)) return false
  // Required for an exchange (RFC 8693 §2.2.1), unknown to the other grants.
  return issuedTokenType === undefined ? grant !== 'token_exchange' : isTokenType(issuedTokenType, request)
}

async function verify(
  response: TokenResponse,
  asked: IssueRequest,
  obtainedAtMillis: number,
): Promise<VerifiedCredential> {
  const { issuer, traits } = asked
  const audience = audienceOf(asked)
  try {
    return await verifyIssuedToken({
      text: response.accessToken,
      issuer,
      audience: audience.length === 0 ? null : audience,
      described: describe(response, asked, obtainedAtMillis),
      traits,
    })
  } catch (error) {
    const undecided = !(error instanceof TokenError) || error.retryable
    throw new ExchangeError(undecided ? 'ERR_TOKEN_EXCHANGE_UNAVAILABLE' : 'ERR_TOKEN_EXCHANGE_RESULT')
  }
}

/** Describes an opaque token as claims. Without `expires_in` it is valid for the second that it takes to send it. */
function describe(
  response: TokenResponse,
  asked: IssueRequest,
  obtainedAtMillis: number,
): Readonly<Record<string, unknown>> {
  const { expiresInSeconds = 1, scope = asked.request.scope.join(' ') } = response
  const obtainedAt = Math.floor(obtainedAtMillis / 1000)
  return {
    iss: asked.issuer.issuer,
    aud: audienceOf(asked),
    iat: obtainedAt,
    exp: obtainedAt + expiresInSeconds,
    // A revocation for the caller then also revokes the tokens that came from its token.
    ...Object.fromEntries(
      ['sub', 'sid', asked.settings.subjectClaim].flatMap((name) => {
        const value = asked.subject === undefined ? undefined : ownProperty(asked.subject.claims, name)
        return value === undefined ? [] : [[name, value]]
      }),
    ),
    scope,
  }
}

function audienceOf({ request: { audience, resource } }: IssueRequest): readonly string[] {
  return [...audience, ...resource]
}

/** A service that gets a token with more audiences could use it at the others (RFC 8707 §2). */
function hasOnlyRequestedAudiences({ audience }: VerifiedCredential, asked: IssueRequest): boolean {
  const wanted = audienceOf(asked)
  return wanted.length === 0 || audience.every((name) => wanted.includes(name))
}

function hasSameSubject({ claims }: VerifiedCredential, { subject, previous, settings }: IssueRequest): boolean {
  const of = (token: VerifiedCredential): unknown => ownProperty(token.claims, settings.subjectClaim)
  const actual = ownProperty(claims, settings.subjectClaim)
  if (subject !== undefined) return actual !== undefined && actual === of(subject)
  return previous === undefined || actual === of(previous)
}

/** Neither the token nor the response may have more scopes than were requested. */
function hasNoMoreScopes(
  { scopes }: VerifiedCredential,
  response: TokenResponse,
  { request, subject }: IssueRequest,
): boolean {
  // Without a scope in the request the subject's scopes are the limit. A service that asks for itself has no limit.
  const limit = request.scope.length > 0 ? request.scope : subject?.scopes
  const granted = [...scopes, ...(response.scope?.split(' ') ?? [])].filter((name) => name !== '')
  return limit === undefined || granted.every((scope) => limit.includes(scope))
}
