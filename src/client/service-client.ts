/** Creates service clients: typed methods for the endpoints of a service, each call as its own caller. */

import { context } from '@opentelemetry/api'
import { OptionError } from '../base/option-checks.ts'
import { portOf } from '../base/urls.ts'
import { withCallSite } from '../context/call-sites.ts'
import { runInContext } from '../context/without-caller.ts'
import { activeRelay, hasActiveRelay } from '../ingress/active-relay.ts'
import { ResilienceError, type ResilienceReason } from '../resilience/outcome.ts'
import type { Resilience } from '../resilience/resilience.ts'
import { createResilience } from '../resilience/resilience.ts'
import type { Prepare, Renew } from './attempt.ts'
import { attempt } from './attempt.ts'
import type { Endpoint, EndpointDefinition } from './endpoint.ts'
import { definitionOf } from './endpoint.ts'
import type { ServiceErrorCode } from './errors.ts'
import { ServiceError } from './errors.ts'
import type { CallOptions, ClientSettings, ServiceClientOptions } from './options.ts'
import { parseCallOptions, parseClientOptions } from './options.ts'
import { buildRequest } from './request.ts'

/** A method of a client. The input may be omitted if none of its members is required. */
export type ServiceCall<Input, Result> =
  Partial<Input> extends Input
    ? (input?: Input, options?: CallOptions) => Promise<Result>
    : (input: Input, options?: CallOptions) => Promise<Result>

/** The methods of a client, by endpoint name. */
export type ServiceClient<Endpoints> = {
  readonly [Name in keyof Endpoints]: Endpoints[Name] extends Endpoint<infer Input, infer Result>
    ? ServiceCall<Input, Result>
    : never
}

/** Asks the active relay for tokens. Without a relay, no token is sent. */
const RELAY_TOKENS: { readonly prepare: Prepare; readonly renew: Renew } = {
  prepare: async (origin, options) => (hasActiveRelay() ? activeRelay().prepare(origin, options) : undefined),
  renew: async (origin, refused) => hasActiveRelay() && activeRelay().renew(origin, refused),
}

/** The type of a client's `endpoints`. */
export type EndpointRecord = Readonly<Record<string, Endpoint<never, unknown>>>

/**
 * Creates a client for one service. Its methods run as the current caller: with a relay, the caller's token is sent as
 * for every `fetch`, also from the queue and in retries. They reject with a {@link ServiceError}, or with a TypeError
 * if input or options are wrong.
 *
 * Retries, circuit breaker and bulkhead belong to the client: create one client for each service and keep it. It holds
 * no connections, timers or listeners, so you need not close it.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION` for a wrong option. It names the path of the option, never its value.
 * @throws ServiceError with code `ERR_SERVICE_DESTINATION` if a relay is active and no rule names `baseUrl`.
 */
export function createServiceClient<const Endpoints extends EndpointRecord>(
  options: ServiceClientOptions<Endpoints>,
): ServiceClient<Endpoints> {
  const settings = parseClientOptions(options)
  const definitions = Object.entries(settings.endpoints).map(([name, endpoint]) => {
    // `await` would call a method named `then`.
    if (!/^[A-Za-z_$][\w$]*$/.test(name) || name === 'then' || name === '__proto__') {
      throw new OptionError('endpoints', 'expected names that are valid for methods')
    }
    return [name, definitionOf(endpoint, name)] as const
  })
  throwIfUnnamed(settings.baseUrl, undefined)
  const client = { settings, resilience: createClientResilience(settings) }
  const methods = definitions.map(([name, definition]) => [
    name,
    // Saved now for warnings about lost callers: later no frame of the application is on the stack.
    (input: unknown, call: unknown) =>
      runInContext(withCallSite(context.active()), () => callEndpoint({ ...client, name, definition }, input, call)),
  ])
  return Object.freeze(Object.assign(Object.create(null), Object.fromEntries(methods))) as ServiceClient<Endpoints>
}

function createClientResilience({ baseUrl, onCircuitChange, ...settings }: ClientSettings): Resilience {
  const { origin, hostname } = baseUrl
  return createResilience({
    ...settings,
    server: { 'server.address': hostname, 'server.port': portOf(baseUrl) },
    onCircuitChange: onCircuitChange && ((state) => onCircuitChange({ state, origin })),
  })
}

interface EndpointCall {
  readonly settings: ClientSettings
  readonly resilience: Resilience
  readonly name: string
  readonly definition: EndpointDefinition
}

async function callEndpoint(endpoint: EndpointCall, input: unknown, options: unknown): Promise<unknown> {
  const { settings, resilience, name, definition } = endpoint
  const call = parseCallOptions(options)
  const headers = [settings.headers, call.headers ?? {}]
  const request = await buildRequest(definition, settings.baseUrl, input, headers)
  throwIfUnnamed(settings.baseUrl, name)
  const timeoutMillis = call.timeoutMillis ?? definition.timeoutMillis
  const attemptOptions = {
    name,
    definition,
    fetch: settings.fetch ?? globalThis.fetch,
    dispatcher: settings.dispatcher,
    maxResponseBytes: settings.maxResponseBytes,
    timeoutMillis: timeoutMillis ?? settings.timeoutMillis,
    ...RELAY_TOKENS,
  }
  try {
    return await resilience.execute((signal) => attempt(request, attemptOptions, signal), {
      signal: call.signal,
      timeoutMillis,
      repeatable: definition.idempotent,
    })
  } catch (error) {
    return useFallback(toServiceError(error, name), definition, input)
  }
}

async function useFallback(error: unknown, { fallback }: EndpointDefinition, input: unknown): Promise<unknown> {
  const isFinal = !(error instanceof ServiceError) || error.code === 'ERR_SERVICE_ABORTED'
  if (isFinal || fallback === undefined) throw error
  return fallback(error, input)
}

const CODES: Readonly<Record<ResilienceReason, ServiceErrorCode>> = {
  timeout: 'ERR_SERVICE_TIMEOUT',
  aborted: 'ERR_SERVICE_ABORTED',
  circuit_open: 'ERR_SERVICE_CIRCUIT_OPEN',
  bulkhead_full: 'ERR_SERVICE_BULKHEAD_FULL',
}

function toServiceError(error: unknown, endpoint: string): unknown {
  return error instanceof ResilienceError ? new ServiceError(CODES[error.reason], { endpoint }) : error
}

/** Throws if no rule names the service: the client would call without a token and always get 401. */
function throwIfUnnamed(baseUrl: URL, endpoint: string | undefined): void {
  if (!hasActiveRelay()) return
  const { egressMode, explain } = activeRelay()
  // The mode `report` is for finding the destinations to name.
  if (egressMode === 'report' || explain(baseUrl.origin).rule !== undefined) return
  throw new ServiceError('ERR_SERVICE_DESTINATION', { endpoint })
}
