/** Log bodies and attributes of every kind: redaction ends, throws nothing, and passes nothing that exporters would write. */

import { inspect } from 'node:util'
import { JsonLogsSerializer, ProtobufLogsSerializer } from '@opentelemetry/otlp-transformer'
import type { ReadableLogRecord } from '@opentelemetry/sdk-logs'
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { createCanaries } from '../../src/testing/pieces.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const token = signer.token(goodClaims(ISSUER))
const canaries = createCanaries()
canaries.add(token)

let relay: TokenRelay
beforeAll(async () => {
  relay = createTokenRelay(optionsFor([signer.jwk]))
  relay.redact({})
  await relay.verify(token)
})
afterAll(() => relay.shutdown())

interface LogRecord {
  body: unknown
  readonly attributes: Record<string, unknown>
}

/** What the processor is given that is wrapped. */
function handedOver(record: LogRecord): ReadableLogRecord {
  const given: ReadableLogRecord[] = []
  const processor = relay.redact({ onEmit: (item: ReadableLogRecord) => void given.push(item) })
  processor.onEmit(record as unknown as ReadableLogRecord)
  return given[0] as ReadableLogRecord
}

/** All that exporters and programs make of a record: OTLP, JSON, and what is printed. */
function written(record: ReadableLogRecord): string {
  const complete = {
    resource: { attributes: {} },
    instrumentationScope: { name: 'a' },
    hrTime: [0, 0],
    hrTimeObserved: [0, 0],
  }
  const { body, attributes } = record
  const items = [{ ...complete, attributes, body }] as unknown as ReadableLogRecord[]
  const otlp = [JsonLogsSerializer.serializeRequest(items), ProtobufLogsSerializer.serializeRequest(items)]
  const options = { depth: 80, showHidden: true, getters: true, maxArrayLength: null } as const
  return [
    ...otlp.map((bytes) => Buffer.from(bytes ?? []).toString('latin1')),
    JSON.stringify({ body, attributes }, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    inspect(record, options),
    inspect({ body, attributes }, { ...options, customInspect: false }),
  ].join('\n')
}

class Secret {
  readonly token = token
  readonly #token = token
  get shown(): string {
    return this.#token
  }
}

function withReferencesToItself(count: number): object {
  const node: Record<string, unknown> = { token }
  for (let number = 0; number < count; number += 1) node[`next${number}`] = node
  return node
}

function shared(levels: number): object {
  let node: object = { token }
  for (let level = 0; level < levels; level += 1) node = { left: node, right: node }
  return node
}

function nested(levels: number): object {
  let node: object = { token }
  for (let level = 0; level < levels; level += 1) node = { node }
  return node
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

function fickle(): object {
  let reads = 0
  return {
    get value(): string {
      reads += 1
      return reads % 2 === 0 ? token : 'nothing'
    },
  }
}

const fail = (): never => {
  throw new Error('not for you')
}
const bytes = new Uint8Array(Buffer.from(token))
const KINDS: Readonly<Record<string, () => unknown>> = {
  'an instance of a class': () => new Secret(),
  'an instance in an instance': () => Object.assign(new Secret(), { inner: new Secret() }),
  'an object with a prototype of its own': () =>
    Object.assign(Object.create({ inherited: token }) as object, { token }),
  'an object without a prototype': () => Object.assign(Object.create(null) as object, { token }),
  'a map': () => new Map<unknown, unknown>([[token, { token }]]),
  'a set': () => new Set([token, { token }]),
  'what a pattern has matched': () => /^x/.exec(`x ${token}`),
  'a list with names, and a hole': () => Object.assign(new Array<unknown>(3), { 1: 'a', token }),
  'a buffer': () => Buffer.from(token),
  bytes: () => bytes,
  'numbers of two bytes': () => new Uint16Array(bytes),
  'floating-point numbers': () => new Float64Array(bytes),
  memory: () => bytes.buffer.slice(0),
  'a view of memory': () => new DataView(bytes.buffer.slice(0)),
  'a buffer that was JSON': () => JSON.parse(JSON.stringify(Buffer.from(token))) as unknown,
  'a list of numbers': () => [...bytes],
  'numbers by index': () => ({ ...bytes }),
  'a list of characters': () => [...token],
  'a list of short pieces': () => token.match(/.{1,8}/g),
  'a boxed text': () => Object(token) as unknown,
  'an error': () => Object.assign(new Error(token, { cause: new Error(token) }), { headers: { token } }),
  'what says what JSON it is': () => ({ toJSON: () => ({ token }) }),
  'a getter that throws': () => Object.defineProperty({ token }, 'broken', { enumerable: true, get: fail }),
  'a getter that returns something else each time': fickle,
  'a proxy that throws': () => new Proxy({ token }, { ownKeys: fail }),
  'a proxy whose members throw': () => new Proxy({ token }, { get: fail }),
  'a proxy of a list': () => new Proxy([token], {}),
  'a proxy that was revoked': revoked,
  symbols: () => ({ [Symbol(token)]: token, symbol: Symbol(token) }),
  'frozen objects': () => Object.freeze({ list: Object.freeze([token]) }),
  'a name': () => ({ [token]: 1 }),
  'a member that is called __proto__': () => JSON.parse(`{"__proto__":{"a":"${token}"}}`) as unknown,
  'an address': () => new URL(`https://a.example/?token=${token}`),
  headers: () => new Headers({ authorization: `Bearer ${token}` }),
  'a function': () => Object.assign(() => token, { token }),
  'one reference to itself': () => withReferencesToItself(1),
  'three references to itself': () => withReferencesToItself(3),
  'twelve references to itself': () => withReferencesToItself(12),
  'an object that is in several places': () => shared(5),
  'an object that is in a billion places': () => shared(30),
  'twenty thousand objects in each other': () => nested(20_000),
  'a million members': () => Array.from({ length: 1_000_000 }, () => token),
  'a list of four billion that has nothing': () => new Array<unknown>(2 ** 32 - 1),
  'a text of many megabytes': () => `${'word '.repeat(2 ** 20)}${token}`,
}

describe('a log body and an attribute [G13]', () => {
  it.each(Object.entries(KINDS))('%s, is exported without the token', (_, create) => {
    const value = create()
    const record = handedOver({ body: value, attributes: { value, list: [value] } })
    expect(canaries.find(written(record))).toBeUndefined()
  })

  it('what has no token is exported as it is', () => {
    const body = {
      id: 1,
      when: new Date(0),
      list: [1, 'a', null],
      nested: { flag: true },
      bytes: Uint8Array.of(1, 2, 3),
    }
    const map = new Map([['a', 1]])
    expect(handedOver({ body, attributes: {} }).body).toEqual(body)
    expect(handedOver({ body: map, attributes: {} }).body).toEqual(map)
  })

  it('members beside one that cannot be read are exported', () => {
    const body = Object.defineProperty({ id: 7 }, 'broken', { enumerable: true, get: fail })
    expect(handedOver({ body, attributes: {} }).body).toEqual({ id: 7, broken: undefined })
  })
})

describe('what was added after a record was handed over', () => {
  it('by the application, to its body', () => {
    const body: Record<string, unknown> = { a: 1 }
    const record = handedOver({ body, attributes: {} })
    body['authorization'] = `Bearer ${token}`
    expect(canaries.find(written(record))).toBeUndefined()
    expect(record.body).toEqual({ a: 1, authorization: 'Bearer [REDACTED]' })
  })

  it('by a processor that comes later', () => {
    const exporter = new InMemoryLogRecordExporter()
    const later = {
      onEmit: (record: { setAttribute(name: string, value: string): void }) => record.setAttribute('late', token),
      forceFlush: async () => undefined,
      shutdown: async () => undefined,
    }
    const processors = [relay.redact(new SimpleLogRecordProcessor({ exporter: relay.redact(exporter) })), later]
    new LoggerProvider({ processors }).getLogger('test').emit({ body: 'a' })
    const [record] = exporter.getFinishedLogRecords()
    expect(record?.attributes).toEqual({ late: '[REDACTED]' })
  })

  it('by the processor itself', () => {
    const given: LogRecord[] = []
    const enriching = {
      onEmit(record: LogRecord & { setAttribute(name: string, value: string): unknown }) {
        expect(record.attributes).toEqual({})
        expect(record.setAttribute('late', token)).toBe(record)
        given.push(record)
      },
      forceFlush: async () => undefined,
      shutdown: async () => undefined,
    }
    const processors = [relay.redact(enriching as unknown as SimpleLogRecordProcessor)]
    new LoggerProvider({ processors }).getLogger('test').emit({ body: 'a' })
    expect(given[0]?.attributes).toEqual({ late: '[REDACTED]' })
  })
})

it('an exporter gets items without tokens', () => {
  const given: unknown[] = []
  const exporter = relay.redact({ export: (items: unknown, done: () => void) => void given.push(items, done) })
  const done = (): void => undefined
  exporter.export([{ name: `GET ${token}` }], done)
  exporter.export({ metrics: [] }, done)
  expect(JSON.parse(JSON.stringify([given[0], given[2]]))).toEqual([[{ name: 'GET [REDACTED]' }], { metrics: [] }])
  expect([given[1], given[3]]).toEqual([done, done])
})

it('a trace state that holds a token is left out, and every other one keeps its methods', () => {
  const state = (text: string) => ({
    serialize: () => text,
    get: () => text,
    set: () => state(text),
    unset: () => state(text),
  })
  const spanContext = (text: string) => () => ({ traceId: '1', spanId: '2', traceFlags: 1, traceState: state(text) })
  const given: { spanContext(): { readonly traceState?: { serialize(): string } } }[] = []
  const processor = relay.redact({ onEnd: (span: (typeof given)[0]) => void given.push(span) })
  for (const text of ['a=b', `a=${token}`]) processor.onEnd({ spanContext: spanContext(text) })
  expect(given.map((span) => span.spanContext().traceState?.serialize())).toEqual(['a=b', undefined])
})
