/** The input of a call never changes the origin or the path of its request, and has only one meaning. */

import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { createServiceClient, del, get, post } from '../../src/client/index.ts'
import type { Service } from '../support/scripted-service.ts'
import { startService } from '../support/scripted-service.ts'

let service: Service
beforeAll(async () => {
  service = await startService((response) => response.writeHead(200).end())
})
afterAll(() => service[Symbol.asyncDispose]())
let before: number
beforeEach(() => {
  before = service.asked.length
})

const Filter = z.object({ since: z.iso.date(), tags: z.array(z.string()).optional() })

function create(basePath = '', more: object = {}) {
  return createServiceClient({
    baseUrl: `${service.origin}${basePath}`,
    retry: false,
    circuitBreaker: false,
    bulkhead: false,
    ...more,
    endpoints: {
      read: get('/a/{id}/b.{kind}'),
      list: get('/list'),
      filter: get('/list', { query: Filter, headers: { 'X-Level': 'endpoint', 'X-Own': 'endpoint' } }),
      create: post('/items', { body: z.unknown() }),
      remove: del('/items/{id}'),
    },
  })
}

async function target(call: Promise<unknown>): Promise<string | undefined> {
  await call
  return service.asked.at(-1)?.target
}

async function refusal(call: () => Promise<unknown>): Promise<string> {
  const error = await call().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(TypeError)
  expect(error).toMatchObject({ code: 'ERR_RELAY_OPTION' })
  expect(service.asked.length).toBe(before)
  return String((error as Error).message)
}

describe('a path parameter', () => {
  it.each([
    ['42', '42'],
    [42, '42'],
    [-1.5, '-1.5'],
    ['a/b', 'a%2Fb'],
    ['a?b#c', 'a%3Fb%23c'],
    ['..a', '..a'],
    ['...', '...'],
    ['//evil.example', '%2F%2Fevil.example'],
    ['@evil.example:80', '%40evil.example%3A80'],
    ['100%', '100%25'],
    ['ä', '%C3%A4'],
    ['a b+c;d', 'a%20b%2Bc%3Bd'],
  ])('%j is one place in the path', async (id, encoded) => {
    expect(await target(create().read({ id, kind: 'x' }))).toBe(`/a/${encoded}/b.x`)
  })

  it.each([
    ['', 'must not be empty'],
    ['.', 'must not have a segment . or ..'],
    ['..', 'must not have a segment . or ..'],
    ['../admin', 'must not have a segment . or ..'],
    ['a/../admin', 'must not have a segment . or ..'],
    ['a\\..\\admin', 'must not have a segment . or ..'],
    ['%2e%2E/admin', 'must not have a segment . or ..'],
    ['x%2f..%2fadmin', 'must not have a segment . or ..'],
    ['a\r\nb', 'has a character that a path must not have'],
    ['a\0', 'has a character that a path must not have'],
    ['\ud800', 'has a character that a path must not have'],
    [Number.NaN, 'expected a string or a finite number'],
    [Number.POSITIVE_INFINITY, 'expected a string or a finite number'],
    [true, 'expected a string or a finite number'],
    [['a'], 'expected a string or a finite number'],
    [{ toString: () => 'a' }, 'expected a string or a finite number'],
    [undefined, 'expected a string or a finite number'],
    [null, 'expected a string or a finite number'],
  ])('%j is refused, and nothing is sent', async (id, problem) => {
    expect(await refusal(() => create().read({ id: id as string, kind: 'x' }))).toBe(`id: ${problem}`)
  })

  it('never changes the origin, the path around it or the number of segments, whatever it is', async () => {
    const seen: string[] = []
    const fetchPort = async (url: unknown): Promise<Response> => {
      seen.push(String(url))
      return new Response()
    }
    const client = create('/base', { fetch: fetchPort })
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...'./\\%2e5cf?#@:a') })),
        async (id) => {
          seen.length = 0
          await client.read({ id, kind: 'x' }).catch(() => undefined)
          for (const url of seen) {
            const { origin, pathname, search, hash } = new URL(url)
            expect([origin, search, hash]).toEqual([service.origin, '', ''])
            const segments = pathname.split('/')
            expect([segments.length, segments[1], segments[2], segments[4]]).toEqual([5, 'base', 'a', 'b.x'])
            expect(decodeURIComponent(segments[3] ?? '')).toBe(id)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('keeps the path of baseUrl', async () => {
    expect(await target(create('/api/v1').list())).toBe('/api/v1/list')
    expect(await target(create('/api/v1/').list())).toBe('/api/v1/list')
  })
})

