/** The endpoints for clients: tokens (RFC 6749, 8693, 7523), introspection (RFC 7662), revocation (RFC 7009). */

import { decodeCompactJws } from '../../token/compact-jws.ts'
import type { IssuedTokens } from './issued-tokens.ts'
import type { IssuerAnswer, TestTokenOptions } from './options.ts'
import type { RecordedRequest } from './recorded-request.ts'

type Claims = Readonly<Record<string, unknown>>

/** What the endpoints need of their issuer. */
export interface ProtocolIssuer {
  readonly tokens: IssuedTokens
  readonly clients: Readonly<Record<string, string>> | undefined
  readonly now: () => number
  readonly token: (options: TestTokenOptions) => string
}

/** An answer with an error of RFC 6749 §5.2. */
class ProtocolError extends Error {
  readonly status: number

  constructor(error: string, status = 400) {
    super(error)
    this.status = status
  }
}

const GRANT = 'urn:ietf:params:oauth:grant-type'
const TYPE = 'urn:ietf:params:oauth:token-type'
/** Longest life of a token that an endpoint gives, in seconds. */
const LIFE_SECONDS = 300

/** Answers a request to the token endpoint. */
export function answerTokenRequest(issuer: ProtocolIssuer, request: RecordedRequest): IssuerAnswer {
  return answerClient(issuer, request, (clientId) => {
    const { parameters } = request
    switch (parameters.get('grant_type')) {
      case 'client_credentials':
        return grantToClient(issuer, parameters, clientId)
      case 'refresh_token':
        return refresh(issuer, parameters, clientId)
      case `${GRANT}:token-exchange`:
        return exchange(issuer, parameters, clientId)
      case `${GRANT}:jwt-bearer`:
        return onBehalfOf(issuer, parameters, clientId)
      case null:
        throw new ProtocolError('invalid_request')
      default:
        throw new ProtocolError('unsupported_grant_type')
    }
  })
}

/** Answers whether a token is active, and what it says (RFC 7662 §2.2). */
export function answerIntrospection(issuer: ProtocolIssuer, request: RecordedRequest): IssuerAnswer {
  return answerClient(issuer, request, () => {
    const claims = issuer.tokens.activeClaims(required(request.parameters, 'token'), issuer.now())
    return claims === undefined ? { active: false } : { ...claims, active: true, token_type: 'Bearer' }
  })
}

/** Revokes a token. The answer is the same if there is none (RFC 7009 §2.2). */
export function answerRevocation(issuer: ProtocolIssuer, request: RecordedRequest): IssuerAnswer {
  return answerClient(issuer, request, () => {
    issuer.tokens.revoke(required(request.parameters, 'token'))
    return {}
  })
}

function answerClient(
  issuer: ProtocolIssuer,
  request: RecordedRequest,
  answer: (clientId: string) => object,
): IssuerAnswer {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  try {
    if (request.method !== 'POST') throw new ProtocolError('invalid_request', 405)
    return { headers, body: answer(authenticate(issuer, request)) }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const challenge = error.status === 401 ? { 'www-authenticate': 'Basic realm="test"' } : {}
    return { status: error.status, headers: { ...headers, ...challenge }, body: { error: error.message } }
  }
}

/** Returns the `client_id`, if the client has proved it. */
function authenticate({ clients }: ProtocolIssuer, { headers, parameters }: RecordedRequest): string {
  const [clientId, secret] = credentialsOf(headers['authorization'], parameters)
  if (clientId === undefined || clientId === '') throw new ProtocolError('invalid_client', 401)
  if (clients === undefined) return clientId
  // What has no secret is an assertion or a certificate, which is not checked.
  const isKnown = Object.hasOwn(clients, clientId) && (secret === undefined || clients[clientId] === secret)
  if (!isKnown || (secret === undefined && !parameters.has('client_assertion'))) {
    throw new ProtocolError('invalid_client', 401)
  }
  return clientId
}

function credentialsOf(
  authorization: unknown,
  parameters: URLSearchParams,
): readonly [clientId: string | undefined, secret: string | undefined] {
  const basic = typeof authorization === 'string' ? /^Basic ([\w+/]+=*)$/i.exec(authorization)?.[1] : undefined
  if (basic !== undefined) {
    const [id = '', secret = ''] = Buffer.from(basic, 'base64').toString().split(':', 2)
    return [decodeForm(id), decodeForm(secret)]
  }
  const assertion = decodeCompactJws(parameters.get('client_assertion') ?? '')?.payload['sub']
  const clientId = parameters.get('client_id') ?? (typeof assertion === 'string' ? assertion : undefined)
  return [clientId, parameters.get('client_secret') ?? undefined]
}

/** RFC 6749 §2.3.1: both are form-encoded before they are put together. */
function decodeForm(text: string): string {
  return new URLSearchParams(`v=${text}`).get('v') ?? ''
}

