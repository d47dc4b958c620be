/** The demo: its exit code says whether everything happened as expected. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { startOtlpReceiver } from '../../examples/demo/stage/otlp-receiver.ts'

const ROOT = join(import.meta.dirname, '..', '..')

async function runDemo(
  env: Readonly<Record<string, string>> = {},
  args: readonly string[] = [],
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [join('examples', 'demo', 'main.ts'), ...args], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], ...env },
  })
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output: Buffer.concat(chunks).toString() }
}

it('tells its story in lines of 80 characters, shows every auth event, and ends with 0', async () => {
  const { code, output } = await runDemo()
  expect(output).toContain('The story is as told')
  for (const event of ['verified', 'exchanged', 'forwarded', 'withheld'])
    expect(output).toContain(`auth.token.${event}`)
  expect(output).toContain('ERR_TOKEN_EXPIRED')
  expect(output.split('\n').filter((line) => line.length > 80)).toEqual([])
  expect(output).not.toMatch(/eyJ[\w-]{8,}/)
  expect(code).toBe(0)
})

it('exports to another back end if configured, and says where to find the trace', async () => {
  const { code, output } = await runDemo({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' })
  expect(output).toMatch(/http:\/\/127\.0\.0\.1:16686\/trace\/[0-9a-f]{32}/)
  expect(code).toBe(0)
})

it('its traces begin with a span of the app, miss no parent, and are named after routes', async () => {
  await using backend = await startOtlpReceiver()
  const { code } = await runDemo({
    OTEL_EXPORTER_OTLP_ENDPOINT: backend.endpoint,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  })
  expect(code).toBe(0)
  const spans = backend.spans()
  const ids = new Set(spans.map(({ traceId, spanId }) => `${traceId} ${spanId}`))
  const roots = spans.filter(({ parentSpanId }) => parentSpanId === undefined)
  expect(spans.filter((span) => !roots.includes(span) && !ids.has(`${span.traceId} ${span.parentSpanId}`))).toEqual([])
  expect(new Set(roots.map(({ service }) => service))).toEqual(new Set(['app']))
  expect(roots).toHaveLength(9)
  const names = spans.filter(({ kind }) => kind === 'server').map(({ service, name }) => `${service} ${name}`)
  expect([...new Set(names)].toSorted()).toEqual([
    'billing-service GET /invoices/:id',
    'profile-service GET /profiles/:id',
    'profile-service GET /profiles/:id/invoices',
    'profile-service GET /profiles/:id/picture',
    // Refused before there was a route.
    'user-service GET',
    'user-service GET /users/:id',
    'user-service GET /users/:id/invoices',
    'user-service GET /users/:id/picture',
    'user-service GET /users/:id/weather',
    'user-service POST /users/:id/orders',
  ])
})

it('draws the trace that the README shows', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'otel-token-relay-')), 'trace.svg')
  const { code } = await runDemo({}, ['--picture', file])
  const [drawn, shown] = [file, join(ROOT, 'docs', 'trace.svg')].map((path) => readFileSync(path, 'utf8'))
  rmSync(dirname(file), { recursive: true })
  const eventsIn = (svg = ''): readonly string[] => svg.match(/auth\.token\.\w+/g) ?? []
  expect(code).toBe(0)
  expect(eventsIn(drawn)).toEqual(eventsIn(shown))
  expect(eventsIn(drawn)).toContain('auth.token.withheld')
  expect(drawn).not.toMatch(/eyJ[\w-]{8,}/)
})
