/** Overwrites a header with a token that an HTTP instrumentation was configured to copy to a span. */

import type { Span } from '@opentelemetry/api'
import { reportProblem } from '../log-entries.ts'

/** By OpenTelemetry's semantic conventions. */
const PREFIX = 'http.request.header.'
const ATTRIBUTE = 'http.request.header.authorization'
const REDACTED_VALUE = ['[redacted]']

/** Of the field that `ingress.header` names, in the spellings of older and newer instrumentations. */
let others: readonly string[] = []

/** From now on the attributes of this field, too, are overwritten. */
export function concealField(name: string): void {
  const names = name === 'authorization' ? [] : [name, name.replaceAll('-', '_')]
  others = [...new Set(names)].map((each) => PREFIX + each)
}

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
    redactAttribute(span, ATTRIBUTE)
    if (others.length > 0) for (const attribute of others) redactAttribute(span, attribute)
  } catch {
    // A broken SDK must not break a request.
  }
}

function redactAttribute(span: Span, attribute: string): void {
  // Of a span of OpenTelemetry's own SDK; the API cannot read attributes.
  const { attributes } = span as { readonly attributes?: unknown }
  const isCaptured = typeof attributes === 'object' && attributes !== null && attribute in attributes
  if (!isCaptured || Reflect.get(attributes, attribute) === REDACTED_VALUE) return
  span.setAttribute(attribute, REDACTED_VALUE)
  reportOnce(attribute.slice(PREFIX.length))
}

function reportOnce(field: string): void {
  if (isReported) return
  isReported = true
  reportProblem({
    message: `header capture copies ${field} to spans: remove it from headersToSpanAttributes`,
    severity: 'error',
  })
}
