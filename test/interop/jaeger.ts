/** A real Jaeger on the loopback interface: built once from its Go module, started with nothing but OTLP, memory and its API. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { connectable, freePorts } from '../support/brokers.ts'

/** That of the module; the program calls itself 2.13. */
const VERSION = 'v1.76.0'
const MODULE = 'github.com/jaegertracing/jaeger/cmd/jaeger'
const CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'otel-token-relay')

export interface Jaeger extends AsyncDisposable {
  /** Where traces are sent to: OTLP over HTTP. */
  readonly endpoint: string
  /** One trace as its query API has it, as text; with no spans where there is none. */
  trace(traceId: string): Promise<string>
}

export async function startJaeger(): Promise<Jaeger> {
  const program = build()
  const folder = mkdtempSync(join(tmpdir(), 'jaeger-'))
  const [otlp = 0, query = 0, queryGrpc = 0] = await freePorts(3)
  const file = join(folder, 'config.json')
  writeFileSync(file, JSON.stringify(configurationOf(otlp, query, queryGrpc)))
  const server = spawn(program, ['--config', file], { stdio: 'ignore' })
  await connectable(otlp)
  await connectable(query)
  return {
    endpoint: `http://127.0.0.1:${otlp}`,
    trace: async (traceId) => (await fetch(`http://127.0.0.1:${query}/api/traces/${traceId}`)).text(),
    async [Symbol.asyncDispose]() {
      const ended = once(server, 'exit')
      server.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** JSON is YAML. */
function configurationOf(otlp: number, query: number, queryGrpc: number): object {
  const at = (port: number): object => ({ endpoint: `127.0.0.1:${port}` })
  return {
    service: {
      extensions: ['jaeger_storage', 'jaeger_query'],
      pipelines: { traces: { receivers: ['otlp'], exporters: ['jaeger_storage_exporter'] } },
      telemetry: { metrics: { level: 'none' }, logs: { level: 'error' } },
    },
    extensions: {
      jaeger_query: { storage: { traces: 'memory' }, http: at(query), grpc: at(queryGrpc) },
      jaeger_storage: { backends: { memory: { memory: { max_traces: 10_000 } } } },
    },
    receivers: { otlp: { protocols: { http: at(otlp) } } },
    exporters: { jaeger_storage_exporter: { trace_storage: 'memory' } },
  }
}

/** In its own module, because that of Jaeger cannot be installed directly. */
function build(): string {
  const program = join(CACHE, `jaeger-${VERSION}`)
  if (existsSync(program)) return program
  const work = join(CACHE, `built-${process.pid}`)
  mkdirSync(work, { recursive: true })
  go(work, ['mod', 'init', 'traces'])
  go(work, ['get', '-tool', `${MODULE}@${VERSION}`])
  go(work, ['build', '-o', 'jaeger', MODULE])
  renameSync(join(work, 'jaeger'), program)
  rmSync(work, { recursive: true })
  return program
}

function go(cwd: string, args: readonly string[]): void {
  const { status, error } = spawnSync('go', args, { cwd, stdio: 'ignore' })
  if (status !== 0) throw new Error(`go ${args[0]} failed (Go 1.24 is needed here)`, { cause: error })
}
