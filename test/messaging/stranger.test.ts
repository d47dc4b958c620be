/** A message runs in its own trace, with its own baggage, and not in those of the code that started the consumer. */

import type { Context, Span } from '@opentelemetry/api'
import { context, propagation, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import { consume, produce } from '../../src/messaging/index.ts'
import { handOver, takeOver } from '../../src/workers/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = signer.token(goodClaims(ISSUER, { sub: 'alice' }))
const exporter = new InMemorySpanExporter()
const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
const tracer = provider.getTracer('test')
const UNSAMPLED = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'

let relay: TokenRelay
/** Fails a set number of times, and counts after that. */
let failures = 0
beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(provider)
})
beforeEach(() => {
  failures = 0
  const replayWindow = {
    count: () => {
      failures -= 1
      return failures >= 0 ? Promise.reject(new Error('down')) : Promise.resolve(1)
    },
  }
  relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: 'kafka:orders', consume: { onMissing: 'no-caller' } }, { to: 'worker:thumbnails' }],
    sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }], replayWindow },
  })
  propagation.setGlobalPropagator(
    new CompositePropagator({
      propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator(), relay.propagator],
    }),
  )
})
afterEach(async () => {
  exporter.reset()
  propagation.disable()
  await relay.shutdown()
})
afterAll(() => {
  trace.disable()
  context.disable()
})

/** Runs `fn` in another request, whose span ends after it. */
async function inStranger<T>(fn: (span: Span) => Promise<T>, parent: Context = ROOT_CONTEXT): Promise<T> {
  const span = tracer.startSpan('stranger', { kind: SpanKind.SERVER }, parent)
  const baggage = propagation.createBaggage({ tenant: { value: 'stranger-corp' } })
  const ctx = propagation.setBaggage(trace.setSpan(parent, span), baggage)
  try {
    return await context.with(ctx, () => fn(span))
  } finally {
    span.end()
  }
}

const send = (): Promise<Record<string, string>> =>
  runWithToken(token, () => produce('kafka:orders', (headers) => headers))
const handled = (headers: Record<string, string> | undefined): Promise<unknown> =>
  consume({ source: 'kafka:orders', headers }, () => ({
    tenant: propagation.getActiveBaggage()?.getEntry('tenant')?.value,
    traceId: trace.getActiveSpan()?.spanContext().traceId,
  }))
const eventsOf = (name: string): string[] =>
  exporter
    .getFinishedSpans()
    .filter((span) => span.name === name)
    .flatMap(({ events }) => events.map((event) => event.name))

describe('a message [G14]', () => {
  it('has neither the baggage nor the trace of the code that started its consumer', async () => {
    const headers = await send()
    await inStranger(async (stranger) => {
      const result = { tenant: undefined, traceId: headers['traceparent']?.split('-')[1] }
      expect(await handled(headers)).toEqual({ verdict: 'handled', result })
      expect(result.traceId).not.toBe(stranger.spanContext().traceId)
    })
  })

  it('keeps its own baggage', async () => {
    const headers = { ...(await send()), baggage: 'tenant=own-corp' }
    await inStranger(async () => {
      expect(await handled(headers)).toMatchObject({ result: { tenant: 'own-corp' } })
    })
  })

  it.each([
    ['without a trace', () => Promise.resolve({})],
    ['with neither trace nor token', () => Promise.resolve(undefined)],
    ['that is not sampled', async () => ({ traceparent: UNSAMPLED })],
  ])('%s is not recorded on the span of another request', async (_, headersOf) => {
    const headers = await headersOf()
    await inStranger(async (stranger) => {
      expect(await handled(headers)).not.toMatchObject({ result: { traceId: stranger.spanContext().traceId } })
    })
    expect(eventsOf('stranger')).toEqual([])
  })

  it('that is sealed and not sampled is not opened on the span of another request', async () => {
    const sent = trace.setSpanContext(ROOT_CONTEXT, {
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      traceFlags: 0,
    })
    const headers = await context.with(sent, send)
    await inStranger(async () => {
      expect(await handled(headers)).toMatchObject({ verdict: 'handled' })
    })
    expect(eventsOf('stranger')).toEqual([])
  })

  it('is not recorded on the span of a request that sent it and started its consumer, in one trace', async () => {
    await inStranger(async (stranger) => {
      const headers = await send()
      expect(headers['traceparent']).toContain(stranger.spanContext().traceId)
      exporter.reset()
      expect(await handled(headers)).toMatchObject({ verdict: 'handled' })
    })
    expect(eventsOf('stranger')).toEqual([])
    expect(eventsOf('process orders')).toContain('auth.message.decided')
  })

  it('is recorded on the span that an instrumentation created for it, and creates no second span', async () => {
    const headers = await send()
    exporter.reset()
    const sender = propagation.extract(ROOT_CONTEXT, headers)
    await inStranger(() => handled(headers), sender)
    expect(eventsOf('stranger')).toContain('auth.message.decided')
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(['stranger'])
  })

  it('that is decided again keeps its span, also in the handler', async () => {
    const headers = await send()
    exporter.reset()
    failures = 1
    let active: Span | undefined
    const working = consume({ source: 'kafka:orders', headers }, () => {
      active = trace.getActiveSpan()
    })
    expect(await working).toMatchObject({ verdict: 'handled' })
    const [span] = exporter.getFinishedSpans().filter(({ name }) => name === 'process orders')
    expect(active?.spanContext()).toEqual(span?.spanContext())
    const verdicts = span?.events.map(({ attributes }) => attributes?.['auth.message.verdict'])
    expect(verdicts).toContain('undecided')
    expect(verdicts?.at(-1)).toBe('caller')
  })
})

describe('a hand-over [G14]', () => {
  it('has neither the baggage nor the span of the code that takes it over', async () => {
    const handed = await runWithToken(token, () => handOver('worker:thumbnails'))
    await inStranger(async (stranger) => {
      const seen = await takeOver('worker:thumbnails', handed, () => ({
        tenant: propagation.getActiveBaggage()?.getEntry('tenant')?.value,
        isStrange: trace.getActiveSpan()?.spanContext().traceId === stranger.spanContext().traceId,
      }))
      expect(seen).toEqual({ tenant: undefined, isStrange: false })
    })
    expect(eventsOf('stranger')).toEqual([])
  })
})
