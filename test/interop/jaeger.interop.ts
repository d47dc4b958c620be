/** A real Jaeger receives the demo's traces: its query API returns every auth event, and nothing of a token. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { waitFor } from '../support/patience.ts'
import type { Jaeger } from './jaeger.ts'
import { startJaeger } from './jaeger.ts'

const DEMO = join(import.meta.dirname, '..', '..', 'examples', 'demo', 'main.ts')

interface Field {
  readonly key: string
  readonly value: unknown
}
interface JaegerSpan {
  readonly traceID: string
  readonly spanID: string
  readonly operationName: string
  readonly references: readonly { readonly refType: string; readonly spanID: string }[]
  readonly tags: readonly Field[]
  readonly logs: readonly { readonly fields: readonly Field[] }[]
}

let jaeger: Jaeger
/** By what part of the story they are, as the demo counts them. */
let traceIds: readonly string[]

beforeAll(async () => {
  jaeger = await startJaeger()
  const child = spawn(process.execPath, [DEMO], {
    env: { PATH: process.env['PATH'], OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.endpoint },
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  await once(child, 'close')
  expect(output).toContain('The story is as told')
  traceIds = [...output.matchAll(/\/trace\/([0-9a-f]{32})/g)].map(([, id = '']) => id)
}, 900_000)
afterAll(() => jaeger[Symbol.asyncDispose]())

async function spansOf(traceId: string): Promise<readonly JaegerSpan[]> {
  const { data } = JSON.parse(await jaeger.trace(traceId)) as {
    data: readonly { spans: readonly JaegerSpan[] }[] | null
  }
  return data?.flatMap(({ spans }) => spans) ?? []
}
const fieldOf = (fields: readonly Field[], key: string): unknown => fields.find((field) => field.key === key)?.value
const eventsOf = ({ logs }: JaegerSpan): readonly string[] =>
  logs.map(({ fields }) => String(fieldOf(fields, 'event'))).filter((name) => name.startsWith('auth.'))
const allSpans = async (): Promise<readonly JaegerSpan[]> => (await Promise.all(traceIds.map(spansOf))).flat()

it('every event of the story is found, on spans of the kind that it belongs to', async () => {
  await waitFor(async () => {
    const found = new Set(
      (await allSpans()).flatMap((span) => eventsOf(span).map((name) => `${fieldOf(span.tags, 'span.kind')} ${name}`)),
    )
    expect([...found]).toEqual(
      expect.arrayContaining([
        'server auth.token.verified',
        'server auth.token.rejected',
        'client auth.token.forwarded',
        'client auth.token.withheld',
        'producer auth.token.sealed',
        'consumer auth.token.opened',
        'consumer auth.token.verified',
      ]),
    )
  })
})

it('an exchanged token is recorded with its actors, and its call is linked to where it came from', async () => {
  const spans = await allSpans()
  const exchange = spans.find((span) => eventsOf(span).includes('auth.token.exchanged'))
  const [log] = exchange?.logs.filter(({ fields }) => fieldOf(fields, 'event') === 'auth.token.exchanged') ?? []
  const { fields = [] } = log ?? {}
  expect(String(fieldOf(fields, 'auth.token.actors'))).not.toBe('undefined')
  expect(fieldOf(fields, 'auth.token.fingerprint')).not.toBe(fieldOf(fields, 'auth.token.subject_fingerprint'))
  const linked = spans.filter(
    ({ spanID, references }) =>
      spanID !== exchange?.spanID && references.some((each) => each.refType === 'FOLLOWS_FROM'),
  )
  expect(linked.length).toBeGreaterThan(0)
})

it('a refused request has a server span that says why', async () => {
  const refused = (await allSpans()).filter((span) => eventsOf(span).includes('auth.token.rejected'))
  const codes = refused.flatMap(({ logs }) => logs.map(({ fields }) => fieldOf(fields, 'error.type')))
  expect(codes).toContain('ERR_TOKEN_EXPIRED')
  expect(refused.map(({ tags }) => fieldOf(tags, 'http.response.status_code'))).toEqual(refused.map(() => 401))
})

it('nothing that looks like a token is in what it returns [G4]', async () => {
  const texts = await Promise.all(traceIds.map((id) => jaeger.trace(id)))
  expect(texts.join('').length).toBeGreaterThan(10_000)
  expect(texts.join('')).not.toMatch(/eyJ[\w-]{8,}/)
})
