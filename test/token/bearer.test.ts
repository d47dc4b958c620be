/** The `Authorization` field (RFC 6750 §2.1, RFC 9110 §11.4 and §5.3): exactly one token, or none. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FindPresented } from '../../src/token/bearer.ts'
import { readBearer } from '../../src/token/bearer.ts'
import { UnverifiedCredential } from '../../src/token/credential.ts'

const MAX_BYTES = 512
const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln'

function read(field: unknown, findPresented?: FindPresented): unknown {
  const presented = readBearer(field, MAX_BYTES, findPresented)
  return presented.kind === 'token' ? { kind: 'token', text: presented.credential.reveal() } : presented
}

describe('readBearer accepts one credential', () => {
  it.each([
    ['the usual spelling', `Bearer ${TOKEN}`],
    ['a lower-case scheme [E3]', `bearer ${TOKEN}`],
    ['an upper-case scheme [E3]', `BEARER ${TOKEN}`],
    ['a mixed-case scheme [E3]', `bEaReR ${TOKEN}`],
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

describe('readBearer finds no token in other schemes [E3]', () => {
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

describe('readBearer refuses a field that two readers could read as two tokens', () => {
  it.each([
    ['two values [E1]', [`Bearer ${TOKEN}`, `Bearer ${TOKEN}`]],
    ['two values of which the first is empty [E1]', ['', `Bearer ${TOKEN}`]],
    ['two values of two schemes [E1]', ['Basic YTpi', `Bearer ${TOKEN}`]],
    ['a list in a list [E1]', [[`Bearer ${TOKEN}`]]],
    ['a comma list [E2]', `Bearer ${TOKEN}, Bearer ${TOKEN}`],
    ['a comma list without a second scheme [E2]', `Bearer ${TOKEN},${TOKEN}`],
    ['a comma list that begins with another scheme [E2]', `Basic YTpi, Bearer ${TOKEN}`],
    ['the same in another case and without space [E2]', `Basic YTpi,bearer ${TOKEN}`],
    ['two tokens [E2]', `Bearer ${TOKEN} ${TOKEN}`],
    ['a quoted token [E2]', `Bearer "${TOKEN}"`],
    ['auth-params [E2]', `Bearer realm="x", token="${TOKEN}"`],
    ['an auth-param after the token [E2]', `Bearer ${TOKEN}, realm="x"`],
    ['a tab [E2]', `Bearer\t${TOKEN}`],
    ['a tab after a space [E2]', `Bearer \t${TOKEN}`],
    ['a no-break space [E2]', `Bearer\u00a0${TOKEN}`],
    ['a no-break space after a space [E2]', `Bearer \u00a0${TOKEN}`],
    ['a byte order mark before the token [E2]', `Bearer \ufeff${TOKEN}`],
    ['a latin-1 letter [E2]', `Bearer ${TOKEN}\u00e9`],
    ['a full-width dot [E2]', `Bearer ${TOKEN.replace('.', '\uff0e')}`],
    ['a space after the token', `Bearer ${TOKEN} `],
    ['a line feed after the token', `Bearer ${TOKEN}\n`],
    ['a NUL after the token', `Bearer ${TOKEN}\0`],
    ['a semicolon', `Bearer ${TOKEN};x`],
    ['padding in the middle', 'Bearer YQ==YQ'],
    ['padding alone', 'Bearer =='],
    ['the scheme alone [E3]', 'Bearer'],
    ['the scheme and a space [E3]', 'Bearer '],
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

describe('readBearer bounds its work', () => {
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

describe('a known token', () => {
  const known = new UnverifiedCredential(TOKEN)
  const readKnown = (field: unknown): unknown => read(field, (text) => (text === TOKEN ? known : undefined))

  it('is the existing credential', () => {
    const presented = readBearer(`Bearer ${TOKEN}`, MAX_BYTES, () => known)
    expect(presented.kind === 'token' && presented.credential).toBe(known)
  })

  it('is read the same as an unknown one', () => {
    for (const field of [`Bearer ${TOKEN}`, `bearer ${TOKEN}`, `Bearer  ${TOKEN}`, [`Bearer ${TOKEN}`]])
      expect(readKnown(field)).toEqual(read(field))
  })

  it('does not make a bad field good [E2]', () => {
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

  it('is too large if it exceeds the limit', () => {
    const large = 'a'.repeat(2 * MAX_BYTES)
    expect(read(`Bearer ${large}`, (text) => new UnverifiedCredential(text))).toEqual({ kind: 'too_large' })
  })
})

it('every token that is read matches RFC 6750 §2.1 and stands in its field [E2]', () => {
  const hostile = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom(' ', '\t', ',', '=', TOKEN))
  fc.assert(
    fc.property(fc.constantFrom('Bearer ', 'bearer', 'Bearer', ''), fc.array(hostile), (scheme, parts) => {
      const field = scheme + parts.join('')
      const presented = readBearer(field, MAX_BYTES)
      if (presented.kind !== 'token') return
      const text = presented.credential.reveal()
      expect(text).toMatch(/^[A-Za-z0-9\-._~+/]+=*$/)
      expect(field.toLowerCase()).toMatch(/^bearer +[^ ]+$/)
      expect(field.endsWith(` ${text}`)).toBe(true)
    }),
  )
})