describe('the query', () => {
  it('is encoded, repeats lists, and omits undefined values', async () => {
    const query = { q: 'a&b=c #?', n: 1, yes: true, tag: ['x', 'y'], none: undefined, empty: [] }
    expect(await target(create().list({ query }))).toBe('/list?q=a%26b%3Dc+%23%3F&n=1&yes=true&tag=x&tag=y')
    expect(await target(create().list())).toBe('/list')
  })

  it('is the output of its schema', async () => {
    expect(await target(create().filter({ query: { since: '2024-01-01', tags: ['a'] } }))).toBe(
      '/list?since=2024-01-01&tags=a',
    )
  })

  it('is refused if it does not match its schema', async () => {
    const wrong = { query: { since: 'secret' } }
    expect(await refusal(() => create().filter(wrong))).toBe('query: does not match its schema')
  })

  it.each([
    [{ a: null }],
    [{ a: {} }],
    [{ a: [[1]] }],
    [{ a: Number.NaN }],
    ['a=b'],
    [['a']],
  ])('%j is refused', async (query) => {
    expect(await refusal(() => create().list({ query: query as never }))).toMatch(/^query: expected strings/)
  })
})

describe('the body', () => {
  const cyclic: Record<string, unknown> = {}
  cyclic['self'] = cyclic
  it.each([
    [undefined],
    [() => 1],
    [1n],
    [cyclic],
    [
      {
        toJSON: () => {
          throw new Error('secret')
        },
      },
    ],
  ])('that JSON cannot hold is refused: %#', async (body) => {
    expect(await refusal(() => create().create({ body }))).toBe('body: expected a JSON value')
  })
})

describe('the input', () => {
  afterEach(() => Reflect.deleteProperty(Object.prototype, 'id'))

  it.each([
    [{ id: 'a', x: 'b' }, 'input.x: is not a parameter of the endpoint'],
    [{ id: 'a', body: 'b' }, 'input.body: is not a parameter of the endpoint'],
    [{ id: 'a', 'se cret': 'b' }, 'input.?: is not a parameter of the endpoint'],
    ['a', 'input: expected an object'],
    [['a'], 'input: expected an object'],
  ])('%j is refused', async (input, message) => {
    expect(await refusal(() => create().remove(input as never))).toBe(message)
  })

  it('is not filled by a polluted prototype', async () => {
    Object.assign(Object.prototype, { id: 'polluted' })
    expect(await refusal(() => create().remove({} as never))).toMatch(/^id: expected/)
  })
})

describe('header fields', () => {
  it('of the call override those of the endpoint, which override those of the client', async () => {
    const client = create('', { headers: { 'x-level': 'client', 'x-client': 'client', 'x-own': 'client' } })
    await client.filter({ query: { since: '2024-01-01' } }, { headers: { 'X-LEVEL': 'call' } })
    expect(service.asked.at(-1)?.headers).toMatchObject({
      'x-level': 'call',
      'x-own': 'endpoint',
      'x-client': 'client',
    })
  })

  it.each([
    { 'x-a': 'secret\r\nx-b: c' },
    { 'x secret': 'a' },
    { 'x-a': 1 },
    { Host: 'secret.example' },
    { 'content-length': '1' },
    { 'transfer-encoding': 'chunked' },
  ])('%j are refused, without being repeated', async (headers) => {
    const message = 'headers: expected header fields, none of which describes the connection'
    expect(await refusal(() => create().list({}, { headers: headers as never }))).toBe(message)
  })
})

describe('call options', () => {
  it.each([
    [{ signal: {} }, 'signal: expected an AbortSignal'],
    [{ timeoutMillis: 0 }, 'timeoutMillis: expected 1 to 2147483647 whole milliseconds'],
    [{ timeoutMillis: 2 ** 31 }, 'timeoutMillis: expected 1 to 2147483647 whole milliseconds'],
    [{ timeout: 1 }, 'timeout: is not an option'],
    ['a', 'options: expected an object'],
  ])('%j are refused', async (options, message) => {
    expect(await refusal(() => create().list({}, options as never))).toBe(message)
  })
})
