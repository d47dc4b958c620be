/** Asks the token endpoint of an issuer (RFC 6749 §3.2); oauth4webapi speaks the protocol. */

import { allowInsecureRequests, customFetch, genericTokenEndpointRequest } from 'oauth4webapi'
import { createIssuerCalls } from '../resilience/issuer-calls.ts'
import { ExchangeError } from '../token/errors.ts'
import { own } from '../token/own.ts'
import { discoverTokenEndpoint } from '../verification/discovery.ts'
import { createClientCredentials } from './client-authentication.ts'
import { createEndpointFetch } from './endpoint-fetch.ts'
import type { Grant } from './grant.ts'
import type { ClientSettings } from './settings.ts'

/** A successful response (RFC 6749 §5.1, RFC 8693 §2.2.1), its members checked for their types only. */
export interface TokenResponse {
  readonly accessToken: string
  readonly tokenType: string
  readonly expiresInSeconds: number | undefined
  readonly scope: string | undefined
  readonly issuedTokenType: string | undefined
  readonly refreshToken: string | undefined
}

export interface TokenEndpoint {
  /** Rejects with an {@link ExchangeError} and with nothing else. */
  request(grant: Grant): Promise<TokenResponse>
}

const METADATA_BYTES = 1_048_576
/** How long a token endpoint that was found in the metadata is used. */
const METADATA_MILLIS = 600_000

export function createTokenEndpoint(issuer: string, settings: ClientSettings): TokenEndpoint {
  const credentials = createClientCredentials(settings)
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
    const authentication = credentials.authentication()
    // Clear text has been refused with the options, the loopback interface excepted.
    const options = { [customFetch]: fetch, [allowInsecureRequests]: true, signal }
    return read(await genericTokenEndpointRequest(server, client, authentication, type, parameters, options))
  }

  return {
    async request(grant) {
      try {
        // A refresh token may have been used up by a response that did not arrive (RFC 9700 §4.14.2).
        const repeatable = grant.type !== 'refresh_token'
        return await call((signal) => ask(grant, signal).catch(translate), repeatable)
      } catch (error) {
        return translate(error)
      }
    },
  }
}

/** Errors of libraries may hold what was sent or received: none of them is kept. */
function translate(error: unknown): never {
  throw error instanceof ExchangeError ? error : new ExchangeError('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
}

/** 4xx means that the issuer will not give a token, however often it is asked; 429 and 408 that it will later. */
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
    const value = own(body, name)
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const [accessToken, tokenType] = [text('access_token'), text('token_type')]
  if (accessToken === undefined || tokenType === undefined) return undefined
  const seconds = secondsIn(own(body, 'expires_in'))
  return {
    accessToken,
    tokenType,
    expiresInSeconds: Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined,
    scope: text('scope'),
    issuedTokenType: text('issued_token_type'),
    refreshToken: text('refresh_token'),
  }
}

/** A number; some servers write it as a text. */
function secondsIn(value: unknown): number {
  return typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value)) ? Number(value) : Number.NaN
}
