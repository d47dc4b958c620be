/** Token JSON has one meaning for every reader, and is cheap to refuse. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseStrictJson } from '../../src/token/strict-json.ts'

const LIMITS = { maxDepth: 4, maxMembers: 8 }
const parse = (text: string): unknown => parseStrictJson(text, LIMITS)

describe('refuses a duplicate member [A21, B10]', () => {
  it.each([
    '{"alg":"none","alg":"ES256"}',
    '{"alg":"ES256","alg":"none"}',
    '{"exp":1,"\\u0065xp":2}',
    '{"a":{"b":1,"b":2}}',
    '{"a":[{"b":1,"b":1}]}',
    '{"":1,"":2}',
    '{"__proto__":1,"__proto__":2}',
    '{ "a" : 1 , "a" : 2 }',
    '{"a\\"":1,"a\\u0022":2}',
  ])('%s', (text) => {
    expect(JSON.parse(text)).toBeTypeOf('object')
    expect(parse(text)).toBeUndefined()
  })
})

it.each([
  '{"a":{"a":{"a":1}}}',
  '{"a":[{"b":1},{"b":2}]}',
  '{"a":"b","b":"a"}',
  '{"a":"\\"a\\":1,","b":"{[}]"}',
  '{"a\\\\":1,"a":2}',
  '{}',
])('accepts %s', (text) => {
  expect(parse(text)).toEqual(JSON.parse(text))
})

it.each([
  '[]',
  '1',
  'null',
  '"a"',
  '',
  '{',
  '{"a":1}x',
  "{'a':1}",
])('refuses JSON that is not an object: %s', (text) => {
  expect(parse(text)).toBeUndefined()
})

it('refuses JSON that is too deep or too wide [B12]', () => {
  const nested = (depth: number): string => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
  const wide = (size: number): string => `{"a":[${Array.from({ length: size }, () => 0).join()}]}`
  const members = (size: number): string => `{${Array.from({ length: size }, (_, i) => `"${i}":0`).join()}}`
  expect(parse(nested(4))).toBeDefined()
  expect(parse(nested(5))).toBeUndefined()
  expect(parse(nested(100_000))).toBeUndefined()
  for (const document of [wide, members]) {
    expect(parse(document(8))).toBeDefined()
    expect(parse(document(9))).toBeUndefined()
  }
})

it('agrees with JSON.parse on every object without repeats', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(undefined, 1), (object, indent) => {
      const text = JSON.stringify(object, null, indent)
      expect(parseStrictJson(text, { maxDepth: 1_000, maxMembers: 1_000 })).toEqual(JSON.parse(text))
    }),
  )
})
