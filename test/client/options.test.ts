/** A client refuses wrong options when it is created, and names their path; a page lists all options. */

import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { createServiceClient, del, get, head, post } from '../../src/client/index.ts'
import { parseClientOptions } from '../../src/client/options.ts'
import { findTable, plain } from '../docs/markdown.ts'

const GOOD = { baseUrl: 'https://a.example', endpoints: {} }

function problem(create: () => unknown): string {
  try {
    create()
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ code: 'ERR_RELAY_OPTION' })
    return (error as Error).message
  }
  return 'accepted'
}

const BASE_URL = 'baseUrl: required: an http or https URL without userinfo, query and fragment'

describe('createServiceClient refuses', () => {
  it.each([
    [{ baseUrl: undefined }, BASE_URL],
    [{ baseUrl: 'a.example' }, BASE_URL],
    [{ baseUrl: 'ftp://a.example' }, BASE_URL],
    [{ baseUrl: 'https://user:secret@a.example' }, BASE_URL],
    [{ baseUrl: 'https://a.example?secret' }, BASE_URL],
    [{ baseUrl: 'https://a.example#' }, BASE_URL],
    [{ baseUrl: 'https:\\\\a.example' }, BASE_URL],
    [{ endpoints: undefined }, 'endpoints: required: an object of endpoints'],
    [{ endpoints: Object.fromEntries([['then', get('/')]]) }, 'endpoints: expected names that are valid for methods'],
    [{ endpoints: { 'a b': get('/') } }, 'endpoints: expected names that are valid for methods'],
    [
      { endpoints: { a: { method: 'GET', path: '/' } } },
      'endpoints.a: expected an endpoint that get, put or another method returned',
    ],
    [{ timeoutMillis: 0 }, 'timeoutMillis: expected 1 to 2147483647 whole milliseconds'],
    [{ timeoutMillis: 1.5 }, 'timeoutMillis: expected 1 to 2147483647 whole milliseconds'],
    [{ attemptTimeoutMillis: '5' }, 'attemptTimeoutMillis: expected 1 to 2147483647 whole milliseconds'],
    [{ retry: true }, 'retry: expected an object or false'],
    [{ retry: { maxAttempts: 0 } }, 'retry.maxAttempts: expected 1 to 10 attempts'],
    [{ retry: { baseDelayMillis: 0 } }, 'retry.baseDelayMillis: expected 1 to 60000 milliseconds'],
    [{ retry: { maxDelayMillis: 60_001 } }, 'retry.maxDelayMillis: expected 1 to 60000 milliseconds'],
    [{ retry: { budgetRatio: 2 } }, 'retry.budgetRatio: expected 0 to 1'],
    [{ retry: { attempts: 2 } }, 'retry.attempts: is not an option'],
    [{ circuitBreaker: { failureRatio: 1 } }, 'circuitBreaker.failureRatio: expected a number above 0 and below 1'],
    [{ circuitBreaker: { minimumCalls: 101 } }, 'circuitBreaker.minimumCalls: expected no more than windowCalls'],
    [{ circuitBreaker: { windowCalls: 0 } }, 'circuitBreaker.windowCalls: expected 1 to 10000 attempts'],
    [{ circuitBreaker: { openMillis: 0 } }, 'circuitBreaker.openMillis: expected 1 to 2147483647 whole milliseconds'],
    [{ bulkhead: { maxConcurrent: 0 } }, 'bulkhead.maxConcurrent: expected 1 to 100000 attempts'],
    [{ bulkhead: { maxQueued: -1 } }, 'bulkhead.maxQueued: expected 0 to 100000 attempts'],
    [{ headers: { Host: 'secret' } }, 'headers: expected header fields, none of which describes the connection'],
    [{ maxResponseBytes: 0 }, 'maxResponseBytes: expected whole bytes, at least 1'],
    [{ onCircuitChange: 'a' }, 'onCircuitChange: expected a function'],
    [{ fetch: 'a' }, 'fetch: expected a function'],
    [{ dispatcher: 'a' }, 'dispatcher: expected an undici dispatcher'],
    [{ baseURL: 'a' }, 'baseURL: is not an option'],
  ])('%j', (more, message) => {
    expect(problem(() => createServiceClient({ ...GOOD, ...more } as never))).toBe(message)
  })

  it('options that come from a polluted prototype', () => {
    Object.assign(Object.prototype, { maxResponseBytes: 1, fetch: () => undefined, maxAttempts: 9 })
    try {
      expect(parseClientOptions(GOOD)).toMatchObject({ maxResponseBytes: 1_048_576, fetch: undefined })
      expect(parseClientOptions(GOOD).retry?.maxAttempts).toBe(3)
    } finally {
      for (const name of ['maxResponseBytes', 'fetch', 'maxAttempts']) Reflect.deleteProperty(Object.prototype, name)
    }
  })
})

