/** OpenTelemetry's "do not trace this" mark on a context, which for us also means "do not authenticate this". */

import type { Context } from '@opentelemetry/api'
import { createContextKey } from '@opentelemetry/api'

// The key of @opentelemetry/core, which is not ours to depend on: its major version is the SDK's. Equal by Symbol.for; a
// test compares it with core's own on both lines.
const SUPPRESS_TRACING = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')

/** Exporters call their back ends under this mark: they must never carry a caller's token there. */
export function isTracingSuppressed(context: Context): boolean {
  return context.getValue(SUPPRESS_TRACING) === true
}

export function suppressTracing(context: Context): Context {
  return context.setValue(SUPPRESS_TRACING, true)
}
