/** Counters that cost a request next to nothing: counted here, and read when somebody collects. */

import type { Attributes, MeterProvider, MetricOptions, ObservableResult } from '@opentelemetry/api'
import { metrics } from '@opentelemetry/api'

/** Counts one more. Never throws: a broken meter must not break a request. */
export type CountOne = () => void

interface Series {
  readonly attributes: Attributes
  count: number
}

/**
 * A counter whose series are made once and kept by whoever counts: a counter of OpenTelemetry makes a key of the attributes
 * each time.
 */
export function createTally(name: string, options: MetricOptions): (attributes: Attributes) => CountOne {
  /** What one provider is told. The API has no proxy for meters: those of one that comes later have to be asked for again. */
  let current: { readonly provider: MeterProvider; readonly all: Series[] } | undefined

  function discover(provider: MeterProvider): Series[] {
    const all: Series[] = []
    current = { provider, all }
    const observe = (result: ObservableResult): void => {
      for (const { count, attributes } of all) result.observe(count, attributes)
    }
    try {
      provider.getMeter('otel-token-relay').createObservableCounter(name, options).addCallback(observe)
    } catch {
      // Nothing to measure with.
    }
    return all
  }

  return (attributes) => {
    let [series, provider]: [Series | undefined, MeterProvider | undefined] = [undefined, undefined]

    return () => {
      const active = metrics.getMeterProvider()
      if (series === undefined || provider !== active) {
        const all = current?.provider === active ? current.all : discover(active)
        series = { attributes, count: 0 }
        provider = active
        all.push(series)
      }
      series.count += 1
    }
  }
}
