/** Asks the issuer about opaque tokens, which say nothing by themselves (RFC 7662). */

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
import { since, WALL_CLOCK } from '../base/clock.ts'
import { hash } from '../base/newer-functions.ts'
import { isObject, ownProperty } from '../base/own-property.ts'
import type { IssuerCall } from '../resilience/issuer-calls.ts'
import { createIssuerCalls } from '../resilience/issuer-calls.ts'
import { reportProblem } from '../telemetry/log-entries.ts'
import type { TokenRejectedCode } from '../token/errors.ts'
import { TokenRejectedError, UndecidedError } from '../token/errors.ts'
import { fetchBounded } from './bounded-json.ts'

export interface IntrospectionSettings {
  readonly endpoint: string
  readonly clientId: string
  readonly clientSecret: string
  readonly clientAuthentication: 'client_secret_basic' | 'client_secret_post'
  readonly timeoutMillis: number
  readonly cacheMillis: number
}

/** What the issuer says of an active token, and until when it need not be asked again, in seconds since the epoch. */
interface Introspected {
  readonly claims: Readonly<Record<string, unknown>>
  readonly cachedUntil: number
}

/** Rejects with a token error and with nothing else. */
export type Introspection = (token: string) => Promise<Introspected>

/** Bounds requests for made-up tokens, which cost one each. */
const MAX_CONCURRENT = 256
/** The rest is kept for tokens that were active before, however many others are asked about, and how slowly. */
const MAX_CONCURRENT_UNKNOWN = 192
/** Tokens that are remembered because they were active. */
const MAX_KNOWN = 10_000
const KNOWN_MILLIS = 3_600_000
/** For how long after a proper answer a refusal to answer is about the token, and not about how this service asks. */
const ANSWERED_MILLIS = 60_000
const MAX_RESPONSE_BYTES = 65_536
/** Bounds the tokens that the issuer has just called inactive, and is not asked about again at once. */
const MAX_INACTIVE = 1_000

export function createIntrospection(issuer: string, settings: IntrospectionSettings): Introspection {
  const introspector = new Introspector(issuer, settings)
  return (token) => introspector.introspect(token)
}

class Introspector {
  readonly #issuer: string
  readonly #cacheMillis: number
  readonly #endpoint: IntrospectionEndpoint
  readonly #inactive: LRUCache<string, true>
  /** By a hash of the token. */
  readonly #known = new LRUCache<string, true>({ max: MAX_KNOWN, ttl: KNOWN_MILLIS, ...WALL_CLOCK })

  constructor(issuer: string, settings: IntrospectionSettings) {
    this.#issuer = issuer
    this.#cacheMillis = settings.cacheMillis
    this.#endpoint = new IntrospectionEndpoint(issuer, settings)
    this.#inactive = new LRUCache({ max: MAX_INACTIVE, ttl: Math.max(1, settings.cacheMillis), ...WALL_CLOCK })
  }

