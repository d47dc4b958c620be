/** `auth.decisions` counts what was decided, exchanges among it, and names nothing that comes from a request. */

import { metrics } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { afterEach, expect, it } from 'vitest'
import { startRig } from '../exchange/rig.ts'

afterEach(() => metrics.disable())

it('forwarded, exchanged and withheld tokens by verdict, reason and rule', async () => {
  await using rig = await startRig()
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const provider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] })
  metrics.setGlobalMeterProvider(provider)
  const rule = rig.sink.origin
  const token = await rig.issuer.token()
  await rig.as(token, async () => {
    await rig.send()
    await rig.send()
    await (await fetch(rule.replace('127.0.0.1', 'localhost')).catch(() => undefined))?.text()
  })
  await rig.relayWith({ rule: { onFailure: 'forward' } })
  rig.endpoint.answer = { status: 400 }
  await rig.as(token, () => rig.send())
  await rig.relayWith({})
  await rig.as(token, () => rig.send())

  await provider.forceFlush()
  const points = exporter
    .getMetrics()
    .at(-1)
    ?.scopeMetrics.flatMap((scope) => scope.metrics)
    .find(({ descriptor }) => descriptor.name === 'auth.decisions')?.dataPoints
  expect(points?.map(({ attributes, value }) => [attributes, value])).toEqual([
    [{ 'auth.decision.verdict': 'exchange', 'auth.decision.rule': rule }, 2],
    [{ 'auth.decision.verdict': 'withhold', 'auth.decision.reason': 'not_named' }, 1],
    [{ 'auth.decision.verdict': 'forward', 'auth.decision.rule': rule }, 1],
    [{ 'auth.decision.verdict': 'withhold', 'auth.decision.reason': 'not_exchanged', 'auth.decision.rule': rule }, 1],
  ])
  await provider.shutdown()
})
