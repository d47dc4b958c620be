/** Takes the `Authorization` that an HTTP instrumentation has been told to copy to a span off that span. */

import type { Span } from '@opentelemetry/api'
import { diag } from '@opentelemetry/api'

/** By OpenTelemetry's semantic conventions. */
const ATTRIBUTE = 'http.request.header.authorization'
const CONCEALED = ['[redacted]']

const now = Promise.resolve()

let told = false

/** The same for the span of a client: what it captures comes in the turn of the event loop in which the header was written. */
export function concealWrittenHeader(span: Span): void {
  concealCapturedHeader(span)
  // What `queueMicrotask` does, without a resource of `async_hooks` for each call.
  void now.then(() => concealCapturedHeader(span))
}

/**
 * Overwrites what header capture (`headersToSpanAttributes`) has put on `span`: by the time a server's request is received
 * it is there. Never throws.
 */
export function concealCapturedHeader(span: Span): void {
  try {
    // Of a span of OpenTelemetry's own SDK; the API has nothing to look at attributes with.
    const attributes: unknown = Reflect.get(span, 'attributes')
    const isCaptured = typeof attributes === 'object' && attributes !== null && ATTRIBUTE in attributes
    if (!isCaptured || Reflect.get(attributes, ATTRIBUTE) === CONCEALED) return
    span.setAttribute(ATTRIBUTE, CONCEALED)
    tell()
  } catch {
    // A span of a broken SDK must not break the request it belongs to.
  }
}

function tell(): void {
  if (told) return
  told = true
  diag.error('otel-token-relay: header capture copies authorization to spans: take it out of headersToSpanAttributes')
}
