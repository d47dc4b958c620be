/** Whether a token is the one that was asked for: nothing wider, of nobody else, of no other kind (RFC 8693 §2.2.1). */

import type { TokenRequest } from '../destination/token-request.ts'
import { isJws } from '../token/compact-jws.ts'
import { ExchangeError, TokenError } from '../token/errors.ts'
import { own } from '../token/own.ts'
import type { CredentialTraits, VerifiedCredential } from '../token/verified-credential.ts'
import { verifyIssuedToken } from '../verification/issued-token.ts'
import type { Issuer } from '../verification/issuer.ts'
import type { GrantType } from './grant.ts'
import { isTokenType } from './grant.ts'
import type { ClientSettings } from './settings.ts'
import type { TokenResponse } from './token-endpoint.ts'
import type { Obtained } from './token-source.ts'

/** What was asked, of whom, and for whom. */
export interface Asked {
  readonly issuer: Issuer
  readonly settings: ClientSettings
  readonly traits: CredentialTraits
  readonly grant: GrantType
  readonly request: TokenRequest
  /** Whose token was exchanged; `undefined` where the service asked for itself. */
  readonly subject: VerifiedCredential | undefined
  /** The token that this one replaces: of the same subject too. */
  readonly previous: VerifiedCredential | undefined
}

/** Longest token that is taken over. */
const MAX_TOKEN_BYTES = 65_536
// RFC 6750 §2.1: what can stand behind `Bearer`, and breaks no header.
const B64TOKEN = /^[\w\-.~+/]+=*$/

/** Takes a response of `obtainedAtMillis`. Rejects with an {@link ExchangeError} and with nothing else. */
export async function acceptIssued(
  response: TokenResponse,
  asked: Asked,
  obtainedAtMillis = Date.now(),
): Promise<Obtained> {
  if (!isOfKind(response, asked)) refuse()
  const credential = await verified(response, asked, obtainedAtMillis)
  // The caller's own token must not come in through the back door, not even in the second spelling of its signature.
  if (credential.fingerprint === asked.subject?.fingerprint) refuse()
  const wanted =
    isOfSubject(credential, asked) && isForAudience(credential, asked) && isWithin(credential, response, asked)
  if (!wanted) refuse()
  if (credential.expiresAtMillis - obtainedAtMillis > asked.settings.maxLifetimeMillis) refuse()
  const { expiresInSeconds = Number.POSITIVE_INFINITY } = response
  const usableUntilMillis = Math.min(credential.expiresAtMillis, obtainedAtMillis + expiresInSeconds * 1000)
  return { credential, obtainedAtMillis, usableUntilMillis }
}

function refuse(): never {
  throw new ExchangeError('ERR_TOKEN_EXCHANGE_RESULT')
}

function isOfKind({ accessToken, tokenType, issuedTokenType }: TokenResponse, { grant, request }: Asked): boolean {
  if (tokenType.toLowerCase() !== 'bearer') return false
  if (accessToken.length > MAX_TOKEN_BYTES || !B64TOKEN.test(accessToken)) return false
  if (request.tokenType === 'jwt' && !isJws(accessToken)) return false
  // Required of an exchange (RFC 8693 §2.2.1), unknown to the other grants.
  return issuedTokenType === undefined ? grant !== 'token_exchange' : isTokenType(issuedTokenType, request)
}

async function verified(response: TokenResponse, asked: Asked, obtainedAtMillis: number): Promise<VerifiedCredential> {
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

/** What an opaque token is taken for. Without `expires_in` it is good for as long as it takes to send it. */
function describe(response: TokenResponse, asked: Asked, obtainedAtMillis: number): Readonly<Record<string, unknown>> {
  const { expiresInSeconds = 1, scope = asked.request.scope.join(' ') } = response
  const obtainedAt = Math.floor(obtainedAtMillis / 1000)
  return {
    iss: asked.issuer.issuer,
    aud: audienceOf(asked),
    iat: obtainedAt,
    exp: obtainedAt + expiresInSeconds,
    // What is revoked for the caller is revoked for whatever came from its token.
    ...Object.fromEntries(
      ['sub', 'sid', asked.settings.subjectClaim].flatMap((name) => {
        const value = asked.subject === undefined ? undefined : own(asked.subject.claims, name)
        return value === undefined ? [] : [[name, value]]
      }),
    ),
    scope,
  }
}

function audienceOf({ request: { audience, resource } }: Asked): readonly string[] {
  return [...audience, ...resource]
}

/** One that others accept as well could be used there, by whoever gets it here (RFC 8707 §2). */
function isForAudience({ audience }: VerifiedCredential, asked: Asked): boolean {
  const wanted = audienceOf(asked)
  return wanted.length === 0 || audience.every((name) => wanted.includes(name))
}

function isOfSubject({ claims }: VerifiedCredential, { subject, previous, settings }: Asked): boolean {
  const of = (token: VerifiedCredential): unknown => own(token.claims, settings.subjectClaim)
  const actual = own(claims, settings.subjectClaim)
  if (subject !== undefined) return actual !== undefined && actual === of(subject)
  return previous === undefined || actual === of(previous)
}

/** Neither what the token says nor what the response says of it may be more than was asked for. */
function isWithin({ scopes }: VerifiedCredential, response: TokenResponse, { request, subject }: Asked): boolean {
  // Without a scope in the request the subject's own are the limit. A service that asks for itself has none.
  const limit = request.scope.length > 0 ? request.scope : subject?.scopes
  const granted = [...scopes, ...(response.scope?.split(' ') ?? [])].filter((name) => name !== '')
  return limit === undefined || granted.every((scope) => limit.includes(scope))
}
