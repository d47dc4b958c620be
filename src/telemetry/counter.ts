/** A counter of whatever meter provider the process has at the moment. */

import type { Attributes, MetricOptions } from '@opentelemetry/api'
import { createInstrument } from './instrument.ts'

/** Adds to a counter. Never throws: a broken meter must not break a request. */
export type Add = (value: number, attributes?: Attributes) => void

export function createCounter(name: string, options: MetricOptions): Add {
  const counter = createInstrument((meter) => meter.createCounter(name, options))

  return (value, attributes) => {
    try {
      counter().add(value, attributes)
    } catch {
      // Nothing to measure with.
    }
  }
}
