/** Asks the token endpoint of an issuer (RFC 6749 §3.2); oauth4webapi speaks the protocol. */

import type { ClientAuth } from 'oauth4webapi'
import {
  allowInsecureRequests,
  ClientSecretBasic,
  ClientSecretPost,
  customFetch,
  genericTokenEndpointRequest,
  PrivateKeyJwt,
  TlsClientAuth,
} from 'oauth4webapi'
import { ownProperty } from '../base/own-property.ts'
import { createIssuerCalls } from '../resilience/issuer-calls.ts'
import { ExchangeError } from '../token/errors.ts'
import { discoverTokenEndpoint } from '../verification/keys/discovery.ts'
import type { ClientCredentials, ClientProof } from './client-authentication.ts'
import { createEndpointFetch } from './endpoint-fetch.ts'
import type { Grant } from './grant.ts'
import type { ClientSettings } from './settings.ts'

/** A successful response (RFC 6749 §5.1, RFC 8693 §2.2.1). Only the types of its members are checked. */
export interface TokenResponse {
  readonly accessToken: string
  readonly tokenType: string
  readonly expiresInSeconds: number | undefined
  readonly scope: string | undefined
  readonly issuedTokenType: string | undefined
  readonly refreshToken: string | undefined
}

const METADATA_BYTES = 1_048_576
/** How long a token endpoint from the metadata is used, in milliseconds. */
const METADATA_MILLIS = 600_000

export function createTokenRequest(
  issuer: string,
  settings: ClientSettings,
  credentials: ClientCredentials,
): (grant: Grant) => Promise<TokenResponse> {
  const fetch = createEndpointFetch(credentials.tls)
  const client = { client_id: settings.clientId }
  const call = createIssuerCalls({
    url: settings.tokenEndpoint ?? issuer,
    timeoutMillis: settings.timeoutMillis,
    isTransient: (error) => error instanceof ExchangeError && error.retryable,
  })
  let discovered: { readonly url: string; readonly until: number } | undefined

  async function locate(): Promise<string> {
    if (settings.tokenEndpoint !== undefined) return settings.tokenEndpoint
    if (discovered === undefined || Date.now() >= discovered.until) {
      const limits = { timeoutMillis: settings.timeoutMillis, maxBytes: METADATA_BYTES }
      const url = await discoverTokenEndpoint(issuer, settings.clientAuthentication.includes('tls'), limits)
      discovered = { url, until: Date.now() + METADATA_MILLIS }
    }
    return discovered.url
  }

  async function ask({ type, parameters }: Grant, signal: AbortSignal): Promise<TokenResponse> {
    const server = { issuer, token_endpoint: await locate() }
    const authentication = authenticationBy(credentials.proof())
    // The options have refused clear text, except on the loopback interface.
    const options = { [customFetch]: fetch, [allowInsecureRequests]: true, signal }
    return read(await genericTokenEndpointRequest(server, client, authentication, type, parameters, options))
  }

  // A response that did not arrive may have used up the refresh token (RFC 9700 §4.14.2).
  return (grant) => call((signal) => ask(grant, signal).catch(translate), grant.type !== 'refresh_token')
}

function authenticationBy(proof: ClientProof): ClientAuth {
  switch (proof.method) {
    case 'client_secret_basic':
      return ClientSecretBasic(proof.secret)
    case 'client_secret_post':
      return ClientSecretPost(proof.secret)
    case 'private_key_jwt':
      return PrivateKeyJwt(proof.kid === '' ? proof.key : { key: proof.key, kid: proof.kid })
    case 'tls':
      return TlsClientAuth()
  }
}

/** Before the call decides whether to repeat it. */
function translate(error: unknown): never {
  throw error instanceof ExchangeError ? error : new ExchangeError('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
}

/** 4xx means that the issuer will not give a token if it is asked again; 429 and 408 mean that it may later. */
async function read(response: Response): Promise<TokenResponse> {
  const { status } = response
  const isRefusal = status >= 400 && status < 500 && status !== 429 && status !== 408
  if (isRefusal) throw new ExchangeError('ERR_TOKEN_EXCHANGE_REFUSED')
  if (status !== 200) throw new ExchangeError('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
  const body: unknown = await response.json().catch(() => undefined)
  const token = isJson(response) && typeof body === 'object' && body !== null ? membersOf({ ...body }) : undefined
  if (token === undefined) throw new ExchangeError('ERR_TOKEN_EXCHANGE_RESULT')
  return token
}

function isJson(response: Response): boolean {
  return /^application\/json\s*(?:;|$)/i.test(response.headers.get('content-type') ?? '')
}

function membersOf(body: Readonly<Record<string, unknown>>): TokenResponse | undefined {
  const text = (name: string): string | undefined => {
    const value = ownProperty(body, name)
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const [accessToken, tokenType] = [text('access_token'), text('token_type')]
  if (accessToken === undefined || tokenType === undefined) return undefined
  const seconds = secondsIn(ownProperty(body, 'expires_in'))
  return {
    accessToken,
    tokenType,
    expiresInSeconds: Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined,
    scope: text('scope'),
    issuedTokenType: text('issued_token_type'),
    refreshToken: text('refresh_token'),
  }
}

/** Reads a number, which some servers write as a string. */
function secondsIn(value: unknown): number {
  return typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value)) ? Number(value) : Number.NaN
}
