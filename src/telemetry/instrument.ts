/** An instrument of whatever meter provider the process has at the moment. */

import type { Meter, MeterProvider } from '@opentelemetry/api'
import { metrics } from '@opentelemetry/api'

/**
 * Gives the instrument that `create` makes, made once per provider: the API has no proxy for meters, so those of a
 * provider that comes later have to be asked for again. May throw what a broken provider throws.
 */
export function createInstrument<T>(create: (meter: Meter) => T): () => T {
  let known: { readonly provider: MeterProvider; readonly instrument: T } | undefined

  return () => {
    const provider = metrics.getMeterProvider()
    if (known?.provider !== provider) {
      known = { provider, instrument: create(provider.getMeter('otel-token-relay')) }
    }
    return known.instrument
  }
}
