/** Joins our propagator to the one that an SDK registers. */

import type { TextMapPropagator } from '@opentelemetry/api'

/** Theirs first, ours after it, each untouched by the other. */
export function composePropagators(theirs: TextMapPropagator, ours: TextMapPropagator): TextMapPropagator {
  return {
    inject(ctx, carrier, setter) {
      theirs.inject(ctx, carrier, setter)
      ours.inject(ctx, carrier, setter)
    },
    extract: (ctx, carrier, getter) => ours.extract(theirs.extract(ctx, carrier, getter), carrier, getter),
    fields: () => [...new Set([...theirs.fields(), ...ours.fields()])],
  }
}
