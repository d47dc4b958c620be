/** A span, read from OTLP in JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). */

export type AttributeValue = string | number | boolean | readonly unknown[] | object | undefined
export type Attributes = Readonly<Record<string, AttributeValue>>

export interface SpanEvent {
  readonly name: string
  readonly timeMillis: number
  readonly attributes: Attributes
}

export interface SpanLink {
  readonly traceId: string
  readonly spanId: string
  readonly attributes: Attributes
}

export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly name: string
  readonly kind: 'unspecified' | 'internal' | 'server' | 'client' | 'producer' | 'consumer'
  /** `service.name` of the process that made it. */
  readonly service: string
  readonly startMillis: number
  readonly endMillis: number
  readonly status: 'unset' | 'ok' | 'error'
  readonly attributes: Attributes
  readonly events: readonly SpanEvent[]
  readonly links: readonly SpanLink[]
  /** The span as it came. */
  readonly raw: unknown
}

interface AnyValue {
  readonly stringValue?: string
  readonly boolValue?: boolean
  readonly intValue?: number | string
  readonly doubleValue?: number
  readonly arrayValue?: { readonly values?: readonly AnyValue[] }
  readonly kvlistValue?: { readonly values?: readonly KeyValue[] }
}
interface KeyValue {
  readonly key: string
  readonly value?: AnyValue
}
interface OtlpEvent {
  readonly name: string
  readonly timeUnixNano: string
  readonly attributes?: readonly KeyValue[]
}
interface OtlpLink {
  readonly traceId: string
  readonly spanId: string
  readonly attributes?: readonly KeyValue[]
}
interface OtlpSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind?: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly status?: { readonly code?: number }
  readonly attributes?: readonly KeyValue[]
  readonly events?: readonly OtlpEvent[]
  readonly links?: readonly OtlpLink[]
}

/** The body of an OTLP trace request. */
export interface OtlpTraceRequest {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: readonly KeyValue[] }
    readonly scopeSpans?: readonly { readonly spans?: readonly OtlpSpan[] }[]
  }[]
}

const KINDS = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'] as const
const STATUSES = ['unset', 'ok', 'error'] as const

/** Every span of `request`, in the order of its sender. */
export function readSpans(request: OtlpTraceRequest): Span[] {
  return (request.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) => {
    const service = String(readAttributes(resource?.attributes)['service.name'] ?? 'unknown')
    return (scopeSpans ?? []).flatMap(({ spans }) => (spans ?? []).map((span) => readSpan(span, service)))
  })
}

function readSpan(span: OtlpSpan, service: string): Span {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    // OTLP leaves it out or empty on a root.
    parentSpanId: span.parentSpanId || undefined,
    name: span.name,
    kind: KINDS[span.kind ?? 0] ?? 'unspecified',
    service,
    startMillis: toMillis(span.startTimeUnixNano),
    endMillis: toMillis(span.endTimeUnixNano),
    status: STATUSES[span.status?.code ?? 0] ?? 'unset',
    attributes: readAttributes(span.attributes),
    events: (span.events ?? []).map(({ name, timeUnixNano, attributes }) => ({
      name,
      timeMillis: toMillis(timeUnixNano),
      attributes: readAttributes(attributes),
    })),
    links: (span.links ?? []).map(({ traceId, spanId, attributes }) => ({
      traceId,
      spanId,
      attributes: readAttributes(attributes),
    })),
    raw: span,
  }
}

/** Exact to a quarter of a microsecond, which is more than a picture shows. */
function toMillis(nanos: string): number {
  return Number(nanos) / 1e6
}

function readAttributes(list: readonly KeyValue[] = []): Attributes {
  return Object.fromEntries(list.map(({ key, value }) => [key, readValue(value)]))
}

function readValue(value: AnyValue = {}): AttributeValue {
  if (value.intValue !== undefined) return Number(value.intValue)
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(readValue)
  if (value.kvlistValue !== undefined) return readAttributes(value.kvlistValue.values)
  return value.stringValue ?? value.boolValue ?? value.doubleValue
}
