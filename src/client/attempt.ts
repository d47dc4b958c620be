/** Makes one request, and returns its outcome in the form that retries and the circuit breaker need. */

import type { PrepareOptions } from '../ingress/active-relay.ts'
import { failureOfStatus, isTransientStatus } from '../resilience/http.ts'
import type { Failure, Outcome } from '../resilience/outcome.ts'
import { TokenError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { EndpointDefinition } from './endpoint.ts'
import { ServiceError, ServiceScopeError } from './errors.ts'
import { requiredScopesOf } from './insufficient-scope.ts'
import type { ServiceRequest } from './request.ts'
import { discard, readResponse } from './response.ts'

/**
 * Fetches the caller's token for `origin`, for a call that takes `validForMillis`; `undefined` if no token is sent.
 * Rejects with a {@link TokenError}.
 */
export type Prepare = (origin: string, options: PrepareOptions) => Promise<VerifiedCredential | undefined>

/** Fetches another token after a 401 for `refused`. If it returns true, the request is repeated once. */
export type Renew = (origin: string, refused: VerifiedCredential) => Promise<boolean>

export interface AttemptOptions {
  /** Name of the endpoint for errors. */
  readonly name: string
  readonly definition: EndpointDefinition
  readonly fetch: typeof fetch
  readonly dispatcher: object | undefined
  readonly maxResponseBytes: number
  /** How long the call may take. */
  readonly timeoutMillis: number
  readonly prepare: Prepare
  readonly renew: Renew
}

/** Makes the request once. Never rejects. */
export async function attempt(
  request: ServiceRequest,
  options: AttemptOptions,
  signal: AbortSignal,
): Promise<Outcome<unknown>> {
  try {
    const token = await fetchToken(request, options, signal)
    const response = await sendWithRenewal(request, token, options, signal)
    return response.ok ? await resultOf(response, options) : await errorStatusOf(response, options)
  } catch (cause) {
    if (cause instanceof TokenError) return tokenFailure(cause, options)
    // The errors of fetch may quote a header or the URL.
    const error = new ServiceError('ERR_SERVICE_NETWORK', { endpoint: options.name })
    return { ok: false, error, unhealthy: true, transient: true }
  }
}

/** If the token is unavailable, or would expire during the call, nothing is sent. */
async function fetchToken(
  { url, headers }: ServiceRequest,
  { prepare, timeoutMillis }: AttemptOptions,
  signal: AbortSignal,
): Promise<VerifiedCredential | undefined> {
  // The application sends its own credential.
  if (headers.has('authorization')) return undefined
  return prepare(new URL(url).origin, { validForMillis: timeoutMillis, signal })
}

/** RFC 6750 §3.1: the caller must get a new token. */
const CHALLENGE = 'Bearer error="invalid_token"'

function tokenFailure({ code, status, retryable }: TokenError, { name }: AttemptOptions): Failure {
  const isLifetime = code === 'ERR_TOKEN_EXCHANGE_LIFETIME'
  const facts = retryable ? { status } : { status: 401, challenge: CHALLENGE }
  const error = new ServiceError(isLifetime ? 'ERR_SERVICE_TOKEN_LIFETIME' : 'ERR_SERVICE_TOKEN', {
    endpoint: name,
    retryable: retryable && !isLifetime,
    ...facts,
  })
  // The service did not fail, and the token endpoint was already retried.
  return { ok: false, error, unhealthy: false, transient: false }
}

async function sendWithRenewal(
  request: ServiceRequest,
  token: VerifiedCredential | undefined,
  options: AttemptOptions,
  signal: AbortSignal,
): Promise<Response> {
  const response = await send(request, options, signal)
  if (response.status !== 401 || token === undefined) return response
  if (!(await options.renew(new URL(request.url).origin, token))) return response
  // The service did not act on a request that it did not authenticate, so repeating it is safe.
  await discard(response)
  return send(request, options, signal)
}

async function send(
  { url, method, headers, body }: ServiceRequest,
  { fetch, dispatcher }: AttemptOptions,
  signal: AbortSignal,
): Promise<Response> {
  // Redirects are not followed: they may lead to a destination that is not configured.
  const init = { method, headers, signal, redirect: 'manual' as const, ...(body === undefined ? {} : { body }) }
  return fetch(url, dispatcher === undefined ? init : ({ ...init, dispatcher } as RequestInit))
}

async function resultOf(response: Response, { definition, name, maxResponseBytes }: AttemptOptions) {
  if (definition.response === undefined) {
    await discard(response)
    return { ok: true as const, value: undefined }
  }
  const result = await readResponse(response, definition.response, maxResponseBytes)
  if ('value' in result) return { ok: true as const, value: result.value }
  const error = new ServiceError(result.problem, { endpoint: name, status: response.status })
  return { ok: false as const, error, unhealthy: false, transient: false }
}

async function errorStatusOf(response: Response, { name }: AttemptOptions): Promise<Failure> {
  const { status, headers } = response
  const scopes = status === 403 ? requiredScopesOf(headers.get('www-authenticate')) : undefined
  const error =
    scopes === undefined
      ? new ServiceError('ERR_SERVICE_STATUS', { endpoint: name, status, retryable: isTransientStatus(status) })
      : new ServiceScopeError(name, scopes)
  await discard(response)
  return failureOfStatus(status, headers, error)
}
