/** Records the metrics of this process while a test runs. */

import { metrics } from '@opentelemetry/api'
import type { Histogram } from '@opentelemetry/sdk-metrics'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'

type Point<T> = readonly [attributes: object, value: T]

export interface RecordedMetrics extends AsyncDisposable {
  /** The points of a counter or gauge. */
  values(name: string): Promise<readonly Point<unknown>[]>
  /** How many values a histogram has recorded, by its attributes. */
  counts(name: string): Promise<readonly Point<number>[]>
  /** The sum of these values, by its attributes. */
  sums(name: string): Promise<readonly Point<number>[]>
  /** All that was exported, as JSON. */
  everything(): Promise<string>
}

/** Registers the global meter provider until it is disposed of. */
export function recordMetrics(): RecordedMetrics {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1e9 })
  const provider = new MeterProvider({ readers: [reader] })
  metrics.setGlobalMeterProvider(provider)

  async function points(name: string): Promise<readonly Point<unknown>[]> {
    await provider.forceFlush()
    const latest = exporter.getMetrics().at(-1)?.scopeMetrics ?? []
    return latest
      .flatMap((scope) => scope.metrics)
      .filter(({ descriptor }) => descriptor.name === name)
      .flatMap(({ dataPoints }) => dataPoints.map((point): Point<unknown> => [point.attributes, point.value]))
  }

  return {
    values: points,
    async counts(name) {
      return (await points(name)).map(([attributes, value]) => [attributes, (value as Histogram).count])
    },
    async sums(name) {
      return (await points(name)).map(([attributes, value]) => [attributes, (value as Histogram).sum ?? 0])
    },
    async everything() {
      await provider.forceFlush()
      return JSON.stringify(exporter.getMetrics())
    },
    async [Symbol.asyncDispose]() {
      await provider.shutdown()
      metrics.disable()
    },
  }
}
