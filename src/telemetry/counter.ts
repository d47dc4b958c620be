/** A counter of whatever meter provider the process has at the moment. */

import type { Attributes, Counter, MeterProvider, MetricOptions } from '@opentelemetry/api'
import { metrics } from '@opentelemetry/api'

/** Adds to a counter. Never throws: a broken meter must not break a request. */
export type Add = (value: number, attributes?: Attributes) => void

/** The API has no proxy for meters: those of a provider that comes later have to be asked for again. */
export function createCounter(name: string, options: MetricOptions): Add {
  let known: { readonly provider: MeterProvider; readonly counter: Counter } | undefined

  return (value, attributes) => {
    try {
      const provider = metrics.getMeterProvider()
      if (known?.provider !== provider) {
        known = { provider, counter: provider.getMeter('otel-token-relay').createCounter(name, options) }
      }
      known.counter.add(value, attributes)
    } catch {
      // Nothing to measure with.
    }
  }
}
