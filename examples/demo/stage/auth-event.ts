/** What a span tells about tokens, in a few words. */

import type { Span, SpanEvent } from './span.ts'

const PREFIX = 'auth.token.'
/** Through which of these a token goes, in this order. */
const STAGES = ['opened', 'verified', 'rejected', 'exchanged', 'renewed', 'forwarded', 'sealed', 'withheld']

export function isAuthEvent(event: SpanEvent): boolean {
  return event.name.startsWith(PREFIX)
}

/** Why, or by which rule: `rule https://…`, `not_named`, `ERR_TOKEN_EXPIRED`. Empty where there is nothing to say. */
export function reasonOf({ attributes }: SpanEvent): string {
  const rule = attributes['auth.decision.rule']
  const facts = [attributes['error.type'], attributes['auth.decision.reason'], rule && `rule ${rule}`]
  return facts.filter((fact) => fact !== undefined).join(', ')
}

/** All that happened to tokens in `service`: `verified, forwarded (rule https://…)`. */
export function tokenHistory(spans: readonly Span[], service: string): string {
  const own = spans.filter((span) => span.service === service)
  if (own.length === 0) return 'not called'
  // Not by time: OpenTelemetry reads the clock per span, in milliseconds.
  const events = own.flatMap((span) => span.events.filter(isAuthEvent)).sort((a, b) => stageOf(a) - stageOf(b))
  return events.length === 0 ? 'nothing' : events.map(describe).join(', ')
}

function describe(event: SpanEvent): string {
  const reason = reasonOf(event)
  return event.name.slice(PREFIX.length) + (reason === '' ? '' : ` (${reason})`)
}

function stageOf(event: SpanEvent): number {
  return STAGES.indexOf(event.name.slice(PREFIX.length))
}
