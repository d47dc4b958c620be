/** One count of a metric on the path of every request, beside a counter of the SDK that is given its attributes. */

import { metrics } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { createCheapCounter, createCounter } from '../../src/telemetry/instruments.ts'
import { compare } from '../support/compare.ts'
import { prove, report } from '../support/report.ts'

const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1e9 })
const provider = new MeterProvider({ readers: [reader] })
metrics.setGlobalMeterProvider(provider)

const attributes = { 'auth.decision.verdict': 'forward', 'auth.decision.rule': 'https://orders.example' }
const countOne = createCheapCounter('cheap', {}).createSeries(attributes)
const add = createCounter('sdk', {})

async function totalOf(name: string): Promise<unknown> {
  await provider.forceFlush()
  const all = exporter
    .getMetrics()
    .at(-1)
    ?.scopeMetrics.flatMap((scope) => scope.metrics)
  return all?.find(({ descriptor }) => descriptor.name === name)?.dataPoints[0]?.value
}

countOne()
add(1, attributes)
prove('both count', (await totalOf('cheap')) === 1 && (await totalOf('sdk')) === 1)
const operations = 1_000
const repeat = (run: () => void) => (): void => {
  for (let i = 0; i < operations; i += 1) run()
}
const result = await compare({
  path: 'one count of a decision',
  mine: { name: 'relay', run: repeat(countOne), operations },
  baseline: { name: 'counter of the SDK', run: repeat(() => add(1, attributes)), operations },
})
report([result])
await provider.shutdown()
