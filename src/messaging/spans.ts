/** The spans of messages, where no instrumentation makes them. */

import type { Attributes, Context, Span } from '@opentelemetry/api'
import { context, SpanKind, trace } from '@opentelemetry/api'
import { attributesOf } from '../destination/hop-event.ts'
import { announcedTarget } from '../destination/target.ts'
import { failSpan, quietly } from '../telemetry/fallible-span.ts'

/** Runs `fn` in a span for sending to `destination`, in the active context. */
export function inProducerSpan<T>(destination: string, fn: (ctx: Context) => Promise<T>): Promise<T> {
  return inSpan('send', SpanKind.PRODUCER, destination, context.active(), fn)
}

/**
 * Runs `fn` in a span for the message that `ctx` was extracted from. Where the active span is of the same trace already, an
 * instrumentation has made it for this message, and it is used.
 */
export function inConsumerSpan<T>(source: string, ctx: Context, fn: (ctx: Context) => Promise<T>): Promise<T> {
  const [active, sent] = [trace.getActiveSpan(), trace.getSpanContext(ctx)]
  const isMade = active !== undefined && active.spanContext().traceId === sent?.traceId
  return isMade ? fn(trace.setSpan(ctx, active)) : inSpan('process', SpanKind.CONSUMER, source, ctx, fn)
}

async function inSpan<T>(
  operation: 'send' | 'process',
  kind: SpanKind,
  name: string,
  parent: Context,
  fn: (ctx: Context) => Promise<T>,
): Promise<T> {
  const span = quietly(() => startSpan(operation, kind, name, parent))
  try {
    return await fn(span === undefined ? parent : trace.setSpan(parent, span))
  } catch (error) {
    failSpan(span, error)
    throw error
  } finally {
    quietly(() => span?.end())
  }
}

/** Names and attributes of the semantic conventions for messaging. */
function startSpan(operation: 'send' | 'process', kind: SpanKind, name: string, parent: Context): Span {
  const target = announcedTarget(name)
  const attributes: Attributes = {
    'messaging.operation.type': operation,
    ...(target?.kind === 'messaging' ? attributesOf(target) : {}),
  }
  const suffix = target?.kind === 'messaging' ? ` ${target.name}` : ''
  return trace.getTracer('otel-token-relay').startSpan(`${operation}${suffix}`, { kind, attributes }, parent)
}
