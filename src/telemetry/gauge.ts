/** Gauges of whatever meter provider the process has at the moment. */

import type { Attributes, MetricOptions } from '@opentelemetry/api'
import { createInstrument } from './instrument.ts'

/** Says how much there is now. Never throws: a broken meter must not break a request. */
export type Report = (value: number, attributes?: Attributes) => void

export function createGauge(name: string, options: MetricOptions): Report {
  const gauge = createInstrument((meter) => meter.createGauge(name, options))

  return (value, attributes) => {
    try {
      gauge().record(value, attributes)
    } catch {
      // Nothing to measure with.
    }
  }
}
