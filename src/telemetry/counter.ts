/** Counters of whatever meter provider the process has at the moment. */

import type { Attributes, Meter, MetricOptions, UpDownCounter } from '@opentelemetry/api'
import { createInstrument } from './instrument.ts'

/** Adds to a counter. Never throws: a broken meter must not break a request. */
export type Add = (value: number, attributes?: Attributes) => void

export function createCounter(name: string, options: MetricOptions): Add {
  return adderOf((meter) => meter.createCounter(name, options))
}

/** As {@link createCounter}, for what goes down as well. */
export function createUpDownCounter(name: string, options: MetricOptions): Add {
  return adderOf((meter) => meter.createUpDownCounter(name, options))
}

function adderOf(create: (meter: Meter) => Pick<UpDownCounter, 'add'>): Add {
  const counter = createInstrument(create)

  return (value, attributes) => {
    try {
      counter().add(value, attributes)
    } catch {
      // Nothing to measure with.
    }
  }
}
