/** A real OpenTelemetry Collector with the configuration of deploy/: built once from its modules, on the loopback interface. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { connectable, freePorts } from '../support/brokers.ts'

const VERSION = 'v0.158.0'
const CORE = 'go.opentelemetry.io/collector'
const CONTRIB = 'github.com/open-telemetry/opentelemetry-collector-contrib'
/** The parts that deploy/collector/config.yaml is made of. */
const PARTS = {
  receivers: [`${CORE}/receiver/otlpreceiver`],
  processors: [
    `${CORE}/processor/batchprocessor`,
    `${CORE}/processor/memorylimiterprocessor`,
    `${CONTRIB}/processor/redactionprocessor`,
    `${CONTRIB}/processor/transformprocessor`,
  ],
  exporters: [`${CORE}/exporter/otlphttpexporter`, `${CONTRIB}/exporter/prometheusexporter`],
}
const ROOT = join(import.meta.dirname, '..', '..')
const CACHE = join(ROOT, 'node_modules', '.cache', 'otel-token-relay')

export interface Collector extends AsyncDisposable {
  /** Where signals are sent to: OTLP over HTTP. */
  readonly endpoint: string
  /** Where Prometheus gets metrics, as `host:port`. */
  readonly metrics: string
}

/** What it has taken goes to `backend`, by OTLP over HTTP. */
export async function startCollector(backend: string): Promise<Collector> {
  const program = build()
  const [http = 0, grpc = 0, metrics = 0] = await freePorts(3)
  const server = spawn(program, ['--config', join(ROOT, 'deploy', 'collector', 'config.yaml')], {
    stdio: 'ignore',
    env: {
      LISTEN_HOST: '127.0.0.1',
      OTLP_HTTP_PORT: String(http),
      OTLP_GRPC_PORT: String(grpc),
      METRICS_PORT: String(metrics),
      TRACES_ENDPOINT: backend,
      LOGS_ENDPOINT: backend,
    },
  })
  await connectable(http)
  return {
    endpoint: `http://127.0.0.1:${http}`,
    metrics: `127.0.0.1:${metrics}`,
    async [Symbol.asyncDispose]() {
      const ended = once(server, 'exit')
      server.kill('SIGKILL')
      await ended
    },
  }
}

function build(): string {
  const program = join(CACHE, `otelcol-${VERSION}`)
  if (existsSync(program)) return program
  const work = join(CACHE, `collector-${process.pid}`)
  mkdirSync(work, { recursive: true })
  const parts = Object.entries(PARTS).map(([kind, names]) => [
    kind,
    names.map((name) => ({ gomod: `${name} ${VERSION}` })),
  ])
  const dist = { name: 'otelcol', module: 'collector', output_path: './out' }
  // JSON is YAML.
  writeFileSync(join(work, 'builder.yaml'), JSON.stringify({ dist, ...Object.fromEntries(parts) }))
  const args = ['run', `${CORE}/cmd/builder@${VERSION}`, '--config', 'builder.yaml']
  const { status, error } = spawnSync('go', args, { cwd: work, stdio: 'ignore' })
  if (status !== 0) throw new Error('the collector cannot be built (Go 1.25 is needed here)', { cause: error })
  renameSync(join(work, 'out', 'otelcol'), program)
  rmSync(work, { recursive: true })
  return program
}
