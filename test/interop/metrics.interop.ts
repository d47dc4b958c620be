/**
 * The demo's metrics go through the collector of deploy/ into the Prometheus of deploy/, where Grafana's dashboard finds
 * them: asked as its data source asks, because Grafana itself comes in no package.
 */

import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readDocument } from '../docs/markdown.ts'
import type { Collector } from './collector.ts'
import { startCollector } from './collector.ts'
import type { Prometheus } from './prometheus.ts'
import { startPrometheus } from './prometheus.ts'

interface Panel {
  readonly title: string
  readonly targets: readonly { readonly expr: string }[]
}
const { panels } = JSON.parse(readDocument('deploy/grafana/dashboard.json')) as { readonly panels: readonly Panel[] }

/** What the demo has no occasion for. */
const QUIET = [
  'Answers 401 after a token was sent',
  'Audit trail: waiting for the disk',
  'Audit trail: failures',
  'Clients: circuits that changed',
  'Revocations by kind',
  'Revocations: lag, 99th percentile',
  'Age of the revocation list',
]

/** Until the demo has started, been scraped twice, and rates can be computed. */
const PATIENT = { timeout: 110_000, interval: 500 }

let collector: Collector
let prometheus: Prometheus
let demo: ChildProcess

beforeAll(async () => {
  collector = await startCollector('http://127.0.0.1:9')
  prometheus = await startPrometheus(collector.metrics)
  demo = spawn(process.execPath, [join(import.meta.dirname, '..', '..', 'examples', 'demo', 'main.ts'), '--traffic'], {
    stdio: 'ignore',
    env: {
      PATH: process.env['PATH'],
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_METRIC_EXPORT_INTERVAL: '1000',
      OTEL_METRIC_EXPORT_TIMEOUT: '900',
    },
  })
}, 1_800_000)
afterAll(async () => {
  const ended = once(demo, 'exit')
  demo.kill('SIGTERM')
  await ended
  await prometheus[Symbol.asyncDispose]()
  await collector[Symbol.asyncDispose]()
})

it('the target of Prometheus is up, and `job` is the name of each service', async () => {
  await expect
    .poll(() => prometheus.api('/api/v1/query', { query: 'up' }), PATIENT)
    .toMatchObject({
      result: [{ metric: { job: 'collector' }, value: [expect.any(Number), '1'] }],
    })
  const services = ['billing-service', 'order-worker', 'profile-service', 'user-service']
  const query = 'group by (job) (auth_verifications_total)'
  const jobs = async (): Promise<readonly (string | undefined)[]> => {
    const { result } = (await prometheus.api('/api/v1/query', { query })) as {
      readonly result: readonly { readonly metric: { readonly job?: string } }[]
    }
    return result.map(({ metric }) => metric.job).toSorted()
  }
  await expect.poll(jobs, PATIENT).toEqual(services)
})

it('the data source is healthy: it answers what Grafana asks to find out', async () => {
  expect(await prometheus.api('/api/v1/query', { query: '1+1' })).toMatchObject({ result: [expect.anything(), '2'] })
})

it.each(panels.filter(({ title }) => !QUIET.includes(title)))('the panel "$title" has data', async ({ targets }) => {
  for (const { expr } of targets) {
    const query = expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', '.*')
    const seriesOf = async (): Promise<number> => {
      const now = Date.now() / 1_000
      const range = { start: String(now - 60), end: String(now), step: '5' }
      const { result } = (await prometheus.api('/api/v1/query_range', { query, ...range })) as {
        readonly result: readonly object[]
      }
      return result.length
    }
    await expect.poll(seriesOf, PATIENT).toBeGreaterThan(0)
  }
})

it('the panels that have none are those that it names', () => {
  const titles = panels.map(({ title }) => title)
  expect(QUIET.filter((title) => !titles.includes(title))).toEqual([])
})