function grantToClient(issuer: ProtocolIssuer, parameters: URLSearchParams, clientId: string): object {
  const scopes = scopesIn(parameters)
  return responseOf(issuer, { subject: clientId, clientId, ...audienceIn(parameters), ...scopes }, scopes)
}

function refresh(issuer: ProtocolIssuer, parameters: URLSearchParams, clientId: string): object {
  const claims = issuer.tokens.useRefresh(required(parameters, 'refresh_token'))
  if (claims === undefined) throw new ProtocolError('invalid_grant')
  const scopes = narrowed(claims, scopesIn(parameters).scopes)
  const response = responseOf(issuer, { ...kept(claims), clientId, ...audienceIn(parameters), ...scopes }, scopes)
  return { ...response, refresh_token: issuer.tokens.addRefresh(claims) }
}

/** RFC 8693 §2. Without an actor token it is impersonation, and the token has no more `act` than before (§1.1). */
function exchange(issuer: ProtocolIssuer, parameters: URLSearchParams, clientId: string): object {
  const subject = activeToken(issuer, parameters, 'subject')
  const actor = parameters.has('actor_token') ? activeToken(issuer, parameters, 'actor') : undefined
  const type = parameters.get('requested_token_type') ?? `${TYPE}:access_token`
  if (![`${TYPE}:access_token`, `${TYPE}:jwt`].includes(type)) throw new ProtocolError('invalid_request')
  const scopes = narrowed(subject, scopesIn(parameters).scopes)
  const act = actor === undefined ? subject['act'] : { sub: actor['sub'], act: subject['act'] }
  const options = { ...kept(subject), clientId, ...audienceIn(parameters), ...scopes }
  const response = responseOf(issuer, { ...options, claims: act === undefined ? {} : { act } }, scopes, subject)
  return { ...response, issued_token_type: type }
}

/** RFC 7523 §2.1, which Microsoft calls on-behalf-of. */
function onBehalfOf(issuer: ProtocolIssuer, parameters: URLSearchParams, clientId: string): object {
  const subject = issuer.tokens.activeClaims(required(parameters, 'assertion'), issuer.now())
  if (subject === undefined) throw new ProtocolError('invalid_grant')
  const scopes = scopesIn(parameters)
  return responseOf(issuer, { ...kept(subject), clientId, ...audienceIn(parameters), ...scopes }, scopes, subject)
}

function activeToken(issuer: ProtocolIssuer, parameters: URLSearchParams, role: 'subject' | 'actor'): Claims {
  const type = required(parameters, `${role}_token_type`)
  if (![`${TYPE}:access_token`, `${TYPE}:jwt`].includes(type)) throw new ProtocolError('invalid_request')
  const claims = issuer.tokens.activeClaims(required(parameters, `${role}_token`), issuer.now())
  // RFC 8693 §2.2.2: a token that is not valid is an invalid request.
  if (claims === undefined) throw new ProtocolError('invalid_request')
  return claims
}

/** What a token keeps of the one that it comes from. */
function kept({ sub, sid }: Claims): TestTokenOptions {
  return {
    ...(typeof sub === 'string' ? { subject: sub } : {}),
    ...(typeof sid === 'string' ? { sessionId: sid } : {}),
  }
}

/** One scope less is granted, one more is refused (RFC 8693 §2.1). */
function narrowed(claims: Claims, asked: readonly string[] | undefined): { readonly scopes: readonly string[] } {
  const { scope, scp = scope } = claims
  const had = typeof scp === 'string' ? scp.split(' ').filter((name) => name !== '') : []
  if (asked?.every((name) => had.includes(name)) === false) throw new ProtocolError('invalid_scope')
  return { scopes: asked ?? had }
}

function scopesIn(parameters: URLSearchParams): { readonly scopes?: readonly string[] } {
  const scope = parameters.get('scope')
  return scope === null ? {} : { scopes: scope.split(' ').filter((name) => name !== '') }
}

/** RFC 8693 §2.1, RFC 8707 §2: both may come several times. */
function audienceIn(parameters: URLSearchParams): { readonly audience?: string | readonly string[] } {
  const names = [...parameters.getAll('audience'), ...parameters.getAll('resource')]
  if (names.length === 0) return {}
  return { audience: names.length === 1 ? String(names[0]) : names }
}

function responseOf(
  issuer: ProtocolIssuer,
  options: TestTokenOptions,
  { scopes = [] }: { readonly scopes?: readonly string[] },
  subject: Claims = {},
): object {
  const left = Number(subject['exp'] ?? Number.POSITIVE_INFINITY) - Math.floor(issuer.now() / 1000)
  const expiresIn = Math.min(LIFE_SECONDS, left)
  return {
    access_token: issuer.token({ ...options, expiresIn }),
    token_type: 'Bearer',
    expires_in: expiresIn,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
  }
}

function required(parameters: URLSearchParams, name: string): string {
  const value = parameters.get(name)
  if (value === null || value === '') throw new ProtocolError('invalid_request')
  return value
}
