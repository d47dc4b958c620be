/** Reads the counters that the relay has recorded in this process. */

import { metrics } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'

export interface Counters extends AsyncDisposable {
  /** The points of a counter so far: their attributes and values. */
  values(name: string): Promise<readonly (readonly [attributes: object, value: unknown])[]>
}

/** Registers the global meter provider. */
export function recordCounters(): Counters {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1e9 })
  const provider = new MeterProvider({ readers: [reader] })
  metrics.setGlobalMeterProvider(provider)
  return {
    async values(name) {
      await provider.forceFlush()
      const latest = exporter.getMetrics().at(-1)?.scopeMetrics ?? []
      const named = latest.flatMap((scope) => scope.metrics).filter(({ descriptor }) => descriptor.name === name)
      return named.flatMap(({ dataPoints }) => dataPoints.map(({ attributes, value }) => [attributes, value] as const))
    },
    async [Symbol.asyncDispose]() {
      await provider.shutdown()
      metrics.disable()
    },
  }
}
