/** A histogram of seconds, of whatever meter provider the process has at the moment. */

import type { Attributes } from '@opentelemetry/api'
import { createInstrument } from './instrument.ts'

/** Records how long something took or lasts. Never throws: a broken meter must not break a request. */
export type Measure = (seconds: number, attributes?: Attributes) => void

export interface HistogramOptions {
  readonly description: string
  /** Where one bucket ends and the next one begins, in seconds: a view of the application's own has the last word. */
  readonly boundaries: readonly number[]
}

/** From a millisecond to the longest that anybody waits for an answer. */
export const LATENCIES: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createHistogram(name: string, { description, boundaries }: HistogramOptions): Measure {
  const options = { description, unit: 's', advice: { explicitBucketBoundaries: [...boundaries] } }
  const histogram = createInstrument((meter) => meter.createHistogram(name, options))

  return (seconds, attributes) => {
    try {
      histogram().record(seconds, attributes)
    } catch {
      // Nothing to measure with.
    }
  }
}
