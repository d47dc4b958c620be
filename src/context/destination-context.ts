/** Entries of the context that say where a carrier goes or came from, which a carrier itself does not show. */

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
 * active in `context`: HTTP calls made under it start other spans, and are decided on the wire as ever.
 */
export function setDestination(context: Context, destination: string): Context {
  return context.setValue(DESTINATION, { destination, span: trace.getSpan(context) } satisfies Announced)
}

/** The announced destination, unless another span has been started since. */
export function getDestination(context: Context): string | undefined {
  const announced = context.getValue(DESTINATION) as Announced | undefined
  return announced !== undefined && announced.span === trace.getSpan(context) ? announced.destination : undefined
}

const SEALED_UNTIL = createContextKey('otel-token-relay sealed until')

/**
 * A copy of `context` in which sealed tokens can be opened until `millis`, for the destination that is announced there.
 */
export function setSealedUntil(context: Context, millis: number): Context {
  return context.setValue(SEALED_UNTIL, millis)
}

/** `Infinity` if the context does not say it: sealed tokens can be opened as long as the options allow. */
export function getSealedUntil(context: Context): number {
  return (context.getValue(SEALED_UNTIL) as number | undefined) ?? Number.POSITIVE_INFINITY
}

const SOURCE = createContextKey('otel-token-relay source')

/**
 * A copy of `context` that says where a message was read from, for the next `propagation.extract` with it.
 *
 * `source` is what the producer calls its destination: `kafka:orders`. A sealed token opens there and nowhere else; one
 * in clear text is accepted if a rule for it says `seal: false`. Then `runAsCaller` opens and verifies it.
 */
export function setSource(context: Context, source: string): Context {
  return context.setValue(SOURCE, source)
}

/** Not bound to a span, as destinations are: propagators before this one have put the message's span into `context`. */
export function getSource(context: Context): unknown {
  return context.getValue(SOURCE)
}

/** One `setSource` is for one message, and not for messages that are read while that one is handled. */
export function deleteSource(context: Context): Context {
  return context.getValue(SOURCE) === undefined ? context : context.deleteValue(SOURCE)
}
