/** OpenTelemetry's "do not trace" mark on a context. A context that has it carries no token, either. */

import type { Context } from '@opentelemetry/api'
import { createContextKey } from '@opentelemetry/api'

// The key of @opentelemetry/core, equal by Symbol.for. We do not depend on core, since its major version is the SDK's;
// a test
// compares the two keys for both supported majors.
const SUPPRESS_TRACING = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')

/** Exporters call their back ends with this mark set: no caller's token may go there. */
export function isTracingSuppressed(context: Context): boolean {
  return context.getValue(SUPPRESS_TRACING) === true
}

export function suppressTracing(context: Context): Context {
  return context.setValue(SUPPRESS_TRACING, true)
}
