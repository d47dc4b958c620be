/** Traces and metrics show the state of a client, and never parameters, headers or bodies. */

import { inspect } from 'node:util'
import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import * as z from 'zod'
import { createServiceClient, put, ServiceError } from '../../src/client/index.ts'
import type { Service } from '../support/scripted-service.ts'
import { json, startService } from '../support/scripted-service.ts'

const SECRET = 'correct-horse'
const spans = new InMemorySpanExporter()
const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 })
const meters = new MeterProvider({ readers: [reader] })

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  metrics.setGlobalMeterProvider(meters)
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: spans })] }))
})
afterAll(async () => {
  await meters.shutdown()
  context.disable()
  metrics.disable()
  trace.disable()
})

let service: Service
beforeEach(async () => {
  service = await startService((response) => json(response, { error: SECRET }, 500))
})
afterEach(() => service[Symbol.asyncDispose]())

function create(more: object = {}) {
  const body = z.object({ secret: z.string() })
  const endpoints = { write: put('/items/{id}', { body }) }
  return createServiceClient({ baseUrl: service.origin, ...more, endpoints })
}

const INPUT = { id: SECRET, query: { q: SECRET }, body: { secret: SECRET } }
const HEADERS = { 'x-secret': SECRET }

/** The values of every metric by name, attributes and value. */
async function readMetrics(): Promise<Record<string, readonly (readonly [unknown, unknown])[]>> {
  measured.reset()
  await reader.forceFlush()
  const found = measured.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
  const mine = (attributes: object): boolean => Object.values(attributes).includes(Number(new URL(service.origin).port))
  return Object.fromEntries(
    found.map(({ descriptor, dataPoints }) => [
      descriptor.name,
      dataPoints.filter(({ attributes }) => mine(attributes)).map(({ attributes, value }) => [attributes, value]),
    ]),
  )
}

it('a change of the circuit is recorded on the span of its call and in a counter', async () => {
  const client = create({ retry: false, circuitBreaker: { minimumCalls: 3, openMillis: 60_000 } })
  const tracer = trace.getTracer('test')
  for (const name of ['first', 'second', 'third', 'fourth']) {
    await tracer.startActiveSpan(name, async (span) => {
      await client.write(INPUT).catch(() => undefined)
      span.end()
    })
  }
  const server = { 'server.address': '127.0.0.1', 'server.port': Number(new URL(service.origin).port) }
  const state = { ...server, 'resilience.circuit.state': 'open' }
  const events = spans.getFinishedSpans().map(({ name, events }) => [name, events.map((e) => [e.name, e.attributes])])
  expect(events).toEqual([
    ['first', []],
    ['second', []],
    ['third', [['resilience.circuit.changed', state]]],
    ['fourth', []],
  ])
  expect((await readMetrics())['resilience.circuit.changes']).toEqual([[state, 1]])
})

it('retries, running calls and waiting calls are counted', async () => {
  const client = create({ retry: { maxAttempts: 2, baseDelayMillis: 1 }, bulkhead: { maxConcurrent: 1, maxQueued: 5 } })
  await client.write(INPUT).catch(() => undefined)
  let answer: () => void = () => undefined
  service.answer((response, n) => {
    if (n === 2) answer = () => response.writeHead(503).end()
    else response.writeHead(200).end()
  })
  const calls = [client.write(INPUT), client.write(INPUT)]
  await service.arrived(2)
  const server = expect.objectContaining({ 'server.address': '127.0.0.1' })
  expect(await readMetrics()).toMatchObject({
    'resilience.bulkhead.running': [[server, 1]],
    'resilience.bulkhead.queued': [[server, 1]],
  })
  answer()
  await Promise.all(calls)
  expect(await readMetrics()).toMatchObject({
    'resilience.bulkhead.running': [[server, 0]],
    'resilience.bulkhead.queued': [[server, 0]],
    'resilience.retries': [[server, 1]],
  })
})

it('no error shows a parameter, a header, a body or the error of fetch [G8]', async () => {
  const port: typeof fetch = async () => {
    throw new TypeError(`invalid ${SECRET}`, { cause: new Error(SECRET) })
  }
  const ways: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['ERR_SERVICE_STATUS', () => create({ retry: false }).write(INPUT, { headers: HEADERS })],
    ['ERR_SERVICE_NETWORK', () => create({ retry: false, fetch: port }).write(INPUT, { headers: HEADERS })],
    ['ERR_SERVICE_ABORTED', () => create().write(INPUT, { signal: AbortSignal.abort(new Error(SECRET)) })],
    [
      'ERR_SERVICE_TIMEOUT',
      () => create({ fetch: () => new Promise(() => undefined) }).write(INPUT, { timeoutMillis: 5 }),
    ],
  ]
  for (const [code, call] of ways) {
    const error = await call().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ServiceError)
    expect(error).toMatchObject({ code, endpoint: 'write' })
    expect(inspect(error, { depth: 10, showHidden: true }) + JSON.stringify(error), code).not.toContain(SECRET)
  }
})
