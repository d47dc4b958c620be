/** In which span a token was verified first, or was got: what comes from it, and whatever it is sent with, links there. */

import type { Link, Span, SpanContext } from '@opentelemetry/api'
import { TraceFlags, trace } from '@opentelemetry/api'
import { createNotes } from '../token/notes.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'

/** Forgotten with the token. */
const origins = createNotes<SpanContext>()

/** Only the first span counts. Never throws: a span of a broken SDK must not break the request it belongs to. */
export function rememberOrigin(credential: VerifiedCredential, span: Span | undefined): void {
  if (span === undefined || origins.get(credential) !== undefined) return
  try {
    const context = span.spanContext()
    if (!trace.isSpanContextValid(context)) return
    // Nobody can look at what was not sampled.
    if ((context.traceFlags & TraceFlags.SAMPLED) !== 0) origins.set(credential, context)
  } catch {
    // Nothing to link to.
  }
}

export function linksTo(credential: VerifiedCredential | undefined): Link[] {
  const context = credential === undefined ? undefined : origins.get(credential)
  return context === undefined ? [] : [{ context }]
}
