/** Nothing of a token is exported by processors that were wrapped, whoever wrote it where. */

import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import type { AnyValue } from '@opentelemetry/api'
import { ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs'
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { createCanaries } from '../../src/testing/pieces.ts'
import type { Encode } from '../support/encodings.ts'
import { ENCODINGS } from '../support/encodings.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const live = signer.token(goodClaims(ISSUER, { x: randomBytes(60).toString('base64url') }))
/** Never seen by the relay: known by its shape alone. */
const stranger = createSigner().token(goodClaims('https://elsewhere.example'))
const jwe = `${Buffer.from('{"alg":"dir","enc":"A256GCM"}').toString('base64url')}..${['a', 'b', 'c'].map(() => randomBytes(24).toString('base64url')).join('.')}`

let relay: TokenRelay
beforeAll(async () => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
  relay.redact({})
  await relay.verify(live)
})
afterAll(() => relay.shutdown())

const SAMPLES: readonly Encode[] = [
  (text) => text,
  (text) => `Bearer ${text}`,
  (text) => `authorization: Bearer ${text}\r\nhost: a.example`,
  (text) => `https://a.example/callback?access_token=${text}&state=1#id_token=${text}`,
  (text) => `{"headers":{"authorization":"Bearer ${text}"}}`,
  (text) => `Headers.append: "Bearer ${text}" is an invalid header value.`,
  (text) => `EVALSHA 0a1b 3 bull:q: {"tm":"{\\"authorization\\":\\"Bearer ${text}\\"}"}`,
  (text) => `Error: x\n    at f (/srv/a.js?token=${text}:1:2)`,
]

/** Whatever a span and a log record have room for, with `text` in it, exported by the wrapped processors. */
function exported(text: string, wrap = (processor: object): object => relay.redact(processor)): string {
  const [spans, logs] = [new InMemorySpanExporter(), new InMemoryLogRecordExporter()]
  const resource = resourceFromAttributes({ 'process.command_args': ['node', `--token=${text}`] })
  const spanProcessor = wrap(new SimpleSpanProcessor({ exporter: spans })) as SpanProcessor
  const tracer = new TracerProvider({ resource, spanProcessors: [spanProcessor] }).getTracer('test')
  const links = [{ context: { traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 1 }, attributes: { text } }]
  const span = tracer.startSpan(`GET ${text}`, { attributes: { text, list: ['a', text] }, links })
  span.addEvent(text, { text })
  span.recordException(new Error(text))
  span.setStatus({ code: SpanStatusCode.ERROR, message: text })
  span.end()
  const logProcessor = wrap(new SimpleLogRecordProcessor({ exporter: logs })) as SimpleLogRecordProcessor
  const logger = new LoggerProvider({ resource, processors: [logProcessor] }).getLogger('test')
  const deep: AnyValue = { headers: [{ name: 'authorization', value: text }], [text]: Buffer.from(text) }
  logger.emit({ body: deep, attributes: { text }, context: trace.setSpan(ROOT_CONTEXT, span) })
  const [finished, records] = [spans.getFinishedSpans(), logs.getFinishedLogRecords()]
  expect([finished.length, records.length]).toEqual([1, 1])
  return JSON.stringify(
    [
      finished.map(({ name, attributes, events, links: all, status, resource: from }) => [
        name,
        attributes,
        events,
        all,
        status,
        from.attributes,
      ]),
      records.map(({ body, attributes, resource: from }) => [body, attributes, from.attributes]),
    ],
    (_, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value),
  )
}

describe('G4 G5 a token', () => {
  it.each(Object.entries(ENCODINGS))('%s is found in every place', (_, encode) => {
    const canaries = createCanaries()
    for (const token of [live, stranger, jwe]) canaries.add(token, '')
    for (const sample of SAMPLES) {
      for (const token of [live, stranger, jwe]) expect(canaries.find(exported(sample(encode(token))))).toBeUndefined()
    }
  })

  it.each(Object.entries(ENCODINGS))('%s, a piece of a live one is found', (_, encode) => {
    const canaries = createCanaries()
    canaries.add(live, '')
    const signature = live.slice(live.lastIndexOf('.') + 1)
    for (const piece of [live.slice(0, 30), signature, signature.slice(10, 34), live.slice(60, 90)]) {
      expect(canaries.find(exported(`cannot parse ${encode(piece)}`))).toBeUndefined()
    }
  })

  it('is found by this very test where nothing is redacted', () => {
    const canaries = createCanaries()
    canaries.add(live, '')
    expect(canaries.find(exported(live, (processor) => processor))).toBeDefined()
  })
})

