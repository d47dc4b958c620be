/** Reads the JWS Compact Serialization strictly (RFC 7515 §7.1): each token has exactly one spelling. */

import { isAscii } from 'node:buffer'
import { parseStrictJson } from './strict-json.ts'

/** The two JSON objects of a JWS. They are not verified. */
export interface DecodedJws {
  readonly header: Readonly<Record<string, unknown>>
  readonly payload: Readonly<Record<string, unknown>>
}

const LIMITS = { maxDepth: 32, maxMembers: 1_000 }
// The decoder keeps a byte order mark, so that JSON.parse refuses it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Returns `undefined` if `text` is not a canonical compact JWS of two JSON objects. Never throws. */
export function decodeCompactJws(text: string): DecodedJws | undefined {
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  if (second === -1 || decodeCanonical(text.slice(second + 1)) === undefined) return undefined
  const header = decodeHeader(text.slice(0, first))
  if (header === undefined) return undefined
  const payload = decodeJsonObject(text.slice(first + 1, second))
  if (payload === undefined) return undefined
  return { header, payload }
}

/**
 * The last decoded header. Issuers write the same header into all their tokens, so its checks can be cached by
 * identity.
 */
let latest: { readonly segment: string; readonly header: DecodedJws['header'] } | undefined

function decodeHeader(segment: string): DecodedJws['header'] | undefined {
  if (latest?.segment === segment) return latest.header
  const header = decodeJsonObject(segment)
  if (header !== undefined) latest = { segment, header: Object.freeze(header) }
  return header
}

/** Returns whether `text` has three segments. A damaged JWS must not count as an opaque token (RFC 7515 §7.1). */
export function isJws(text: string): boolean {
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  return first !== -1 && second !== -1 && text.indexOf('.', second + 1) === -1
}

/** Returns the signed part of a JWS (RFC 7515 §5.1), or all of `text` if it is not a JWS. */
export function signingInputOf(text: string): string {
  return isJws(text) ? text.slice(0, text.lastIndexOf('.')) : text
}

/** Returns the claims of a JWS that {@link decodeCompactJws} has already accepted. */
export function claimsIn(text: string): Readonly<Record<string, unknown>> {
  return decodeJsonObject(text.slice(text.indexOf('.') + 1, text.lastIndexOf('.'))) ?? {}
}

/**
 * Returns the bytes of a base64url `segment`; `undefined` if it is empty, or not their canonical spelling (RFC 4648
 * §3.5). Encoding them again is the whole proof, and the decoder need not be a strict one.
 */
export function decodeCanonical(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return bytes.length > 0 && bytes.toString('base64url') === segment ? bytes : undefined
}

/** Returns the JSON object of a header or payload, or `undefined` if it is not one. Never throws. */
export function decodeJsonObject(segment: string): Readonly<Record<string, unknown>> | undefined {
  const bytes = decodeCanonical(segment)
  if (bytes === undefined) return undefined
  try {
    return parseStrictJson(isAscii(bytes) ? bytes.toString('latin1') : utf8.decode(bytes), LIMITS)
  } catch {
    return undefined
  }
}
