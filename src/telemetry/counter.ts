/** Counters of whatever meter provider the process has at the moment. */

import type { Attributes, Meter, MeterProvider, MetricOptions, UpDownCounter } from '@opentelemetry/api'
import { metrics } from '@opentelemetry/api'

/** Adds to a counter. Never throws: a broken meter must not break a request. */
export type Add = (value: number, attributes?: Attributes) => void

export function createCounter(name: string, options: MetricOptions): Add {
  return adderOf((meter) => meter.createCounter(name, options))
}

/** As {@link createCounter}, for what goes down as well. */
export function createUpDownCounter(name: string, options: MetricOptions): Add {
  return adderOf((meter) => meter.createUpDownCounter(name, options))
}

/** The API has no proxy for meters: those of a provider that comes later have to be asked for again. */
function adderOf(create: (meter: Meter) => Pick<UpDownCounter, 'add'>): Add {
  let known: { readonly provider: MeterProvider; readonly counter: Pick<UpDownCounter, 'add'> } | undefined

  return (value, attributes) => {
    try {
      const provider = metrics.getMeterProvider()
      if (known?.provider !== provider) {
        known = { provider, counter: create(provider.getMeter('otel-token-relay')) }
      }
      known.counter.add(value, attributes)
    } catch {
      // Nothing to measure with.
    }
  }
}
