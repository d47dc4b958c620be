/** Knows the producer spans of messages that carry a token, and the client spans of the requests that deliver them. */

import type { Span } from '@opentelemetry/api'

const spans = new WeakSet<Span>()
/** Whether there are any: services that send no messages have nothing to look up. */
export let hasMessageSpans = false

/** The token goes with the message of `span`. */
export function markMessageSpan(span: Span | undefined): void {
  if (span === undefined) return
  spans.add(span)
  hasMessageSpans = true
}

/** `child` is a client span below `parent`: the request to the broker, if that is the span of a message. */
export function markBelowMessage(child: Span, parent: Span | undefined): void {
  if (parent !== undefined && spans.has(parent)) spans.add(child)
}

/** Whether a request in `span` delivers a message that carries the token: the request itself needs none. */
export function deliversMessage(span: Span | undefined): boolean {
  return hasMessageSpans && span !== undefined && spans.has(span)
}