/** What a search that goes back and forth would take hours for. */
const NEAR_MATCHES: readonly (readonly [string, string])[] = [
  ...['e', 'ey', 'eyJ', '.', 'a.', 'eyJ.', 'eyJhbGciOiJ', 'eyJ ', '-', '=', '0', 'AAAA', '\0'],
  ...['%', '%6', '%65', '%25', '\\x6', '\\x65', '\\u0065', '&#1', '&#101;', '&#x6', '&#x65;'],
  ...[live.slice(0, 12), `${live.slice(0, 12)}&`, `${live.slice(-12)} `, live.slice(0, live.indexOf('.') + 1)],
  ...(['base64', 'hex'] as const).map((encoding) => Buffer.from(live.slice(0, 30)).toString(encoding)),
].map((text) => [JSON.stringify(text), text])

it.each(NEAR_MATCHES)('G10 a mebibyte of %s takes no longer than it is', (_, unit) => {
  const ended: string[] = []
  const processor = relay.redact({ onEnd: ({ name }: { name: string }) => void ended.push(name) })
  processor.onEnd({ name: unit.repeat(Math.ceil(2 ** 20 / unit.length)) })
  expect(ended).toHaveLength(1)
})

describe('everything else', () => {
  const innocent = [
    'GET /users/42',
    'https://profile.internal.example/profiles/42?limit=10&after=2026-01-02T03:04:05Z',
    'SELECT "id", "name" FROM "users" WHERE "id" = $1 LIMIT 10',
    'application/json; charset=utf-8',
    '3f2504e0-4f89-11d3-9a0c-0305e82c3301',
    'a'.repeat(64),
    '100%',
    'C:\\users\\x64',
    'Tom &amp; Jerry',
    'at Object.<anonymous> (/srv/app/node_modules/express/lib/router/layer.js:95:5)',
    'ERR_TOKEN_EXPIRED',
    '1.2.3.4',
  ] // prettier-ignore

  it('is exported as it is', () => {
    const seen: unknown[] = []
    const processor = relay.redact({ onEnd: (span: object) => void seen.push(span) })
    const spans = innocent.map((text) => ({ name: text, attributes: { text }, status: { code: 2, message: text } }))
    for (const span of spans) processor.onEnd(span)
    expect(seen.every((span, index) => span === spans[index])).toBe(true)
    for (const text of innocent) expect(exported(text)).not.toContain('[REDACTED]')
  })

  it('random ids are not taken for tokens', () => {
    const ids = Array.from({ length: 2_000 }, () => randomBytes(24).toString('base64url'))
    const redacted: string[] = []
    const processor = relay.redact({ onEnd: ({ name }: { name: string }) => void redacted.push(name) })
    for (const name of ids) processor.onEnd({ name })
    expect(redacted).toEqual(ids)
  })

  it('of the processor is its own: its methods run on it, whatever private members they use', async () => {
    class Private {
      readonly #ended: string[] = []
      onStart(): void {}
      onEnd(span: { name: string }): void {
        this.#ended.push(span.name)
      }
      get count(): number {
        return this.#ended.length
      }
      async shutdown(): Promise<number> {
        return this.#ended.length
      }
    }
    const processor = relay.redact(new Private())
    processor.onStart()
    processor.onEnd({ name: 'a' })
    expect([processor.count, await processor.shutdown()]).toEqual([1, 1])
  })
})

it('G10 whoever prints what was redacted sees no token either, and may read all of it', () => {
  const items: ReadableSpan[] = []
  const processor = relay.redact({ onStart: () => undefined, onEnd: (span: ReadableSpan) => void items.push(span) })
  const provider = new TracerProvider({ spanProcessors: [processor as unknown as SpanProcessor] })
  const span = provider.getTracer('test').startSpan('GET', { attributes: { text: live, other: 'text' } })
  span.end()
  const [redacted] = items
  const options = { depth: 12, showHidden: true, getters: true, showProxy: true } as const
  for (const text of [inspect(redacted, options), inspect(redacted), JSON.stringify(redacted)]) {
    expect(text).toContain('REDACTED')
    expect(text).not.toContain(live.slice(-20))
  }
  expect(redacted).toBeInstanceOf((span as object).constructor)
  expect(redacted).toMatchObject({ name: 'GET', kind: 0, attributes: { text: '[REDACTED]', other: 'text' } })
  expect(redacted?.spanContext()).toEqual(span.spanContext())
  expect('duration' in (redacted ?? {})).toBe(true)
})
