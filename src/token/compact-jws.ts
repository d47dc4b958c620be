/** Strict reading of the JWS Compact Serialization (RFC 7515 §7.1): one token has one spelling. */

import { isAscii } from 'node:buffer'
import { parseStrictJson } from './strict-json.ts'

/** The two JSON objects of a JWS, not verified. */
export interface DecodedJws {
  readonly header: Readonly<Record<string, unknown>>
  readonly payload: Readonly<Record<string, unknown>>
}

const SHAPE = /^[\w-]+\.[\w-]+\.[\w-]+$/
// The characters whose unused low bits are zero, by how many characters the last group has (RFC 4648 §3.5).
const CANONICAL_LAST: Readonly<Record<number, string>> = { 2: 'AQgw', 3: 'AEIMQUYcgkosw048' }
const LIMITS = { maxDepth: 32, maxMembers: 1_000 }
// A BOM is not JSON white space: kept, so that JSON.parse refuses it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Returns `undefined` for anything that is not a canonical compact JWS over two JSON objects. Never throws. */
export function decodeCompactJws(text: string): DecodedJws | undefined {
  if (!SHAPE.test(text)) return undefined
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  if (!isCanonical(text.slice(second + 1))) return undefined
  const header = decodeHeader(text.slice(0, first))
  if (header === undefined) return undefined
  const payload = decodeJsonObject(text.slice(first + 1, second))
  if (payload === undefined) return undefined
  return { header, payload }
}

/** An issuer writes the same header into all of its tokens: the same object for it, so that others know it as well. */
let latest: { readonly segment: string; readonly header: DecodedJws['header'] } | undefined

function decodeHeader(segment: string): DecodedJws['header'] | undefined {
  if (latest?.segment === segment) return latest.header
  const header = decodeJsonObject(segment)
  if (header !== undefined) latest = { segment, header: Object.freeze(header) }
  return header
}

/** Three segments are a JWS, however wrong; it must not become an opaque token by a wrong character (RFC 7515 §7.1). */
export function isJws(text: string): boolean {
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  return first !== -1 && second !== -1 && text.indexOf('.', second + 1) === -1
}

/** The text that is signed (RFC 7515 §5.1); all of it, where it is no JWS. */
export function signingInputOf(text: string): string {
  return isJws(text) ? text.slice(0, text.lastIndexOf('.')) : text
}

/** The claims of a JWS that {@link decodeCompactJws} has read before. */
export function claimsIn(text: string): Readonly<Record<string, unknown>> {
  return decodeJsonObject(text.slice(text.indexOf('.') + 1, text.lastIndexOf('.'))) ?? {}
}

/** Whether `segment`, of base64url characters, is the one spelling of its bytes (RFC 4648 §3.5). */
export function isCanonical(segment: string): boolean {
  const rest = segment.length % 4
  if (rest === 1) return false
  return rest === 0 || (CANONICAL_LAST[rest] ?? '').includes(segment.charAt(segment.length - 1))
}

/** The JSON object that a header or payload is; `undefined` for anything else. Never throws. */
export function decodeJsonObject(segment: string): Readonly<Record<string, unknown>> | undefined {
  if (!isCanonical(segment)) return undefined
  try {
    const bytes = Buffer.from(segment, 'base64url')
    return parseStrictJson(isAscii(bytes) ? bytes.toString('latin1') : utf8.decode(bytes), LIMITS)
  } catch {
    return undefined
  }
}
