/** Overwrites an `Authorization` header that an HTTP instrumentation was configured to copy to a span. */

import type { Span } from '@opentelemetry/api'
import { reportProblem } from '../log-entries.ts'

/** By OpenTelemetry's semantic conventions. */
const ATTRIBUTE = 'http.request.header.authorization'
const REDACTED_VALUE = ['[redacted]']

const settled = Promise.resolve()

let isReported = false

/**
 * Does the same for the span of a client, which captures the header after it was written, in the same turn of the event
 * loop.
 */
export function redactWrittenHeader(span: Span): void {
  redactCapturedHeader(span)
  // What `queueMicrotask` does, without a resource of `async_hooks` for each call.
  void settled.then(() => redactCapturedHeader(span))
}

/**
 * Overwrites the attribute that header capture (`headersToSpanAttributes`) has set on `span`. On a server's span it is
 * there by the time the request is handled. Never throws.
 */
export function redactCapturedHeader(span: Span): void {
  try {
    // Of a span of OpenTelemetry's own SDK; the API cannot read attributes.
    const { attributes } = span as { readonly attributes?: unknown }
    const isCaptured = typeof attributes === 'object' && attributes !== null && ATTRIBUTE in attributes
    if (!isCaptured || Reflect.get(attributes, ATTRIBUTE) === REDACTED_VALUE) return
    span.setAttribute(ATTRIBUTE, REDACTED_VALUE)
    reportOnce()
  } catch {
    // A broken SDK must not break a request.
  }
}

function reportOnce(): void {
  if (isReported) return
  isReported = true
  reportProblem({
    message: 'header capture copies authorization to spans: remove it from headersToSpanAttributes',
    severity: 'error',
  })
}
