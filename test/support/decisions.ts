/** What was decided about a token, as it stands on the active span of the caller. */

import type { Attributes, Span } from '@opentelemetry/api'
import { context, INVALID_SPAN_CONTEXT, trace } from '@opentelemetry/api'

/** `forwarded`, or the reason why the token was withheld, once per decision. */
export type Verdicts = readonly string[]

/** Runs `fn` under a span that keeps events, and returns the decisions that were recorded on it. */
export async function verdictsOf(fn: () => unknown): Promise<Verdicts> {
  const verdicts: string[] = []
  const span = {
    isRecording: () => true,
    spanContext: () => INVALID_SPAN_CONTEXT,
    addEvent(name: string, attributes: Attributes) {
      if (name === 'auth.token.forwarded') verdicts.push('forwarded')
      if (name === 'auth.token.withheld') verdicts.push(String(attributes['auth.decision.reason']))
    },
  } as unknown as Span
  await context.with(trace.setSpan(context.active(), span), fn)
  return verdicts
}