  async introspect(token: string): Promise<Introspected> {
    if (this.#inactive.has(token)) throw new TokenRejectedError('ERR_TOKEN_INACTIVE')
    const askedAt = Date.now()
    const name = hash('sha256', token, 'base64url')
    const { active, ...claims } = await this.#endpoint.ask(token, this.#known.has(name))
    if (active !== true) {
      this.#inactive.set(token, true)
      this.#known.delete(name)
      throw new TokenRejectedError('ERR_TOKEN_INACTIVE')
    }
    this.#known.set(name, true)
    const code = contradictionOf(claims, this.#issuer)
    if (code !== undefined) throw new TokenRejectedError(code)
    return { claims, cachedUntil: (askedAt + this.#cacheMillis) / 1000 }
  }
}

type Answer = Record<string, unknown>

/** The endpoint, with bounds on how often and how long it is asked. */
class IntrospectionEndpoint {
  readonly #request: (token: string) => Promise<Response>
  readonly #process: (response: Response) => Promise<Answer>
  readonly #report: (status: number) => void
  /** Two circuits, so that made-up tokens cannot stop questions about known tokens. */
  readonly #calls: Readonly<Record<'known' | 'unknown', IssuerCall>>
  #concurrent = 0
  #answeredAt = Number.NEGATIVE_INFINITY

  constructor(issuer: string, settings: IntrospectionSettings) {
    const { endpoint: url, clientId, timeoutMillis } = settings
    const server = { issuer, introspection_endpoint: url }
    const client = { client_id: clientId }
    const authentication = authenticationOf(settings)
    const options = { [customFetch]: boundedFetch(settings), [allowInsecureRequests]: true }
    const calls = { url, timeoutMillis, isTransient: (error: unknown) => !(error instanceof NotAnsweredError) }
    this.#request = (token) => introspectionRequest(server, client, authentication, token, options)
    this.#process = async (response) => ({ ...(await processIntrospectionResponse(server, client, response)) })
    this.#report = createClientReport(issuer)
    this.#calls = { known: createIssuerCalls(calls), unknown: createIssuerCalls(calls) }
  }

  /**
   * Whether the token is active, and its claims. Rejects with a token error. If an issuer answers about other texts,
   * one that it refuses to answer about is no token of it, unless it has answered about this one before. That refusal
   * is not remembered: it may have been the endpoint.
   */
  async ask(token: string, isKnown: boolean): Promise<Answer> {
    if (this.#concurrent >= (isKnown ? MAX_CONCURRENT : MAX_CONCURRENT_UNKNOWN)) throw createUnavailableError()
    this.#concurrent += 1
    try {
      return await this.#calls[isKnown ? 'known' : 'unknown'](() => this.#askOnce(token), true)
    } catch (error) {
      if (isAboutContent(error) && !isKnown && since(this.#answeredAt) < ANSWERED_MILLIS) {
        throw new TokenRejectedError('ERR_TOKEN_INACTIVE')
      }
      throw createUnavailableError()
    } finally {
      this.#concurrent -= 1
    }
  }

  async #askOnce(token: string): Promise<Answer> {
    const response = await this.#request(token)
    if (await isAboutToken(response)) throw new NotAnsweredError(ABOUT_CONTENT.includes(response.status))
    this.#report(response.status)
    const answer = await this.#process(response)
    this.#answeredAt = Date.now()
    return answer
  }
}

/** The issuer does not answer about this one token; `isContent` if it says that this is because of the text. */
class NotAnsweredError extends Error {
  override readonly name = 'NotAnsweredError'
  readonly isContent: boolean

  constructor(isContent: boolean) {
    super('the issuer does not answer about this token')
    this.isContent = isContent
  }
}

/**
 * Statuses that say that the text is wrong: its form, or its length. Others say nothing about a token, 404 and 405
 * above all: a proxy answers so while there is no endpoint behind it.
 */
const ABOUT_CONTENT = [400, 413, 414, 422, 431]

function isAboutContent(error: unknown): boolean {
  return error instanceof NotAnsweredError && error.isContent
}

/**
 * Servers answer 200 about tokens that they do not know (RFC 7662 §2.2), but some refuse texts that are too long, or
 * have another form. Anyone can make up such a token, so this must not count against the endpoint. 401, 403 and
 * `invalid_client` are about this service, 408 and 429 about the moment.
 */
async function isAboutToken(response: Response): Promise<boolean> {
  const { status } = response
  if (status < 400 || status >= 500 || [401, 403, 408, 429].includes(status)) return false
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  const error = isObject(body) ? ownProperty(body, 'error') : undefined
  return error !== 'invalid_client' && error !== 'unauthorized_client'
}

/** Warns once when the issuer begins to refuse this service, and once when it stops: nothing else shows it. */
function createClientReport(issuer: string): (status: number) => void {
  let isRefused = false
  return (status) => {
    const refused = status >= 400 && status < 500 && status !== 408 && status !== 429
    if (refused === isRefused || (!refused && status !== 200)) return
    isRefused = refused
    const what = refused
      ? `refuses this service (${status}): its client id or secret is wrong`
      : 'answers this service again'
    reportProblem({ message: `introspection: ${issuer} ${what}` })
  }
}

/** The response may leave these out (RFC 7662 §2.2), but not say something else. */
function contradictionOf(claims: Readonly<Record<string, unknown>>, issuer: string): TokenRejectedCode | undefined {
  const [iss, type] = [ownProperty(claims, 'iss'), ownProperty(claims, 'token_type')]
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

function createUnavailableError(): UndecidedError {
  return new UndecidedError('ERR_TOKEN_INTROSPECTION_UNAVAILABLE')
}
