/** The request that brings a message with a token to its broker needs no token itself, and is not recorded as withheld. */

import { context, defaultTextMapSetter, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { LogRecord, TokenRelay } from '../../src/index.ts'
import { createTokenRelay, setCredential, setDestination } from '../../src/index.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { randomSecret } from '../support/sealing.ts'
import { createSigner, goodClaims } from '../support/signer.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const signer = createSigner()
const exporter = new InMemorySpanExporter()
const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
const logged: LogRecord[] = []

let broker: Sink
let relay: TokenRelay
beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(provider)
  broker = await startSink()
  relay = createTokenRelay({
    ...optionsFor([signer.jwk]),
    destinations: [{ to: 'kafka:orders' }],
    sealing: { keys: [{ kid: 'orders-1', secret: randomSecret() }] },
    telemetry: { log: (record) => void logged.push(record) },
  })
})
afterAll(async () => {
  await relay.shutdown()
  await broker[Symbol.asyncDispose]()
  trace.disable()
  context.disable()
})

/** Sends a message to `queue` as an instrumented client does, and returns the reasons on the span of its request. */
async function send(queue: string): Promise<readonly unknown[]> {
  exporter.reset()
  logged.length = 0
  const tracer = trace.getTracer('test')
  const caller = setCredential(ROOT_CONTEXT, await relay.verify(signer.token(goodClaims(ISSUER))))
  const producer = tracer.startSpan('send', { kind: SpanKind.PRODUCER }, caller)
  const sending = setDestination(trace.setSpan(caller, producer), `kafka:${queue}`)
  relay.propagator.inject(sending, {}, defaultTextMapSetter)
  const client = tracer.startSpan('POST', { kind: SpanKind.CLIENT }, sending)
  await context.with(trace.setSpan(sending, client), async () => (await fetch(broker.origin)).text())
  client.end()
  producer.end()
  const events = exporter.getFinishedSpans().find(({ name }) => name === 'POST')?.events ?? []
  return events.map(({ attributes }) => attributes?.['auth.decision.reason'])
}

const withheld = (): readonly LogRecord[] =>
  logged.filter(({ event, severity }) => event === 'auth.token.withheld' && severity === 'warn')

it('of a message that carries the token: neither on the span nor in the log', async () => {
  expect(await send('orders')).toEqual([])
  expect(withheld()).toEqual([])
})

it('of a message without the token: on the span, and in the log', async () => {
  expect(await send('other')).toEqual(['not_named'])
  expect(withheld().map(({ attributes }) => attributes['auth.decision.destination'])).toEqual([
    'kafka:other',
    broker.origin,
  ])
})
