/** `auth.decisions` and `auth.baggage.dropped`, through whatever meter provider the process has at the moment. */

import {
  context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  metrics,
  propagation,
  ROOT_CONTEXT,
} from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runAsAll, runWithToken, setCredential, setDestination } from '../../src/index.ts'
import { suppressTracing } from '../../src/telemetry/suppression.ts'
import { findToken } from '../support/exports.ts'
import type { Service } from '../support/service.ts'
import { startService, tokenOf } from '../support/service.ts'

const TOKEN = tokenOf()
let service: Service
let exporter: InMemoryMetricExporter
let provider: MeterProvider

function register(): void {
  exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  provider = new MeterProvider({
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1e9 })],
  })
  metrics.setGlobalMeterProvider(provider)
}
beforeEach(async () => {
  register()
  service = await startService()
})
afterEach(async () => {
  await service[Symbol.asyncDispose]()
  await provider.shutdown()
  metrics.disable()
})

/** The points of the metric `name`, as attributes and value. */
async function points(name: string): Promise<readonly (readonly [object, unknown])[]> {
  await provider.forceFlush()
  const all =
    exporter
      .getMetrics()
      .at(-1)
      ?.scopeMetrics.flatMap((scope) => scope.metrics) ?? []
  const found = all.filter(({ descriptor }) => descriptor.name === name)
  return found.flatMap(({ dataPoints }) => dataPoints.map((point) => [point.attributes, point.value] as const))
}
const get = (path: string, headers = {}): Promise<string> =>
  fetch(service.sink.origin + path, { headers }).then((response) => response.text())

it('counts every decision by verdict, reason and rule, and nothing that a request said', async () => {
  const rule = service.sink.origin
  await runWithToken(TOKEN, async () => {
    await get('/sink/secret-path')
    await get('/sink/x')
    await get('/sink/x', { authorization: 'Basic eDp5' })
    await fetch(`${rule.replace('127.0.0.1', 'localhost')}/sink/x`).then((response) => response.text())
    await context.with(suppressTracing(context.active()), () => get('/sink/x'))
  })
  await get('/sink/x')
  const counted = await points('auth.decisions')
  expect(counted).toHaveLength(3)
  expect(counted).toEqual(
    expect.arrayContaining([
      [{ 'auth.decision.verdict': 'forward', 'auth.decision.rule': rule }, 2],
      [
        {
          'auth.decision.verdict': 'withhold',
          'auth.decision.reason': 'own_credential',
          'auth.decision.rule': rule,
        },
        1,
      ],
      [{ 'auth.decision.verdict': 'withhold', 'auth.decision.reason': 'not_named' }, 1],
    ]),
  )
  expect(findToken(JSON.stringify(exporter.getMetrics()), TOKEN)).toBeUndefined()
})

it('counts a request of two callers, which gets no token [F12]', async () => {
  const contexts = await Promise.all(
    ['alice', 'bob'].map(async (sub) => setCredential(ROOT_CONTEXT, await service.relay.verify(tokenOf({ sub })))),
  )
  await runAsAll(contexts, () => get('/sink/both'))
  expect(service.sink.received.map(({ target, authorization }) => [target, authorization.length])).toEqual([
    ['/sink/both', 0],
  ])
  expect(await points('auth.decisions')).toEqual(
    expect.arrayContaining([
      [expect.objectContaining({ 'auth.decision.verdict': 'withhold', 'auth.decision.reason': 'ambiguous' }), 1],
    ]),
  )
})

it('a thousand destinations that no rule names are one series [G9]', async () => {
  const ctx = setCredential(ROOT_CONTEXT, await service.relay.verify(TOKEN))
  for (let i = 0; i < 1_000; i += 1) {
    service.relay.propagator.inject(setDestination(ctx, `kafka:topic-${i}`), {}, defaultTextMapSetter)
  }
  expect(await points('auth.decisions')).toEqual([
    [{ 'auth.decision.verdict': 'withhold', 'auth.decision.reason': 'not_named' }, 1_000],
  ])
})

it('goes on with a provider that comes later', async () => {
  await runWithToken(TOKEN, () => get('/sink/x'))
  await provider.shutdown()
  metrics.disable()
  register()
  await runWithToken(TOKEN, () => get('/sink/x'))
  expect((await points('auth.decisions')).map(([, value]) => value)).toEqual([1])
})

it('a broken provider breaks no request', async () => {
  metrics.disable()
  metrics.setGlobalMeterProvider({
    getMeter() {
      throw new Error('broken')
    },
  })
  await runWithToken(TOKEN, () => get('/sink/x'))
  expect(service.sink.received.at(-1)?.authorization).toEqual([`Bearer ${TOKEN}`])
})

it('counts tokens that were dropped from baggage [E8]', async () => {
  const baggage = propagation.createBaggage({ a: { value: TOKEN }, b: { value: 'b' }, c: { value: `Bearer ${TOKEN}` } })
  service.relay.propagator.extract(propagation.setBaggage(ROOT_CONTEXT, baggage), {}, defaultTextMapGetter)
  expect(await points('auth.baggage.dropped')).toEqual([[{}, 2]])
  expect(findToken(JSON.stringify(exporter.getMetrics()), TOKEN)).toBeUndefined()
})
