/** Links from later spans to the one in which a token was first verified or obtained. */

import type { Link, Span, SpanContext } from '@opentelemetry/api'
import { TraceFlags, trace } from '@opentelemetry/api'
import { ignoreErrors } from '../base/ignore-errors.ts'
import { createObjectMetadata } from '../base/object-metadata.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'

/** Collected with the credential. */
const firstSpans = createObjectMetadata<SpanContext>()

/** Remembers `span` for `credential`, unless there is an earlier one. Never throws. */
export function rememberSpanOf(credential: VerifiedCredential, span: Span | undefined): void {
  if (span === undefined || firstSpans.get(credential) !== undefined) return
  ignoreErrors(() => {
    const context = span.spanContext()
    // A link to a span that was not sampled leads nowhere.
    const isSampled = (context.traceFlags & TraceFlags.SAMPLED) !== 0
    if (trace.isSpanContextValid(context) && isSampled) firstSpans.set(credential, context)
  })
}

/** Links to the span that was remembered for `credential`: one, or none. */
export function spanLinksOf(credential: VerifiedCredential | undefined): Link[] {
  const context = credential === undefined ? undefined : firstSpans.get(credential)
  return context === undefined ? [] : [{ context }]
}
