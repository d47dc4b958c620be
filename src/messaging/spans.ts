/** Creates the spans of messages if no instrumentation does. */

import type { Attributes, Context, Span, SpanContext } from '@opentelemetry/api'
import { context, SpanKind, trace } from '@opentelemetry/api'
import { attributesOf } from '../destination/decision.ts'
import { announcedTarget } from '../destination/target.ts'
import { runInSpan } from '../telemetry/fallible-span.ts'

/** Runs `fn` in a new span for sending to `destination`, in the active context. */
export function runInProducerSpan<T>(destination: string, fn: (ctx: Context) => Promise<T>): Promise<T> {
  return runInMessageSpan('send', SpanKind.PRODUCER, destination, context.active(), fn)
}

/**
 * Runs `fn` in the span of the message that `ctx` was extracted from: the active span if an instrumentation created it
 * for this message, and a new span otherwise.
 */
export function runInConsumerSpan<T>(source: string, ctx: Context, fn: (ctx: Context) => Promise<T>): Promise<T> {
  const active = trace.getActiveSpan()
  const isOfMessage = active !== undefined && isChildOf(active, trace.getSpanContext(ctx))
  return isOfMessage ? fn(trace.setSpan(ctx, active)) : runInMessageSpan('process', SpanKind.CONSUMER, source, ctx, fn)
}

/**
 * Returns whether `span` is a child of the span that sent the message. The trace alone is not enough: one request may
 * have sent the message and started the consumer. A span that is not sampled does not expose its parent; a second span
 * that is not sampled costs nothing.
 */
function isChildOf(span: Span, sender: SpanContext | undefined): boolean {
  if (sender === undefined || span.spanContext().traceId !== sender.traceId) return false
  // The SDK has one of these members, depending on its version.
  const { parentSpanContext, parentSpanId = parentSpanContext?.spanId } = span as Span & {
    readonly parentSpanContext?: SpanContext
    readonly parentSpanId?: string
  }
  return parentSpanId === sender.spanId
}

function runInMessageSpan<T>(
  operation: 'send' | 'process',
  kind: SpanKind,
  name: string,
  parent: Context,
  fn: (ctx: Context) => Promise<T>,
): Promise<T> {
  return runInSpan(
    () => startSpan(operation, kind, name, parent),
    async (span) => fn(span === undefined ? parent : trace.setSpan(parent, span)),
  )
}

/** Uses the names and attributes of the semantic conventions for messaging. */
function startSpan(operation: 'send' | 'process', kind: SpanKind, name: string, parent: Context): Span {
  const target = announcedTarget(name)
  const attributes: Attributes = {
    'messaging.operation.type': operation,
    ...(target?.kind === 'messaging' ? attributesOf(target) : {}),
  }
  const suffix = target?.kind === 'messaging' ? ` ${target.name}` : ''
  return trace.getTracer('otel-token-relay').startSpan(`${operation}${suffix}`, { kind, attributes }, parent)
}
