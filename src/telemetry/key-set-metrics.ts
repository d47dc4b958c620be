/** Measures the key sets of issuers. */

import { createCounter } from './counter.ts'
import { createGauge } from './gauge.ts'

/** What is known of a key set whenever something happens to it. `issuer` is a configured one. */
export interface KeySetMeasurement {
  readonly issuer: string
  /** Outcome of a refresh, where there was one. */
  readonly refresh?: 'success' | 'failure'
  /** Age of the keys that are in use, in milliseconds. */
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

const recordAge = createGauge('auth.key_set.age', { description: 'Age of the keys in use.', unit: 's' })

/** Never throws. */
export function measureKeySet({ issuer, refresh, ageMillis, stale }: KeySetMeasurement): void {
  const attributes = { 'auth.token.issuer': issuer }
  if (refresh !== undefined) addRefreshes(1, { ...attributes, 'auth.key_set.refresh.outcome': refresh })
  if (stale === true) addStaleUses(1, attributes)
  if (ageMillis !== undefined && Number.isFinite(ageMillis)) recordAge(ageMillis / 1000, attributes)
}
