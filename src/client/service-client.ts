/** `createServiceClient`: typed methods for the endpoints of a service, each call as its own caller. */

import { activeRelay, hasActiveRelay } from '../ingress/active-relay.ts'
import { ResilienceError, type ResilienceReason } from '../resilience/outcome.ts'
import type { Resilience } from '../resilience/resilience.ts'
import { createResilience } from '../resilience/resilience.ts'
import { OptionError } from '../token/checked-options.ts'
import type { Prepare, Renew } from './attempt.ts'
import { attempt } from './attempt.ts'
import type { Definition, Endpoint } from './endpoint.ts'
import { definitionOf } from './endpoint.ts'
import type { ServiceErrorCode } from './errors.ts'
import { ServiceError } from './errors.ts'
import type { CallOptions, ClientSettings, ServiceClientOptions } from './options.ts'
import { parseCallOptions, parseClientOptions } from './options.ts'
import { requestOf } from './request.ts'

/** A method of a client. The input may be left out where nothing in it is required. */
export type ServiceCall<Input, Result> =
  Partial<Input> extends Input
    ? (input?: Input, options?: CallOptions) => Promise<Result>
    : (input: Input, options?: CallOptions) => Promise<Result>

/** The methods of a client, by the names of its endpoints. */
export type ServiceClient<Endpoints> = {
  readonly [Name in keyof Endpoints]: Endpoints[Name] extends Endpoint<infer Input, infer Result>
    ? ServiceCall<Input, Result>
    : never
}

/** What the relay does for a client, while there is one. */
const OF_RELAY: { readonly prepare: Prepare; readonly renew: Renew } = {
  prepare: async (origin, options) => (hasActiveRelay() ? activeRelay().prepare(origin, options) : undefined),
  renew: async (origin, refused) => hasActiveRelay() && activeRelay().renew(origin, refused),
}

/** What a client's `endpoints` are. */
export type EndpointRecord = Readonly<Record<string, Endpoint<never, unknown>>>

/**
 * Creates a client for one service. Its methods run as whoever calls them: with a relay, the caller's token goes along as
 * it does for every `fetch`, through queue and retries. They reject with a {@link ServiceError}, or with a TypeError where
 * input or options are wrong.
 *
 * Retries, circuit breaker and bulkhead are the client's: create one client for each service and keep it. It holds no
 * connections, timers or listeners of its own, and needs no closing.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION` for a wrong option; names its path, never its value.
 * @throws ServiceError with code `ERR_SERVICE_DESTINATION` where a relay is active and no rule names `baseUrl`.
 */
export function createServiceClient<const Endpoints extends EndpointRecord>(
  options: ServiceClientOptions<Endpoints>,
): ServiceClient<Endpoints> {
  const settings = parseClientOptions(options)
  const definitions = Object.entries(settings.endpoints).map(([name, endpoint]) => {
    // A client with a `then` would be taken for a promise.
    if (!/^[A-Za-z_$][\w$]*$/.test(name) || name === 'then' || name === '__proto__') {
      throw new OptionError('endpoints', 'expected names that methods may have')
    }
    return [name, definitionOf(endpoint, name)] as const
  })
  refuseUnnamed(settings.baseUrl, undefined)
  const client = { settings, resilience: resilienceOf(settings) }
  const methods = definitions.map(([name, definition]) => [
    name,
    (input: unknown, call: unknown) => callEndpoint({ ...client, name, definition }, input, call),
  ])
  return Object.freeze(Object.assign(Object.create(null), Object.fromEntries(methods))) as ServiceClient<Endpoints>
}

function resilienceOf({ baseUrl, onCircuitChange, ...settings }: ClientSettings): Resilience {
  const { origin, hostname, protocol, port } = baseUrl
  return createResilience({
    ...settings,
    server: { 'server.address': hostname, 'server.port': Number(port) || (protocol === 'https:' ? 443 : 80) },
    onCircuitChange: onCircuitChange && ((state) => onCircuitChange({ state, origin })),
  })
}

interface Callee {
  readonly settings: ClientSettings
  readonly resilience: Resilience
  readonly name: string
  readonly definition: Definition
}

async function callEndpoint(callee: Callee, input: unknown, options: unknown): Promise<unknown> {
  const { settings, resilience, name, definition } = callee
  const call = parseCallOptions(options)
  const headers = [settings.headers, call.headers ?? {}]
  const request = await requestOf(definition, settings.baseUrl, input, headers)
  refuseUnnamed(settings.baseUrl, name)
  const timeoutMillis = call.timeoutMillis ?? definition.timeoutMillis
  const attemptOptions = {
    name,
    definition,
    fetch: settings.fetch ?? globalThis.fetch,
    dispatcher: settings.dispatcher,
    maxResponseBytes: settings.maxResponseBytes,
    timeoutMillis: timeoutMillis ?? settings.timeoutMillis,
    ...OF_RELAY,
  }
  try {
    return await resilience.execute((signal) => attempt(request, attemptOptions, signal), {
      signal: call.signal,
      timeoutMillis,
      repeatable: definition.idempotent,
    })
  } catch (error) {
    return answerInstead(serviceErrorOf(error, name), definition, input)
  }
}

async function answerInstead(error: unknown, { fallback }: Definition, input: unknown): Promise<unknown> {
  const gone = !(error instanceof ServiceError) || error.code === 'ERR_SERVICE_ABORTED'
  if (gone || fallback === undefined) throw error
  return fallback(error, input)
}

const CODES: Readonly<Record<ResilienceReason, ServiceErrorCode>> = {
  timeout: 'ERR_SERVICE_TIMEOUT',
  aborted: 'ERR_SERVICE_ABORTED',
  circuit_open: 'ERR_SERVICE_CIRCUIT_OPEN',
  bulkhead_full: 'ERR_SERVICE_BULKHEAD_FULL',
}

function serviceErrorOf(error: unknown, endpoint: string): unknown {
  return error instanceof ResilienceError ? new ServiceError(CODES[error.reason], { endpoint }) : error
}

/** A client for a place that no rule names is a mistake: it would call without a token and be answered 401 for ever. */
function refuseUnnamed(baseUrl: URL, endpoint: string | undefined): void {
  if (!hasActiveRelay()) return
  const { egressMode, explain } = activeRelay()
  // `report` is there to find out what to name.
  if (egressMode === 'report' || explain(baseUrl.origin).rule !== undefined) return
  throw new ServiceError('ERR_SERVICE_DESTINATION', { endpoint })
}
