/** Where the next manual `propagation.inject` goes, said by the caller because a carrier cannot tell. */

import type { Context, Span } from '@opentelemetry/api'
import { createContextKey, trace } from '@opentelemetry/api'

const DESTINATION = createContextKey('otel-token-relay destination')

interface Announced {
  readonly destination: string
  readonly span: Span | undefined
}

/**
 * A copy of `context` that says where a carrier goes which the application fills itself with `propagation.inject`.
 *
 * `destination` has the form of a rule without `*`: `kafka:orders`, `grpcs://host:port`. It holds for the span that is
 * active in `context`: HTTP calls made under it start spans of their own, and are decided on the wire as ever.
 */
export function setDestination(context: Context, destination: string): Context {
  return context.setValue(DESTINATION, { destination, span: trace.getSpan(context) } satisfies Announced)
}

/** The announced destination, unless another span has been started since. */
export function getDestination(context: Context): string | undefined {
  const announced = context.getValue(DESTINATION) as Announced | undefined
  return announced !== undefined && announced.span === trace.getSpan(context) ? announced.destination : undefined
}
