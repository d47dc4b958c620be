/** Asks the issuer about tokens that do not speak for themselves (RFC 7662). */

import { LRUCache } from 'lru-cache'
import type { ClientAuth } from 'oauth4webapi'
import {
  allowInsecureRequests,
  ClientSecretBasic,
  ClientSecretPost,
  customFetch,
  introspectionRequest,
  processIntrospectionResponse,
} from 'oauth4webapi'
import { createIssuerCalls } from '../resilience/issuer-calls.ts'
import type { TokenRejectedCode } from '../token/errors.ts'
import { TokenRejectedError, UndecidedError } from '../token/errors.ts'
import { own } from '../token/own.ts'
import { fetchBounded } from './bounded-json.ts'
import { WALL_CLOCK } from './wall-clock.ts'

export interface IntrospectionSettings {
  readonly endpoint: string
  readonly clientId: string
  readonly clientSecret: string
  readonly clientAuthentication: 'client_secret_basic' | 'client_secret_post'
  readonly timeoutMillis: number
  readonly cacheMillis: number
}

/** What the issuer says of an active token, and until when it need not be asked again, in seconds since the epoch. */
export interface Introspected {
  readonly claims: Readonly<Record<string, unknown>>
  readonly cachedUntil: number
}

/** Rejects with a token error and with nothing else. */
export type Introspection = (token: string) => Promise<Introspected>

/** Made-up tokens cost a request each, so that there must be an end to them. */
const MAX_CONCURRENT = 256
const MAX_RESPONSE_BYTES = 65_536
/** Tokens that the issuer has just called inactive, and is not asked about again at once. */
const MAX_INACTIVE = 1_000

export function createIntrospection(issuer: string, settings: IntrospectionSettings): Introspection {
  const server = { issuer, introspection_endpoint: settings.endpoint }
  const client = { client_id: settings.clientId }
  const authentication = authenticationOf(settings)
  const options = { [customFetch]: boundedFetch(settings), [allowInsecureRequests]: true }
  const inactive = new LRUCache<string, true>({
    max: MAX_INACTIVE,
    ttl: Math.max(1, settings.cacheMillis),
    ...WALL_CLOCK,
  })
  const { endpoint: url, timeoutMillis } = settings
  const call = createIssuerCalls({ url, timeoutMillis, isTransient: () => true })
  let concurrent = 0

  async function ask(token: string): Promise<Record<string, unknown>> {
    if (concurrent >= MAX_CONCURRENT) throw unavailable()
    concurrent += 1
    try {
      return await call(async () => {
        const response = await introspectionRequest(server, client, authentication, token, options)
        return { ...(await processIntrospectionResponse(server, client, response)) }
      }, true)
    } catch {
      throw unavailable()
    } finally {
      concurrent -= 1
    }
  }

  return async (token) => {
    if (inactive.has(token)) throw new TokenRejectedError('ERR_TOKEN_INACTIVE')
    const askedAt = Date.now()
    const { active, ...claims } = await ask(token)
    if (active !== true) {
      inactive.set(token, true)
      throw new TokenRejectedError('ERR_TOKEN_INACTIVE')
    }
    const code = contradictionOf(claims, issuer)
    if (code !== undefined) throw new TokenRejectedError(code)
    return { claims, cachedUntil: (askedAt + settings.cacheMillis) / 1000 }
  }
}

/** The response may leave these out (RFC 7662 §2.2), but not say something else. */
function contradictionOf(claims: Readonly<Record<string, unknown>>, issuer: string): TokenRejectedCode | undefined {
  const [iss, type] = [own(claims, 'iss'), own(claims, 'token_type')]
  if (iss !== undefined && iss !== issuer) return 'ERR_TOKEN_ISSUER'
  return type === undefined || String(type).toLowerCase() === 'bearer' ? undefined : 'ERR_TOKEN_TYPE'
}

function authenticationOf({ clientAuthentication, clientSecret }: IntrospectionSettings): ClientAuth {
  return clientAuthentication === 'client_secret_post'
    ? ClientSecretPost(clientSecret)
    : ClientSecretBasic(clientSecret)
}

/** Our own limits under the library's protocol. Clear text has been refused with the options, loopback excepted. */
function boundedFetch({ timeoutMillis }: IntrospectionSettings) {
  return async (url: string, { method, headers, body }: RequestInit): Promise<Response> => {
    const init = { method, headers, body } as RequestInit
    const { status, isJson, text } = await fetchBounded(url, init, { timeoutMillis, maxBytes: MAX_RESPONSE_BYTES })
    return new Response(text, { status, headers: isJson ? { 'content-type': 'application/json' } : {} })
  }
}

function unavailable(): UndecidedError {
  return new UndecidedError('ERR_TOKEN_INTROSPECTION_UNAVAILABLE')
}