describe('an endpoint is refused', () => {
  const PATH = 'path: expected a path such as /profiles/{userId}, without query or fragment'
  const NAMES = 'path: expected parameters with different names, other than body and query'
  const DOTS = 'path: must not have a segment . or ..'

  it.each([
    ['profiles', PATH],
    ['//evil.example', PATH],
    ['/a//b', PATH],
    ['https://evil.example/', PATH],
    ['/a?b={c}', PATH],
    ['/a#b', PATH],
    ['/a b', PATH],
    ['/a\\b', PATH],
    ['/{', PATH],
    ['/{a', PATH],
    ['/{a-b}', PATH],
    ['/{{a}}', PATH],
    ['/%zz', PATH],
    [7, PATH],
    ['/{a}/{a}', NAMES],
    ['/{body}', NAMES],
    ['/{query}', NAMES],
    ['/a/../b', DOTS],
    ['/a/%2E%2e', DOTS],
    ['/.', DOTS],
  ])('with the path %j', (path, message) => {
    expect(problem(() => get(path as string))).toBe(message)
  })

  it.each([
    ['get', () => get('/a', { body: z.string() } as never), 'body: is not an option'],
    ['del', () => del('/a', { body: z.string() } as never), 'body: is not an option'],
    ['head', () => head('/a', { response: z.string() } as never), 'response: is not an option'],
    ['post', () => post('/a', { body: {} } as never), 'body: expected a Standard Schema validator'],
    ['get', () => get('/a', { response: () => true } as never), 'response: expected a Standard Schema validator'],
    ['get', () => get('/a', { fallback: 'a' } as never), 'fallback: expected a function'],
    ['get', () => get('/a', { timeoutMillis: -1 }), 'timeoutMillis: expected 1 to 2147483647 whole milliseconds'],
    ['get', () => get('/a', { idempotent: 'yes' } as never), 'idempotent: expected true or false'],
  ])('%s: %#', (_, create, message) => {
    expect(problem(create)).toBe(message)
  })
})

describe('the table of the client options', () => {
  const rows = findTable('Client option', 'Default')
  const settings = parseClientOptions(GOOD) as unknown as Record<string, unknown>
  const valueAt = (path: string): unknown =>
    path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], settings)

  it('has every option and no other', () => {
    const groups = ['retry', 'circuitBreaker', 'bulkhead']
    const expected = Object.keys(settings).flatMap((name) =>
      groups.includes(name) ? Object.keys(settings[name] as object).map((key) => `${name}.${key}`) : name,
    )
    expect(rows.map((row) => plain(row['Client option'] ?? '')).toSorted()).toEqual(expected.toSorted())
  })

  it('has the defaults', () => {
    for (const row of rows) {
      const claimed = row['Default'] ?? ''
      if (!claimed.startsWith('`')) continue
      expect(JSON.stringify(valueAt(plain(row['Client option'] ?? ''))), row['Client option']).toBe(plain(claimed))
    }
  })
})
