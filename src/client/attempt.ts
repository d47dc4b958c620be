/** One request and what came of it, in the words that retries and the circuit breaker need. */

import { failureOfStatus, isTransientStatus } from '../resilience/http.ts'
import type { Failure, Outcome } from '../resilience/outcome.ts'
import type { Definition } from './endpoint.ts'
import { ServiceError, ServiceScopeError } from './errors.ts'
import { requiredScopesOf } from './insufficient-scope.ts'
import type { ServiceRequest } from './request.ts'
import { discard, readResponse } from './response.ts'

/**
 * Makes the caller's token new, where it can be, after a service of `origin` has answered 401. Whether it did: then the
 * request is made once more.
 */
export type Renew = (origin: string) => Promise<boolean>

export interface AttemptOptions {
  /** Name of the endpoint, for errors. */
  readonly name: string
  readonly definition: Definition
  readonly fetch: typeof fetch
  readonly dispatcher: object | undefined
  readonly maxResponseBytes: number
  readonly renew: Renew | undefined
}

/** Does not reject. */
export async function attempt(
  request: ServiceRequest,
  options: AttemptOptions,
  signal: AbortSignal,
): Promise<Outcome<unknown>> {
  try {
    const response = await answerTo(request, options, signal)
    return response.ok ? await resultOf(response, options) : await refusalOf(response, options)
  } catch {
    // The texts of fetch may quote a header or the URL.
    const error = new ServiceError('ERR_SERVICE_NETWORK', { endpoint: options.name })
    return { ok: false, error, unhealthy: true, transient: true }
  }
}

async function answerTo(request: ServiceRequest, options: AttemptOptions, signal: AbortSignal): Promise<Response> {
  const response = await send(request, options, signal)
  // The application's own credential is not ours to renew.
  if (response.status !== 401 || options.renew === undefined || request.headers.has('authorization')) return response
  if (!(await options.renew(new URL(request.url).origin))) return response
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
