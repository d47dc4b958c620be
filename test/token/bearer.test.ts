/** The `Authorization` field (RFC 6750 §2.1, RFC 9110 §11.4 and §5.3): exactly one token, or none. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readBearer } from '../../src/token/bearer.ts'

const MAX_BYTES = 512
const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln'
const read = (field: unknown): unknown => readBearer(field, MAX_BYTES)

describe('accepts one credential', () => {
  it.each([
    ['the usual spelling', `Bearer ${TOKEN}`],
    ['E3 a lower-case scheme', `bearer ${TOKEN}`],
    ['E3 an upper-case scheme', `BEARER ${TOKEN}`],
    ['E3 a mixed-case scheme', `bEaReR ${TOKEN}`],
    ['several spaces (RFC 9110 §11.4: 1*SP)', `Bearer    ${TOKEN}`],
    ['one value in a list', [`Bearer ${TOKEN}`]],
  ])('%s', (_, field) => {
    expect(read(field)).toEqual({ kind: 'token', text: TOKEN })
  })

  it.each(['abc', 'a-b._~+/c', 'YWJj=', 'YWI==', '0'])('every b64token of RFC 6750 §2.1: %s', (text) => {
    expect(read(`Bearer ${text}`)).toEqual({ kind: 'token', text })
  })

  it('a token of exactly the size limit', () => {
    expect(read(`Bearer ${'a'.repeat(MAX_BYTES)}`)).toEqual({ kind: 'token', text: 'a'.repeat(MAX_BYTES) })
  })
})

describe('E3 finds no token of ours in other schemes', () => {
  it.each([
    ['nothing', undefined],
    ['null', null],
    ['no values', []],
    ['one undefined value', [undefined]],
    ['an empty field', ''],
    ['Basic', 'Basic YWxpY2U6c2VjcmV0'],
    ['DPoP', `DPoP ${TOKEN}`],
    ['Digest with parameters', 'Digest username="alice", realm="bearer"'],
    ['a scheme that begins like ours', `Bearers ${TOKEN}`],
    ['another scheme that begins like ours', `Bearer-Token ${TOKEN}`],
    ['a bare token', TOKEN],
    ['white space alone', '   '],
  ])('%s', (_, field) => {
    expect(read(field)).toEqual({ kind: 'none' })
  })
})

describe('calls malformed what two readers could read as two tokens', () => {
  it.each([
    ['E1 two values', [`Bearer ${TOKEN}`, `Bearer ${TOKEN}`]],
    ['E1 two values of which the first is empty', ['', `Bearer ${TOKEN}`]],
    ['E1 two values of two schemes', ['Basic YTpi', `Bearer ${TOKEN}`]],
    ['E1 a list in a list', [[`Bearer ${TOKEN}`]]],
    ['E2 a comma list', `Bearer ${TOKEN}, Bearer ${TOKEN}`],
    ['E2 a comma list without a second scheme', `Bearer ${TOKEN},${TOKEN}`],
    ['E2 a comma list that begins with another scheme', `Basic YTpi, Bearer ${TOKEN}`],
    ['E2 the same in another case and without space', `Basic YTpi,bearer ${TOKEN}`],
    ['E2 two tokens', `Bearer ${TOKEN} ${TOKEN}`],
    ['E2 a quoted token', `Bearer "${TOKEN}"`],
    ['E2 auth-params', `Bearer realm="x", token="${TOKEN}"`],
    ['E2 an auth-param after the token', `Bearer ${TOKEN}, realm="x"`],
    ['E2 a tab', `Bearer\t${TOKEN}`],
    ['E2 a tab after a space', `Bearer \t${TOKEN}`],
    ['E2 a no-break space', `Bearer\u00a0${TOKEN}`],
    ['E2 a no-break space after a space', `Bearer \u00a0${TOKEN}`],
    ['E2 a byte order mark before the token', `Bearer \ufeff${TOKEN}`],
    ['E2 a latin-1 letter', `Bearer ${TOKEN}\u00e9`],
    ['E2 a full-width dot', `Bearer ${TOKEN.replace('.', '\uff0e')}`],
    ['a space after the token', `Bearer ${TOKEN} `],
    ['a line feed after the token', `Bearer ${TOKEN}\n`],
    ['a NUL after the token', `Bearer ${TOKEN}\0`],
    ['a semicolon', `Bearer ${TOKEN};x`],
    ['padding in the middle', 'Bearer YQ==YQ'],
    ['padding alone', 'Bearer =='],
    ['E3 the scheme alone', 'Bearer'],
    ['E3 the scheme and a space', 'Bearer '],
    ['a colon after the scheme', `Bearer: ${TOKEN}`],
    ['a number', 7],
    ['a boolean', true],
    ['an object', { authorization: `Bearer ${TOKEN}` }],
    ['an object that prints as a token', { toString: () => `Bearer ${TOKEN}` }],
    ['a String object', new String(`Bearer ${TOKEN}`)],
    ['bytes', Buffer.from(`Bearer ${TOKEN}`)],
    ['a function', () => `Bearer ${TOKEN}`],
    ['a symbol', Symbol('Bearer')],
  ])('%s', (_, field) => {
    expect(read(field)).toEqual({ kind: 'malformed' })
  })
})

describe('bounds its work', () => {
  it.each([
    ['one long token', `Bearer ${'a'.repeat(100_000)}`],
    ['a token and much after it', `Bearer ${TOKEN}${' '.repeat(100_000)}`],
    ['much space before the token', `Bearer ${' '.repeat(100_000)}${TOKEN}`],
  ])('reads nothing of %s', (_, field) => {
    expect(read(field)).toEqual({ kind: 'too_large' })
  })

  it('looks for a second scheme only within the size limit', () => {
    expect(read(`Basic ${'a'.repeat(MAX_BYTES)}, Bearer ${TOKEN}`)).toEqual({ kind: 'none' })
  })
})

describe('a token that is known', () => {
  const known = (text: string): string | undefined => (text === TOKEN ? TOKEN : undefined)
  const readKnown = (field: unknown): unknown => readBearer(field, MAX_BYTES, known)

  it('is the same, known or not', () => {
    for (const field of [`Bearer ${TOKEN}`, `bearer ${TOKEN}`, `Bearer  ${TOKEN}`, [`Bearer ${TOKEN}`]])
      expect(readKnown(field)).toEqual(read(field))
  })

  it('E2 does not make a field good that is not', () => {
    for (const field of [
      `Bearer ${TOKEN} `,
      `Bearer ${TOKEN},`,
      `Bearer\t${TOKEN}`,
      `Basic ${TOKEN}`,
      TOKEN,
      [TOKEN, TOKEN],
    ])
      expect(readKnown(field)).toEqual(read(field))
  })

  it('is too large where it is', () => {
    const large = 'a'.repeat(2 * MAX_BYTES)
    expect(readBearer(`Bearer ${large}`, MAX_BYTES, (text) => text)).toEqual({ kind: 'too_large' })
  })
})

it('E2 whatever the field, a token is what RFC 6750 §2.1 calls one, and stands in the field', () => {
  const hostile = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom(' ', '\t', ',', '=', TOKEN))
  fc.assert(
    fc.property(fc.constantFrom('Bearer ', 'bearer', 'Bearer', ''), fc.array(hostile), (scheme, parts) => {
      const field = scheme + parts.join('')
      const presented = readBearer(field, MAX_BYTES)
      if (presented.kind !== 'token') return
      expect(presented.text).toMatch(/^[A-Za-z0-9\-._~+/]+=*$/)
      expect(field.toLowerCase()).toMatch(/^bearer +[^ ]+$/)
      expect(field.endsWith(` ${presented.text}`)).toBe(true)
    }),
  )
})
