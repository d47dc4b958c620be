/** Measures the key sets of issuers, through whatever meter provider the process has at the moment. */

import type { Counter, Gauge, MeterProvider } from '@opentelemetry/api'
import { metrics } from '@opentelemetry/api'

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

interface Instruments {
  readonly provider: MeterProvider
  readonly refreshes: Counter
  readonly staleUses: Counter
  readonly age: Gauge
}

const METER = 'otel-token-relay'
let instruments: Instruments | undefined

/** Never throws: a broken meter must not break a verification. */
export function measureKeySet({ issuer, refresh, ageMillis, stale }: KeySetMeasurement): void {
  try {
    const { refreshes, staleUses, age } = currentInstruments()
    const attributes = { 'auth.token.issuer': issuer }
    if (refresh !== undefined) refreshes.add(1, { ...attributes, 'auth.key_set.refresh.outcome': refresh })
    if (stale === true) staleUses.add(1, attributes)
    if (ageMillis !== undefined && Number.isFinite(ageMillis)) age.record(ageMillis / 1000, attributes)
  } catch {
    // Nothing to measure with.
  }
}

/** The API has no proxy for meters: those of a provider that comes later have to be asked for again. */
function currentInstruments(): Instruments {
  const provider = metrics.getMeterProvider()
  if (instruments?.provider === provider) return instruments
  const meter = provider.getMeter(METER)
  instruments = {
    provider,
    refreshes: meter.createCounter('auth.key_set.refreshes', {
      description: 'Attempts to fetch the keys of an issuer.',
      unit: '{refresh}',
    }),
    staleUses: meter.createCounter('auth.key_set.stale_uses', {
      description: 'Verifications with keys older than their maximum age, because the issuer could not be reached.',
      unit: '{verification}',
    }),
    age: meter.createGauge('auth.key_set.age', {
      description: 'Age of the keys in use.',
      unit: 's',
    }),
  }
  return instruments
}
