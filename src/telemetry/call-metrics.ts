/** The metrics of calls to others: issuers, the shared token cache, and the services that clients call. None throws. */

import type { TokenErrorCode } from '../token/errors.ts'
import type { CircuitState, ServerAttributes } from './events.ts'
import { createCounter, createGauge, createHistogram, createOccupancyCounter, LATENCIES } from './instruments.ts'

/** What is known of a key set when something happens to it. `issuer` is a configured one. */
export interface KeySetMeasurement {
  readonly issuer: string
  /** Outcome of a refresh, if there was one. */
  readonly refresh?: 'success' | 'failure'
  /** Why it failed: a word of a short list. */
  readonly cause?: string
  /** Age of the keys in use, in milliseconds. */
  readonly ageMillis?: number
  /** Whether keys older than `maxAgeMillis` were used. */
  readonly stale?: boolean
}

const addRefreshes = createCounter('auth.key_set.refreshes', {
  description: 'Attempts to fetch the keys of an issuer.',
  unit: '{refresh}',
})

const addStaleUses = createCounter('auth.key_set.stale_uses', {
  description: 'Verifications with keys older than their maximum age, because the issuer could not be reached.',
  unit: '{verification}',
})

const recordKeySetAge = createGauge('auth.key_set.age', { description: 'Age of the keys in use.', unit: 's' })

export function measureKeySet({ issuer, refresh, cause, ageMillis, stale }: KeySetMeasurement): void {
  const attributes = { 'auth.token.issuer': issuer }
  if (refresh !== undefined) {
    const why = cause === undefined ? {} : { 'error.type': cause }
    addRefreshes(1, { ...attributes, 'auth.key_set.refresh.outcome': refresh, ...why })
  }
  if (stale === true) addStaleUses(1, attributes)
  if (ageMillis !== undefined && Number.isFinite(ageMillis)) recordKeySetAge(ageMillis / 1000, attributes)
}

/** `issuer` is a configured one. */
export interface ExchangeMeasurement {
  readonly issuer: string
  readonly kind: 'exchange' | 'renewal'
  /** Why there is no token; `undefined` if there is one. */
  readonly code: TokenErrorCode | undefined
  readonly seconds: number
}

const addExchanges = createCounter('auth.exchanges', {
  description: "Requests to an issuer for a token: exchanges, renewals and the service's own tokens.",
  unit: '{exchange}',
})

const recordExchangeDuration = createHistogram('auth.exchange.duration', {
  description: 'Time until an issuer answered a request for a token, retries included.',
  boundaries: LATENCIES,
})

export function measureExchange({ issuer, kind, code, seconds }: ExchangeMeasurement): void {
  const attributes = {
    'auth.token.issuer': issuer,
    'auth.exchange.kind': kind,
    'auth.exchange.outcome': code === undefined ? 'success' : 'failure',
    ...(code === undefined ? {} : { 'error.type': code }),
  }
  addExchanges(1, attributes)
  recordExchangeDuration(seconds, attributes)
}

/**
 * `hit`: the cache had the token of another process. `miss`: the issuer must be asked. `unusable`: the kept value
 * cannot be opened, or its token is no longer good. `unavailable`: the cache did not answer, or could not keep a token.
 */
export type SharedCacheOutcome = 'hit' | 'miss' | 'unusable' | 'unavailable'

/** `issuer` is a configured one. */
export interface SharedCacheMeasurement {
  readonly issuer: string
  readonly outcome: SharedCacheOutcome
  /** Why the kept value is unusable. */
  readonly code?: TokenErrorCode | undefined
}

const addCacheUses = createCounter('auth.exchange.cache', {
  description: 'Uses of the shared cache of exchanged tokens.',
  unit: '{use}',
})

export function measureSharedCache({ issuer, outcome, code }: SharedCacheMeasurement): void {
  addCacheUses(1, {
    'auth.token.issuer': issuer,
    'auth.exchange.cache.outcome': outcome,
    ...(code === undefined ? {} : { 'error.type': code }),
  })
}

const addRetries = createCounter('resilience.retries', { description: 'Repeated attempts.', unit: '{attempt}' })

const addCircuitChanges = createCounter('resilience.circuit.changes', {
  description: 'State changes of circuit breakers.',
  unit: '{change}',
})

const bulkhead = {
  running: createOccupancyCounter('resilience.bulkhead.running', {
    description: 'Attempts in progress.',
    unit: '{attempt}',
  }),
  queued: createOccupancyCounter('resilience.bulkhead.queued', {
    description: 'Attempts that wait for others to end.',
    unit: '{attempt}',
  }),
}

export function measureRetry(server: ServerAttributes): void {
  addRetries(1, server)
}

export function measureCircuitChange(server: ServerAttributes, state: CircuitState): void {
  addCircuitChanges(1, { ...server, 'resilience.circuit.state': state })
}

/** Counts a call that is in progress, or waits for its turn, until the returned function is called. */
export function measureOccupancy(server: ServerAttributes, state: 'running' | 'queued'): () => void {
  return bulkhead[state](server)
}
