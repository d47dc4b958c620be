/** One token has one spelling (RFC 7515 §2, §3.1 and §7.1; RFC 4648 §3.2 to §3.5). */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { claimsIn, decodeCompactJws, signingInputOf } from '../../src/token/compact-jws.ts'
import { segment } from '../support/signer.ts'

// No segment is a multiple of three bytes, so each one ends in unused bits.
const HEADER = { alg: 'ES256', kid: '1', typ: 'at+jwt' }
const PAYLOAD = { sub: 'alice', n: '??>' }
const SIGNATURE = Buffer.alloc(64, 0xfb).toString('base64url')
const [header, payload] = [segment(HEADER), segment(PAYLOAD)]
const TOKEN = `${header}.${payload}.${SIGNATURE}`

it('decodeCompactJws reads the two objects and the signed text', () => {
  expect(decodeCompactJws(TOKEN)).toEqual({ header: HEADER, payload: PAYLOAD })
  expect([signingInputOf(TOKEN), claimsIn(TOKEN)]).toEqual([`${header}.${payload}`, PAYLOAD])
  expect(['opaque', 'a.b', 'a.b.c.d'].map(signingInputOf)).toEqual(['opaque', 'a.b', 'a.b.c.d'])
})

it('the tokens of this test have unused bits', () => {
  expect([header, payload, SIGNATURE].map((text) => text.length % 4)).not.toContain(0)
})

it('decodeCompactJws checks only the spelling of the signature', () => {
  expect(decodeCompactJws(`${header}.${payload}.AA`)).toBeDefined()
})

/** The same bytes with unused low bits set, which lenient decoders ignore. */
function withTrailingBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.slice(-1)) + 1]
}

type Respelling = readonly [what: string, respell: (segment: string) => string]
const RESPELLINGS: readonly Respelling[] = [
  ['trailing bits', withTrailingBits],
  ['padding', (text) => `${text}${'='.repeat((4 - (text.length % 4)) % 4 || 1)}`],
  ['the alphabet of RFC 4648 §4', (text) => `${text.slice(0, 4)}+/${text.slice(6)}`],
  ['a space', (text) => `${text.slice(0, 4)} ${text.slice(4)}`],
  ['a line break', (text) => `${text.slice(0, 4)}\r\n${text.slice(4)}`],
  ['a NUL', (text) => `${text}\0`],
  ['a question mark', (text) => `${text.slice(0, 4)}?${text.slice(4)}`],
  ['a full-width letter', (text) => `\uff45${text.slice(1)}`],
]
const SEGMENTS = ['header', 'payload', 'signature'] as const

describe.each(SEGMENTS)('decodeCompactJws refuses other spellings of the %s [A15]', (name) => {
  const segments = [header, payload, SIGNATURE]
  const index = SEGMENTS.indexOf(name)

  it.each(RESPELLINGS)('%s', (_, respell) => {
    const respelled = segments.with(index, respell(segments[index] ?? '')).join('.')
    expect(decodeCompactJws(respelled)).toBeUndefined()
  })
})

describe('decodeCompactJws refuses other spellings of the token [A15]', () => {
  it.each([
    ['space before', ` ${TOKEN}`],
    ['space after', `${TOKEN} `],
    ['a line feed after', `${TOKEN}\n`],
    ['a line feed before', `\n${TOKEN}`],
    ['a tab after', `${TOKEN}\t`],
    ['a byte order mark', `\ufeff${TOKEN}`],
    ['a NUL after', `${TOKEN}\0`],
    ['full-width dots', TOKEN.replaceAll('.', '\uff0e')],
    ['one ideographic full stop', TOKEN.replace('.', '\u3002')],
    ['escaped dots', TOKEN.replaceAll('.', '%2e')],
    ['quotes', `"${TOKEN}"`],
    ['a scheme', `Bearer ${TOKEN}`],
  ])('%s', (_, text) => {
    expect(decodeCompactJws(text)).toBeUndefined()
  })

  it('with a length that no base64url text has', () => {
    expect(decodeCompactJws(`${header}.${payload}.AAAAA`)).toBeUndefined()
  })
})

describe('decodeCompactJws refuses anything but three parts [A16]', () => {
  it.each([
    ['no text', ''],
    ['one part', header],
    ['two parts', `${header}.${payload}`],
    ['an unsecured token', `${header}.${payload}.`],
    ['a trailing dot', `${TOKEN}.`],
    ['a leading dot', `.${TOKEN}`],
    ['four parts', `${TOKEN}.AA`],
    ['the five parts of a JWE', `${TOKEN}.AA.AA`],
    ['an empty header', `.${payload}.${SIGNATURE}`],
    ['an empty payload', `${header}..${SIGNATURE}`],
    ['dots alone', '..'],
    ['the flattened JSON serialization', JSON.stringify({ protected: header, payload, signature: SIGNATURE })],
    ['the general JSON serialization', JSON.stringify({ payload, signatures: [{ protected: header }] })],
  ])('%s', (_, text) => {
    expect(decodeCompactJws(text)).toBeUndefined()
  })

  it('a hundred thousand parts', () => {
    expect(decodeCompactJws('a.'.repeat(100_000))).toBeUndefined()
  })
})

