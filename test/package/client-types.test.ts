/** What a client's methods take and give is known from its endpoints: the wrong name, type or schema does not compile. */

import { beforeAll, describe, expect, it } from 'vitest'
import { compile } from './compile.ts'

const CLIENT = `
import type { StandardSchemaV1 } from '@standard-schema/spec'
import * as z from 'zod'
import {
  createServiceClient, del, get, head, patch, post, put, ServiceError, ServiceScopeError,
  type BulkheadOptions, type CallOptions, type CircuitBreakerOptions, type CircuitChange, type Endpoint,
  type RetryOptions, type Schema, type ServiceClient, type ServiceErrorCode,
} from 'otel-token-relay/client'
const Profile = z.object({ name: z.string(), since: z.iso.date().transform((text) => new Date(text)) })
declare const Standard: StandardSchemaV1<{ a: number }, { b: boolean }>
const retry: RetryOptions = { maxAttempts: 2 }
const circuitBreaker: CircuitBreakerOptions = { failureRatio: 0.1 }
const bulkhead: BulkheadOptions = { maxConcurrent: 1 }
const client = createServiceClient({
  baseUrl: 'https://a.example',
  retry, circuitBreaker, bulkhead,
  onCircuitChange: ({ state, origin }: CircuitChange) => void [state === 'half_open', origin],
  endpoints: {
    read: get('/profiles/{userId}', { response: Profile }),
    part: get('/profiles/{userId}/items/{itemId}.json', { query: z.object({ page: z.number() }) }),
    list: get('/profiles', { response: z.array(Profile), fallback: (error) => (error.retryable ? [] : Promise.reject(error)) }),
    search: get('/profiles', { query: z.object({ q: z.string().optional() }) }),
    write: put('/profiles/{userId}', { body: Profile, fallback: (_, input) => void input.body.name }),
    create: post('/profiles', { body: Standard, response: Standard, idempotent: true }),
    change: patch('/profiles/{userId}', { body: Profile.partial() }),
    exists: head('/profiles/{userId}'),
    remove: del('/profiles/{userId}'),
  },
})
`

const RIGHT = `${CLIENT}
export async function use(): Promise<void> {
  const since: Date = (await client.read({ userId: '42' })).since
  const none: undefined = await client.write({ userId: 42, body: { name: 'a', since: '2024-01-01' } })
  const b: boolean = (await client.create({ body: { a: 1 } })).b
  const call: CallOptions = { signal: AbortSignal.timeout(1), timeoutMillis: 5, headers: { 'x-a': 'b' } }
  const names: string[] = (await client.list()).map(({ name }) => name)
  await client.list({ query: { tag: ['a', 'b'], page: 1, all: true } }, call)
  await client.part({ userId: 'a', itemId: 1, query: { page: 1 } })
  await client.search()
  await client.search({ query: { q: 'a' } })
  await client.change({ userId: 'a', body: {} })
  await client.exists({ userId: 'a' })
  const gone: undefined = await client.remove({ userId: 'a' })
  const read: Endpoint<{ readonly id: string | number; readonly query?: {} }, undefined> = get('/{id}')
  const other: ServiceClient<{ read: typeof read }> = createServiceClient({ baseUrl: 'https://a.example', endpoints: { read } })
  const schema: Schema<{ a: number }, { b: boolean }> = Standard
  void [since, none, b, names, gone, other, schema]
}
export function scopes(error: unknown): readonly string[] {
  if (error instanceof ServiceScopeError) return error.requiredScopes
  const code: ServiceErrorCode | undefined = error instanceof ServiceError ? error.code : undefined
  return code === 'ERR_SERVICE_TIMEOUT' ? [] : ['none']
}
`

const WRONG = [
  ['a parameter of another name', "client.read({ userID: '42' })", 'TS2561'],
  ['a missing parameter', "client.part({ userId: '42', query: { page: 1 } })", 'TS2741'],
  ['no input where there are parameters', 'client.read()', 'TS2554'],
  ['a parameter that is no string or number', 'client.read({ userId: true })', 'TS2322'],
  ['a parameter that may be undefined', "client.read({ userId: [''][0] as string | undefined })", 'TS2322'],
  ['a body that the schema does not take', "client.write({ userId: 'a', body: { name: 1, since: '' } })", 'TS2322'],
  ['a body in its output type', "client.write({ userId: 'a', body: { name: 'a', since: new Date() } })", 'TS2322'],
  ['a body where there is none', "client.read({ userId: 'a', body: {} })", 'TS2353'],
  ['a query that the schema does not take', 'client.search({ query: { q: 1 } })', 'TS2322'],
  ['a missing query', "client.part({ userId: 'a', itemId: 'b' })", 'TS2741'],
  ['a result that is not the schema’s', "client.read({ userId: 'a' }).then(({ age }) => age)", 'TS2339'],
  ['an endpoint that is not there', "client.fetch({ userId: 'a' })", 'TS2339'],
  ['an unknown call option', "client.read({ userId: 'a' }, { timeout: 1 })", 'TS2353'],
  ['a fallback of another type', "get('/a', { response: Profile, fallback: () => 'a' })", 'TS2322'],
  ['a body for get', "get('/a', { body: Profile })", 'TS2353'],
  ['something that is no schema', "get('/a', { response: { parse: () => 1 } })", 'TS2353'],
  ['an endpoint made by hand', "createServiceClient({ baseUrl: '', endpoints: { a: '/a' } })", 'TS2322'],
] as const

it('endpoints give methods their types', () => {
  expect(compile({ 'client.mts': RIGHT, 'client.cts': RIGHT })).toEqual([])
})

describe('does not compile', () => {
  let errors: readonly string[]
  beforeAll(() => {
    errors = compile(
      Object.fromEntries(WRONG.map(([, statement], i) => [`client-${i}.mts`, `${CLIENT}${statement}\n`])),
    )
  })
  const line = CLIENT.split('\n').length

  it.each(WRONG.map(([title, , code], i) => [title, `client-${i}.mts`, code]))('%s', (_, file, code) => {
    const own = errors.filter((error) => error.startsWith(`${file}(`))
    expect(own).toHaveLength(1)
    expect(own[0]).toMatch(new RegExp(`\\(${line},\\d+\\): error ${code}:`))
  })
})
