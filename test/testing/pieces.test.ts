/** The search of canary mode and the rigs finds twelve characters of a token in any usual encoding [G10]. */

import { expect, it } from 'vitest'
import { createCanaries } from '../../src/testing/pieces.ts'

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaWQifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg'
const PIECE = TOKEN.slice(30, 46)
const each = (text: string, sign: (code: number) => string): string =>
  [...text].map((char) => sign(char.charCodeAt(0))).join('')
const hex = (code: number): string => code.toString(16)
const percent = each(PIECE, (code) => `%${hex(code)}`)

it.each([
  ['as it is', PIECE],
  ['percent-encoded', percent],
  ['percent-encoded twice', encodeURIComponent(percent)],
  ['escaped', each(PIECE, (code) => `\\u00${hex(code)}`)],
  ['escaped', each(PIECE, (code) => `\\x${hex(code)}`)],
  ['HTML entities', each(PIECE, (code) => `&#${code};`)],
  ['hexadecimal HTML entities', each(PIECE, (code) => `&#x${hex(code)};`)],
  ['quoted-printable', each(PIECE, (code) => `=${hex(code).toUpperCase()}`)],
  ['quoted-printable', `${PIECE.slice(0, 8)}=\r\n${PIECE.slice(8)}`],
  ['base64', Buffer.from(`x${PIECE}`).toString('base64')],
  ['base64', Buffer.from(PIECE).toString('base64url')],
  ['base64 of base64', Buffer.from(Buffer.from(TOKEN).toString('base64')).toString('base64')],
  ['hexadecimal', `a${Buffer.from(PIECE).toString('hex')}`],
  ['hexadecimal, with separators', each(PIECE, (code) => `${hex(code)} `).trim()],
  ['list of bytes', JSON.stringify([...Buffer.from(PIECE)])],
  ['UTF-16', Buffer.from(PIECE, 'utf16le').toString('latin1')],
])('finds sixteen characters of a token %s [G13]', (encoding, text) => {
  const canaries = createCanaries()
  canaries.add(TOKEN, 'marker-of-this-token')
  expect(canaries.find(`GET /?q=${text}&r=1 HTTP/1.1`)?.encoding).toBe(encoding)
  expect(canaries.find('GET /?q=marker-of-this-token HTTP/1.1')?.encoding).toBe('as it is')
  expect(canaries.find(`GET /?q=${TOKEN.slice(30, 41)} HTTP/1.1`)).toBeUndefined()
})

it('finds base64 with a line break in the middle of the piece [G13]', () => {
  const canaries = createCanaries()
  canaries.add(TOKEN)
  const text = Buffer.from(`${'.'.repeat(36)}${PIECE}${'.'.repeat(40)}`).toString('base64')
  expect(canaries.find(`${text.slice(0, 60)}\r\n${text.slice(60)}`)?.encoding).toBe('base64 in lines')
})
