/** An announced destination belongs to the span under which it was announced. */

import type { Context } from '@opentelemetry/api'
import { ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { expect, it } from 'vitest'
import { getDestination } from '../../src/context/destination-context.ts'
import { setDestination } from '../../src/index.ts'

const withSpan = (ctx: Context, spanId: string): Context =>
  trace.setSpan(ctx, trace.wrapSpanContext({ traceId: '0af7651916cd43dd8448eb211c80319c', spanId, traceFlags: 0 }))

it('is known in its context, and in no other', () => {
  expect(getDestination(ROOT_CONTEXT)).toBeUndefined()
  expect(getDestination(setDestination(ROOT_CONTEXT, 'kafka:orders'))).toBe('kafka:orders')
})

it('does not reach spans that are started under it', () => {
  const announced = setDestination(withSpan(ROOT_CONTEXT, 'b7ad6b7169203331'), 'kafka:orders')
  expect(getDestination(announced)).toBe('kafka:orders')
  expect(getDestination(withSpan(announced, '00f067aa0ba902b7'))).toBeUndefined()
  expect(getDestination(trace.deleteSpan(announced))).toBeUndefined()
})

it('announced without a span, does not reach a span either', () => {
  expect(getDestination(withSpan(setDestination(ROOT_CONTEXT, 'kafka:orders'), '00f067aa0ba902b7'))).toBeUndefined()
})

it('another span with the same identity is another span', () => {
  const announced = setDestination(withSpan(ROOT_CONTEXT, 'b7ad6b7169203331'), 'kafka:orders')
  expect(getDestination(withSpan(announced, 'b7ad6b7169203331'))).toBeUndefined()
})

it('can be announced anew under the span', () => {
  const announced = setDestination(ROOT_CONTEXT, 'kafka:orders')
  const inner = setDestination(withSpan(announced, 'b7ad6b7169203331'), 'kafka:other')
  expect(getDestination(inner)).toBe('kafka:other')
  expect(getDestination(announced)).toBe('kafka:orders')
})
