/** The kinds of OpenTelemetry instruments that metrics are made of. A broken meter makes none of them throw. */

import type { Attributes, Meter, MeterProvider, MetricOptions, ObservableResult } from '@opentelemetry/api'
import { metrics } from '@opentelemetry/api'
import { ignoreErrors } from '../base/ignore-errors.ts'

const METER_NAME = 'otel-token-relay'

/**
 * Upper bounds of the buckets of a latency, in seconds: from a millisecond to the longest useful wait for an answer.
 */
export const LATENCIES: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export interface HistogramOptions {
  readonly description: string
  /** Upper bounds of the buckets, in seconds. They are advice: a view that the application defines replaces them. */
  readonly boundaries: readonly number[]
}

/** Adds `value` to the series of `attributes`, or records it there. */
export type RecordValue = (value: number, attributes?: Attributes) => void

export function createCounter(name: string, options: MetricOptions): RecordValue {
  const counter = createOncePerProvider((meter) => meter.createCounter(name, options))
  return (value, attributes) => ignoreErrors(() => counter().add(value, attributes))
}

export function createUpDownCounter(name: string, options: MetricOptions): RecordValue {
  const counter = createOncePerProvider((meter) => meter.createUpDownCounter(name, options))
  return (value, attributes) => ignoreErrors(() => counter().add(value, attributes))
}

export function createGauge(name: string, options: MetricOptions): RecordValue {
  const gauge = createOncePerProvider((meter) => meter.createGauge(name, options))
  return (value, attributes) => ignoreErrors(() => gauge().record(value, attributes))
}

/** Creates a histogram of seconds. */
export function createHistogram(name: string, { description, boundaries }: HistogramOptions): RecordValue {
  const options = { description, unit: 's', advice: { explicitBucketBoundaries: [...boundaries] } }
  const histogram = createOncePerProvider((meter) => meter.createHistogram(name, options))
  return (seconds, attributes) => ignoreErrors(() => histogram().record(seconds, attributes))
}

/** Counts one thing until the returned function is called. */
export type CountWhileItLasts = (attributes: Attributes) => () => void

/** Creates an up-down counter of things that begin and end. */
export function createOccupancyCounter(name: string, options: MetricOptions): CountWhileItLasts {
  const counter = createOncePerProvider((meter) => meter.createUpDownCounter(name, options))

  return (attributes) => {
    const counted = ignoreErrors(counter)
    ignoreErrors(() => counted?.add(1, attributes))
    // On the instrument that counted the beginning: that of a later provider would go below zero.
    return () => ignoreErrors(() => counted?.add(-1, attributes))
  }
}

/**
 * Returns the instrument that `create` makes, once per provider: the API has no proxy for meters, so an instrument of a
 * provider that is registered later must be created again. Throws what a broken provider throws.
 */
function createOncePerProvider<T>(create: (meter: Meter) => T): () => T {
  let known: { readonly provider: MeterProvider; readonly instrument: T } | undefined

  return () => {
    const provider = metrics.getMeterProvider()
    if (known?.provider !== provider) known = { provider, instrument: create(provider.getMeter(METER_NAME)) }
    return known.instrument
  }
}

/** Adds one to a series of a cheap counter. */
export type CountOne = () => void

interface Series {
  readonly attributes: Attributes
  count: number
}

/**
 * Creates a counter for the path of every request. A counter of the SDK makes a key of the attributes at each count,
 * which takes 1.4 µs; here the caller keeps one function per series, which takes 36 ns, and the SDK reads the counts
 * when it collects (`npm run bench -- count`).
 */
export function createCheapCounter(name: string, options: MetricOptions): CheapCounter {
  return new CheapCounter(name, options)
}

export class CheapCounter {
  readonly #name: string
  readonly #options: MetricOptions
  readonly #flushes: (() => void)[] = []
  #observed: { readonly provider: MeterProvider; readonly series: Series[] } | undefined

  constructor(name: string, options: MetricOptions) {
    this.#name = name
    this.#options = options
  }

  /** Calls `flush` before the values of each collection are read. */
  beforeCollection(flush: () => void): void {
    this.#flushes.push(flush)
  }

  /** Counts from zero for each provider, since the points of a new one begin with it. */
  createSeries(attributes: Attributes): CountOne {
    let series: Series | undefined
    let provider: MeterProvider | undefined

    return () => {
      const active = metrics.getMeterProvider()
      if (series === undefined || provider !== active) {
        series = { attributes, count: 0 }
        provider = active
        this.#seriesObservedBy(active).push(series)
      }
      series.count += 1
    }
  }

  #seriesObservedBy(provider: MeterProvider): Series[] {
    if (this.#observed?.provider === provider) return this.#observed.series
    const all: Series[] = []
    this.#observed = { provider, series: all }
    const observe = (result: ObservableResult): void => {
      for (const { count, attributes } of all) result.observe(count, attributes)
      for (const flush of this.#flushes) flush()
    }
    ignoreErrors(() =>
      provider.getMeter(METER_NAME).createObservableCounter(this.#name, this.#options).addCallback(observe),
    )
    return all
  }
}

/** As many values wait for a collection at most. */
const BATCH = 256

/** Takes the next value of a series. */
export type TakeValue = (seconds: number) => void

/**
 * Creates a histogram of seconds for the path of every request. The SDK finds the series and the bucket of a value in
 * 2.6 µs between other work, and in a fraction of that for many values at once: so values wait until
 * `counter` is collected, or until there are {@link BATCH}. They have no exemplars.
 */
export function createBatchedHistogram(
  name: string,
  options: HistogramOptions,
  counter: CheapCounter,
): (attributes: Attributes) => TakeValue {
  const record = createHistogram(name, options)
  return (attributes) => {
    const values = new Float64Array(BATCH)
    let waiting = 0
    let provider: MeterProvider | undefined
    const flush = (): void => {
      // What waited for another provider is not of this one's time.
      if (provider === metrics.getMeterProvider())
        for (let i = 0; i < waiting; i += 1) record(values[i] ?? 0, attributes)
      waiting = 0
    }
    counter.beforeCollection(flush)
    return (seconds) => {
      const active = metrics.getMeterProvider()
      if (provider !== active) waiting = 0
      provider = active
      values[waiting] = seconds
      waiting += 1
      if (waiting === BATCH) flush()
    }
  }
}