const bytes = (...values: readonly (string | number)[]): Uint8Array =>
  Buffer.concat(values.map((value) => (typeof value === 'string' ? Buffer.from(value) : Buffer.from([value]))))

describe.each(['header', 'payload'] as const)('decodeCompactJws refuses a %s that is not', (name) => {
  const tokenWith = (part: string | Uint8Array): string =>
    name === 'header' ? `${segment(part)}.${payload}.${SIGNATURE}` : `${header}.${segment(part)}.${SIGNATURE}`

  it.each([
    ['UTF-8: a lone continuation byte [A22]', bytes('{"a":"', 0x80, '"}')],
    ['UTF-8: an overlong encoding [A22]', bytes('{"a":"', 0xc0, 0xaf, '"}')],
    ['UTF-8: an encoded surrogate [A22]', bytes('{"a":"', 0xed, 0xa0, 0x80, '"}')],
    ['UTF-8: a truncated character [A22]', bytes('{"a":"', 0xe2, 0x82, '"}')],
    ['UTF-8: a byte that never occurs [A22]', bytes('{"a":"', 0xff, '"}')],
    ['UTF-8: but UTF-16 [A22]', Buffer.from('{"a":1}', 'utf16le')],
    ['without a byte order mark [A22]', bytes(0xef, 0xbb, 0xbf, '{"a":1}')],
    ['without a byte order mark of UTF-16 [A22]', bytes(0xff, 0xfe, '{"a":1}')],
    ['an object but an array', '[]'],
    ['an object but an array of objects', '[{"alg":"ES256"}]'],
    ['an object but null', 'null'],
    ['an object but a number', '1'],
    ['an object but a text', '"eyJ9"'],
    ['an object but a boolean', 'true'],
    ['JSON', 'alg=ES256'],
    ['JSON: with something after it', '{}{}'],
    ['JSON: with a comment', '{/**/}'],
    ['JSON: with a NUL after it', '{}\0'],
    ['JSON: with single quotes', "{'a':1}"],
    ['JSON: with NaN', '{"exp":NaN}'],
  ])('%s', (_, part) => {
    expect(decodeCompactJws(tokenWith(part))).toBeUndefined()
  })

  it('JSON of bounded depth', () => {
    expect(decodeCompactJws(tokenWith('['.repeat(200_000)))).toBeUndefined()
  })
})

describe('for every token', () => {
  const json = fc.dictionary(fc.string(), fc.jsonValue())
  const jws = fc
    .tuple(json, json, fc.uint8Array({ minLength: 1, maxLength: 80 }))
    .map(([head, body, signature]) => [segment(head), segment(body), segment(signature)] as const)

  it('decoding returns what was encoded in the canonical spelling [A15]', () => {
    fc.assert(
      fc.property(json, json, (head, body) => {
        const decoded = decodeCompactJws(`${segment(head)}.${segment(body)}.AA`)
        expect(JSON.stringify(decoded?.header)).toBe(JSON.stringify(head))
        expect(JSON.stringify(decoded?.payload)).toBe(JSON.stringify(body))
      }),
    )
  })

  it('one changed character is refused or means other bytes [A15]', () => {
    fc.assert(
      fc.property(
        jws,
        fc.nat(),
        fc.oneof(fc.string({ minLength: 1, maxLength: 1 }), fc.base64String()),
        (parts, at, by) => {
          const token = parts.join('.')
          const index = at % token.length
          const mutated = token.slice(0, index) + by.slice(0, 1) + token.slice(index + 1)
          if (mutated === token || decodeCompactJws(mutated) === undefined) return
          expect(bytesOf(mutated)).not.toEqual(bytesOf(token))
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('any text is refused, or encoding its bytes again gives the same text [A15]', () => {
    fc.assert(
      fc.property(jws, fc.integer({ min: 0, max: 63 }), fc.nat({ max: 2 }), (parts, low, which) => {
        const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
        const text = parts.with(which, (parts[which] ?? '').slice(0, -1) + alphabet[low]).join('.')
        if (decodeCompactJws(text) === undefined) return
        expect(
          bytesOf(text)
            .map((part) => part.toString('base64url'))
            .join('.'),
        ).toBe(text)
      }),
      { numRuns: 2_000 },
    )
  })
})

function bytesOf(token: string): Buffer[] {
  return token.split('.').map((part) => Buffer.from(part, 'base64url'))
}
