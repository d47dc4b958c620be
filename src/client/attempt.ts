/** One request and what came of it, in the words that retries and the circuit breaker need. */

import type { PrepareOptions } from '../ingress/active-relay.ts'
import { failureOfStatus, isTransientStatus } from '../resilience/http.ts'
import type { Failure, Outcome } from '../resilience/outcome.ts'
import { TokenError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Definition } from './endpoint.ts'
import { ServiceError, ServiceScopeError } from './errors.ts'
import { requiredScopesOf } from './insufficient-scope.ts'
import type { ServiceRequest } from './request.ts'
import { discard, readResponse } from './response.ts'

/**
 * Gets the token that the caller needs at `origin`, for a call that takes `validForMillis`; `undefined` where none is sent.
 * Rejects with a {@link TokenError}.
 */
export type Prepare = (origin: string, options: PrepareOptions) => Promise<VerifiedCredential | undefined>

/** Gets another one after `refused` was answered 401. Whether there is one: then the request is made once more. */
export type Renew = (origin: string, refused: VerifiedCredential) => Promise<boolean>

export interface AttemptOptions {
  /** Name of the endpoint, for errors. */
  readonly name: string
  readonly definition: Definition
  readonly fetch: typeof fetch
  readonly dispatcher: object | undefined
  readonly maxResponseBytes: number
  /** How long the call may take. */
  readonly timeoutMillis: number
  readonly prepare: Prepare
  readonly renew: Renew
}

/** Does not reject. */
export async function attempt(
  request: ServiceRequest,
  options: AttemptOptions,
  signal: AbortSignal,
): Promise<Outcome<unknown>> {
  try {
    const token = await prepareFor(request, options, signal)
    const response = await answerTo(request, token, options, signal)
    return response.ok ? await resultOf(response, options) : await refusalOf(response, options)
  } catch (cause) {
    if (cause instanceof TokenError) return withoutToken(cause, options)
    // The texts of fetch may quote a header or the URL.
    const error = new ServiceError('ERR_SERVICE_NETWORK', { endpoint: options.name })
    return { ok: false, error, unhealthy: true, transient: true }
  }
}

/** A token that dies on the way is none, and neither is one that could not be had: then nothing is sent at all. */
async function prepareFor(
  { url, headers }: ServiceRequest,
  { prepare, timeoutMillis }: AttemptOptions,
  signal: AbortSignal,
): Promise<VerifiedCredential | undefined> {
  // The application's own credential is not ours to get, nor to renew.
  if (headers.has('authorization')) return undefined
  return prepare(new URL(url).origin, { validForMillis: timeoutMillis, signal })
}

function withoutToken({ code, retryable }: TokenError, { name }: AttemptOptions): Failure {
  const error =
    code === 'ERR_TOKEN_EXCHANGE_LIFETIME'
      ? new ServiceError('ERR_SERVICE_TOKEN_LIFETIME', { endpoint: name })
      : new ServiceError('ERR_SERVICE_TOKEN', { endpoint: name, retryable })
  // The service has nothing to do with it, and whoever gives tokens has been asked again already.
  return { ok: false, error, unhealthy: false, transient: false }
}

async function answerTo(
  request: ServiceRequest,
  token: VerifiedCredential | undefined,
  options: AttemptOptions,
  signal: AbortSignal,
): Promise<Response> {
  const response = await send(request, options, signal)
  if (response.status !== 401 || token === undefined) return response
  if (!(await options.renew(new URL(request.url).origin, token))) return response
  // The service has not acted on a request that it did not authenticate: this is no second one.
  await discard(response)
  return send(request, options, signal)
}

async function send(
  { url, method, headers, body }: ServiceRequest,
  { fetch, dispatcher }: AttemptOptions,
  signal: AbortSignal,
): Promise<Response> {
  // Redirects are not followed: where they lead is not what was configured.
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

async function refusalOf(response: Response, { name }: AttemptOptions): Promise<Failure> {
  const { status, headers } = response
  const scopes = status === 403 ? requiredScopesOf(headers.get('www-authenticate')) : undefined
  const error =
    scopes === undefined
      ? new ServiceError('ERR_SERVICE_STATUS', { endpoint: name, status, retryable: isTransientStatus(status) })
      : new ServiceScopeError(name, scopes)
  await discard(response)
  return failureOfStatus(status, headers, error)
}
