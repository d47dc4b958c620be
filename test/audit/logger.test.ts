/** H11 The audit trail through OpenTelemetry logs and metrics: the SDK's own logger and meter, with traces that nobody samples. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { afterEach, expect, it } from 'vitest'
import { optionsFor, withRelay } from '../support/relay.ts'
import { signer, tokenOf } from '../support/service.ts'

const SPAN = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 0 }
const folder = mkdtempSync(join(tmpdir(), 'audit-logger-'))
afterEach(() => {
  metrics.disable()
  context.disable()
  rmSync(folder, { recursive: true, force: true })
})

it('a record is in the file and in the log with the ids of an unsampled span, and is counted while it waits [H11]', async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const exporter = new InMemoryLogRecordExporter()
  const provider = new LoggerProvider({ processors: [new SimpleLogRecordProcessor({ exporter })] })
  const exported = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: exported })
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
  const file = join(folder, 'audit.jsonl')
  const audit = { file, onFailure: 'block', logger: provider.getLogger('audit') } as const

  await withRelay({ ...optionsFor([signer.jwk]), audit }, async (relay) => {
    const caller = trace.setSpan(context.active(), trace.wrapSpanContext(SPAN))
    await context.with(caller, () => relay.admit({ headers: { authorization: `Bearer ${tokenOf()}` } }))
  })

  const [line] = readFileSync(file, 'utf8').split('\n')
  const record = JSON.parse(line ?? '') as Readonly<Record<string, unknown>>
  expect(record).toMatchObject({ traceId: SPAN.traceId, spanId: SPAN.spanId, event: 'auth.token.verified' })
  const [logged] = exporter.getFinishedLogRecords()
  expect(logged).toMatchObject({
    eventName: 'auth.token.verified',
    severityText: 'INFO',
    spanContext: SPAN,
    attributes: record['attributes'],
  })
  await reader.forceFlush()
  const points = exported.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics: all }) => all))
  const backlog = points.findLast(({ descriptor }) => descriptor.name === 'auth.audit.backlog')
  expect(backlog?.dataPoints.map(({ value }) => value)).toEqual([0])
  await reader.shutdown()
})
