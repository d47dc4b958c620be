/** Puts the spans of one trace in order and on a common scale, for the terminal and for the page. */

import { isAuthEvent, reasonOf } from './auth-event.ts'
import type { Span, SpanEvent } from './span.ts'

/** Times are shares of the whole trace: 0 is its begin, 1 its end. */
export interface TraceLayout {
  readonly traceId: string
  readonly durationMillis: number
  readonly services: readonly string[]
  /** Depth first, as the calls were made. */
  readonly rows: readonly TraceRow[]
}

export interface TraceRow {
  readonly depth: number
  readonly service: string
  readonly kind: Span['kind']
  readonly label: string
  readonly httpStatus: number | undefined
  readonly durationMillis: number
  readonly from: number
  readonly to: number
  readonly events: readonly TraceMark[]
}

/** An auth event. */
export interface TraceMark {
  readonly name: string
  readonly at: number
  readonly detail: string
}

/** What `host:port` is called, by `host:port`. */
export type HostNames = ReadonlyMap<string, string>

/** `spans` are those of one trace, at least one. A span whose parent is not among them is a root. */
export function layOutTrace(spans: readonly Span[], names: HostNames): TraceLayout {
  const begin = Math.min(...spans.map((span) => span.startMillis))
  const end = Math.max(...spans.map((span) => span.endMillis))
  const share = (millis: number): number => (end === begin ? 0 : (millis - begin) / (end - begin))
  return {
    traceId: spans[0]?.traceId ?? '',
    durationMillis: end - begin,
    services: [...new Set(inCallOrder(spans).map(({ span }) => span.service))],
    rows: inCallOrder(spans).map(({ span, depth }) => rowOf(span, depth, names, share)),
  }
}

/** The spans by trace, the latest trace first. */
export function groupByTrace(spans: readonly Span[]): (readonly Span[])[] {
  return [...groupBy(spans, (span) => span.traceId).values()].reverse()
}

function inCallOrder(spans: readonly Span[]): { span: Span; depth: number }[] {
  const ids = new Set(spans.map((span) => span.spanId))
  const children = groupBy(spans, ({ parentSpanId }) => (ids.has(parentSpanId ?? '') ? parentSpanId : undefined))
  const below = (parent: string | undefined, depth: number): { span: Span; depth: number }[] =>
    (children.get(parent) ?? [])
      .toSorted((a, b) => a.startMillis - b.startMillis)
      .flatMap((span) => [{ span, depth }, ...below(span.spanId, depth + 1)])
  return below(undefined, 0)
}

function groupBy<K>(spans: readonly Span[], keyOf: (span: Span) => K): Map<K, Span[]> {
  const groups = new Map<K, Span[]>()
  for (const span of spans) {
    const group = groups.get(keyOf(span))
    if (group === undefined) groups.set(keyOf(span), [span])
    else group.push(span)
  }
  return groups
}

function rowOf(span: Span, depth: number, names: HostNames, share: (millis: number) => number): TraceRow {
  const httpStatus = span.attributes['http.response.status_code']
  return {
    depth,
    service: span.service,
    kind: span.kind,
    label: labelOf(span, names),
    httpStatus: typeof httpStatus === 'number' ? httpStatus : undefined,
    durationMillis: span.endMillis - span.startMillis,
    from: share(span.startMillis),
    to: share(span.endMillis),
    events: span.events.filter(isAuthEvent).map((event) => markOf(event, share)),
  }
}

function markOf(event: SpanEvent, share: (millis: number) => number): TraceMark {
  const { name, timeMillis, attributes } = event
  const fingerprint = attributes['auth.token.fingerprint']
  const remaining = attributes['auth.token.expires_in']
  const actors = attributes['auth.token.actors']
  const acting = Array.isArray(actors) ? `, by ${actors.join(' for ')}` : ''
  // Half of it tells the few tokens of the demo apart.
  const token = fingerprint === undefined ? '' : `token ${String(fingerprint).slice(0, 8)}, ${remaining} s${acting}`
  return { name, at: share(timeMillis), detail: reasonOf(event) || token }
}

/** A server says what it was asked for, a client whom it asks: with the path, which says more than the route. */
function labelOf({ kind, name, attributes }: Span, names: HostNames): string {
  const path = String(attributes['url.path'] ?? '')
  const method = String(attributes['http.request.method'] ?? name)
  if (kind === 'server') return `${method} ${path}`
  const host = `${attributes['server.address']}:${attributes['server.port']}`
  return kind === 'client' ? `${method} ${names.get(host) ?? host}${path}` : name
}
