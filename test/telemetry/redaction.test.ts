/** Nothing of a token is exported by processors that were wrapped, whoever wrote it where. */

import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import type { AnyValue } from '@opentelemetry/api'
import { propagation, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api'
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

describe('a token [G4, G5]', () => {
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

  it('is found by this very test if nothing is redacted', () => {
    const canaries = createCanaries()
    canaries.add(live, '')
    expect(canaries.find(exported(live, (processor) => processor))).toBeDefined()
  })
})

/** Headers with their members in other orders, and with white space, escapes and characters of other scripts. */
const HEADERS = [
  '{"alg":"ES256","typ":"JWT"}',
  '{ "alg":"none"}',
  '{\n  "alg": "ES256"}',
  '{\r\n"alg":"ES256"}',
  '{\t"alg":"ES256"}',
  '{"5x":1,"alg":"ES256"}',
  '{"é":1,"alg":"ES256"}',
  '{"\\u0061lg":"ES256"}',
]
const GLUE = [
  ...['', 'x-', 'entry-', 'employee_', 'error', 'err', 'e', 'ee', 'ew', 'eyJ', 'eyJeyJ', 'eyJhbGciOi', 'EYJ', 'new'],
  ...[
    'sessionKeyJwt_',
    'KeyJWT-',
    'Bearer ',
    'Bearer%20',
    '"',
    'a.b.',
    'a.eyJ.',
    'eyJ1.2.',
    'key=',
    'keyJ=',
    'x/',
    '%',
    '~',
  ],
]

describe('a JWT of another issuer [G13]', () => {
  it.each(GLUE)('is found behind %j, and is not sent on in baggage', (glue) => {
    for (const header of HEADERS) {
      const token = `${Buffer.from(header).toString('base64url')}.${stranger.split('.').slice(1).join('.')}`
      const ended: string[] = []
      const processor = relay.redact({ onEnd: ({ name }: { name: string }) => void ended.push(name) })
      processor.onEnd({ name: `a ${glue}${token} b` })
      expect(ended[0]).toMatch(/^a .*\[REDACTED\] b$/)
      const ctx = propagation.setBaggage(
        ROOT_CONTEXT,
        propagation.createBaggage({ session: { value: `${glue}${token}` } }),
      )
      const carrier = { baggage: `tenant=a,session=${encodeURIComponent(`${glue}${token}`)}` }
      relay.propagator.inject(ctx, carrier, { set: () => undefined })
      expect(carrier.baggage).toBe('tenant=a')
    }
  })

  it.each([
    'ey',
    'newline.keyJ.eyJ',
    'eyJhbGciOiJIUzUxMiJ9',
    'eyJhbGciOiJIUzUxMiJ9.e30',
    'error.message.eyJ',
  ])('is not what %s is', (text) => expect(exported(text)).not.toContain('[REDACTED]'))
})

describe('bytes of a token in use [G13]', () => {
  const bytes = Buffer.from(live)
  const hex = [...bytes].map((byte) => byte.toString(16))
  it.each([
    ['JSON.stringify', JSON.stringify(bytes)],
    ['JSON.stringify of a view', JSON.stringify({ ...bytes })],
    ['JSON with indentation', JSON.stringify([...bytes], undefined, 8)],
    ['util.inspect', inspect(bytes)],
    ['util.inspect of a view', inspect(new Uint8Array(bytes))],
    ['spaces', hex.join(' ')],
    ['colons', hex.join(':')],
    ['dashes', hex.join('-')],
    ['prefixes', hex.map((digits) => `0x${digits}`).join(', ')],
    ['octal digits', [...bytes].map((byte) => `\\${byte.toString(8)}`).join('')],
    ['quoted-printable', hex.map((digits) => `=${digits.toUpperCase()}`).join('')],
    ['soft line breaks', live.replaceAll(/.{75}/g, '$&=\r\n')],
    ['base64 in lines', bytes.toString('base64').replaceAll(/.{76}/g, '$&\r\n')],
    ['base64 of UTF-16', Buffer.from(live, 'utf16le').toString('base64')],
    ['hexadecimal UTF-16', Buffer.from(live, 'utf16le').toString('hex')],
    ['braces', hex.map((digits) => `\\u{${digits}}`).join('')],
    ['HTML in HTML', [...bytes].map((byte) => `&amp;#${byte};`).join('')],
  ])('are found in the notation of %s', (_, text) => {
    const ended: string[] = []
    const processor = relay.redact({ onEnd: ({ name }: { name: string }) => void ended.push(name) })
    processor.onEnd({ name: `header ${text} end` })
    const rest = ended[0]?.replaceAll('[REDACTED]', '') ?? text
    expect(rest).not.toBe(`header ${text} end`)
    expect(rest.replaceAll(/more bytes|more items/g, '').length).toBeLessThan(120)
  })
})

it('a JWE is found in a list of digits that is glued to others [G13]', () => {
  const octal = [...Buffer.from(jwe)].map((byte) => byte.toString(8).padStart(3, '0')).join(' ')
  const dashed = [...Buffer.from(octal)].map((byte) => byte.toString(16)).join('-')
  const ended: string[] = []
  const processor = relay.redact({ onEnd: ({ name }: { name: string }) => void ended.push(name) })
  for (const glue of ['', '-', '-1', '65', '32-30-1', '32-30-165-']) processor.onEnd({ name: `a ${glue}${dashed} b` })
  for (const glue of ['16', '32-30-16']) processor.onEnd({ name: `a ${glue}5-${dashed} b` })
  expect(new Set(ended)).toEqual(new Set(['a [REDACTED] b']))
})

it('twelve characters of a token in use are found at every place of a longer word [G13]', () => {
  const fragment = Buffer.from(live.slice(-12))
  const hex = [...fragment].map((byte) => byte.toString(16))
  const encoded = {
    plain: fragment.toString(),
    base64: fragment.toString('base64'),
    'base64 of a longer text': Buffer.from(`x${fragment}y`).toString('base64url'),
    hex: hex.join(''),
    'hex with dashes': hex.join('-'),
    'hex with colons': hex.join(':'),
    'a list of bytes': [...fragment].join(),
    'percent-encoded': `%${hex.join('%')}`,
  }
  const ended: string[] = []
  const processor = relay.redact({ onEnd: ({ name }: { name: string }) => void ended.push(name) })
  for (const [encoding, text] of Object.entries(encoded)) {
    // Characters that no digits of the encoding can be taken for.
    const rest = encoding.startsWith('hex') || encoding.startsWith('a list') ? 'z' : '~'
    for (let place = 0; place < 70; place += 1) {
      const before =
        encoding.includes('colons') || encoding.startsWith('a list') ? `${rest.repeat(place)} ` : rest.repeat(place)
      processor.onEnd({ name: `${before}${text}` })
      processor.onEnd({ name: `a ${before}${text}${rest === 'z' ? ' ' : rest}${'z'.repeat(place)}` })
    }
  }
  expect(ended.filter((name) => !name.includes('[REDACTED]'))).toEqual([])
})

/** What a search that goes back and forth would take hours for. */
const NEAR_MATCHES: readonly (readonly [string, string])[] = [
  ...['e', 'ey', 'eyJ', '.', 'a.', 'eyJ.', 'eyJhbGciOiJ', 'eyJ ', '-', '=', '0', 'AAAA', '\0'],
  ...['%', '%6', '%65', '%25', '\\x6', '\\x65', '\\u0065', '&#1', '&#101;', '&#x6', '&#x65;'],
  ...[live.slice(0, 12), `${live.slice(0, 12)}&`, `${live.slice(-12)} `, live.slice(0, live.indexOf('.') + 1)],
  ...(['base64', 'hex'] as const).map((encoding) => Buffer.from(live.slice(0, 30)).toString(encoding)),
].map((text) => [JSON.stringify(text), text])

it.each(
  NEAR_MATCHES,
)('a mebibyte of %s is exported within the time of this test, which quadratic work would exceed [G10]', (_, unit) => {
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
    expect(JSON.parse(JSON.stringify(seen))).toEqual(spans)
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

it('printing what was redacted shows no token, and everything else [G10]', () => {
  const items: ReadableSpan[] = []
  const processor = relay.redact({ onStart: () => undefined, onEnd: (span: ReadableSpan) => void items.push(span) })
  const provider = new TracerProvider({ spanProcessors: [processor as unknown as SpanProcessor] })
  const span = provider.getTracer('test').startSpan('GET', { attributes: { text: live, other: 'text' } })
  span.end()
  const [redacted] = items
  const options = { depth: 12, showHidden: true, getters: true } as const
  expect(inspect(redacted, { ...options, showProxy: true })).not.toContain(live.slice(-20))
  for (const text of [inspect(redacted, options), inspect(redacted), JSON.stringify(redacted)]) {
    expect(text).toContain('REDACTED')
    expect(text).not.toContain(live.slice(-20))
  }
  expect(redacted).toBeInstanceOf((span as object).constructor)
  expect(redacted).toMatchObject({ name: 'GET', kind: 0, attributes: { text: '[REDACTED]', other: 'text' } })
  expect(redacted?.spanContext()).toEqual(span.spanContext())
  expect('duration' in (redacted ?? {})).toBe(true)
})
