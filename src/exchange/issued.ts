/** Whether a token is the one that was asked for: nothing wider, of nobody else, of no other kind (RFC 8693 §2.2.1). */

import type { TokenRequest } from '../destination/token-request.ts'
import { ExchangeError, TokenError } from '../token/errors.ts'
import { own } from '../token/own.ts'
import type { VerifiedCredential, VerifiedFacts } from '../token/verified-credential.ts'
import { verifyIssuedToken } from '../verification/issued-token.ts'
import type { Issuer } from '../verification/issuer.ts'
import { isTokenType } from './grant.ts'
import type { ClientSettings } from './settings.ts'
import type { TokenResponse } from './token-endpoint.ts'

export interface Asked {
  readonly issuer: Issuer
  readonly settings: ClientSettings
  readonly request: TokenRequest
  /** Whose token was exchanged; `undefined` where the service asked for itself. */
  readonly subject: VerifiedCredential | undefined
  readonly fingerprintKey: string | undefined
  readonly watch: VerifiedFacts['watch']
}

/** Longest token that is taken over. */
const MAX_TOKEN_BYTES = 65_536
// RFC 6750 §2.1: what can stand behind `Bearer`, and breaks no header.
const TOKEN = /^[\w\-.~+/]+=*$/

/** Rejects with an {@link ExchangeError} and with nothing else. */
export async function acceptIssued(response: TokenResponse, asked: Asked): Promise<VerifiedCredential> {
  const { request, subject, settings } = asked
  const { accessToken: text, tokenType, issuedTokenType, expiresInSeconds } = response
  if (tokenType.toLowerCase() !== 'bearer' || !TOKEN.test(text) || text.length > MAX_TOKEN_BYTES) refuse()
  if (issuedTokenType !== undefined && !isTokenType(issuedTokenType, request)) refuse()
  // The caller's own token must not come in through the back door.
  if (subject?.reveal() === text) refuse()
  const credential = await verified(response, asked)
  if (!isOfSubject(credential, subject, settings.subjectClaim)) refuse()
  if (!isWithin(scopesOf(credential, response), limitOf(request, subject))) refuse()
  const endsBy = Math.min(
    credential.expiresAtMillis,
    Date.now() + (expiresInSeconds ?? Number.POSITIVE_INFINITY) * 1000,
  )
  if (endsBy - Date.now() > settings.maxLifetimeMillis) refuse()
  return credential
}

function refuse(): never {
  throw new ExchangeError('ERR_TOKEN_EXCHANGE_RESULT')
}

async function verified(response: TokenResponse, asked: Asked): Promise<VerifiedCredential> {
  const { issuer, request, fingerprintKey, watch } = asked
  const audience = [...request.audience, ...request.resource]
  try {
    return await verifyIssuedToken({
      text: response.accessToken,
      issuer,
      audience: audience.length === 0 ? null : audience,
      described: describe(response, asked),
      fingerprintKey,
      watch,
    })
  } catch (error) {
    const undecided = !(error instanceof TokenError) || error.retryable
    throw new ExchangeError(undecided ? 'ERR_TOKEN_EXCHANGE_UNAVAILABLE' : 'ERR_TOKEN_EXCHANGE_RESULT')
  }
}

/** What an opaque token is taken for. Without `expires_in` it is good for as long as it takes to send it. */
function describe(
  { expiresInSeconds = 1, scope }: TokenResponse,
  { issuer, request, subject, settings }: Asked,
): Readonly<Record<string, unknown>> {
  const now = Math.floor(Date.now() / 1000)
  return {
    iss: issuer.issuer,
    aud: [...request.audience, ...request.resource],
    iat: now,
    exp: now + expiresInSeconds,
    ...(subject === undefined ? {} : { [settings.subjectClaim]: own(subject.claims, settings.subjectClaim) }),
    ...(scope === undefined ? {} : { scope }),
  }
}

function isOfSubject(credential: VerifiedCredential, subject: VerifiedCredential | undefined, claim: string): boolean {
  if (subject === undefined) return true
  const expected = own(subject.claims, claim)
  return expected !== undefined && own(credential.claims, claim) === expected
}

/** What the token says, and what the response says of it: neither may be more than was asked for. */
function scopesOf({ scopes }: VerifiedCredential, { scope }: TokenResponse): readonly string[] {
  return [...scopes, ...(scope?.split(' ') ?? [])].filter((name) => name !== '')
}

/** Without a scope in the request the subject's own are the limit; `undefined` is none: a service asks for itself. */
function limitOf({ scope }: TokenRequest, subject: VerifiedCredential | undefined): readonly string[] | undefined {
  return scope.length > 0 ? scope : subject?.scopes
}

function isWithin(granted: readonly string[], limit: readonly string[] | undefined): boolean {
  return limit === undefined || granted.every((scope) => limit.includes(scope))
}
