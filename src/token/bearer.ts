/** Reads and writes the single token of a field: `Authorization` (RFC 6750 §2.1, RFC 9110 §11.4), or a bare one. */

import { UnverifiedCredential } from './credential.ts'
import type { VerifiedCredential } from './verified-credential.ts'

/**
 * What an `Authorization` field holds: no bearer token, malformed credentials, too many bytes, or exactly one token.
 */
export type Presented =
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed'; readonly found?: string }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'token'; readonly credential: UnverifiedCredential }

const NONE: Presented = { kind: 'none' }
const MALFORMED: Presented = { kind: 'malformed' }
const TOO_LARGE: Presented = { kind: 'too_large' }

/** Finds the credential of a known token by its exact text. */
export type FindPresented = (text: string) => UnverifiedCredential | undefined

/** The usual spelling, which nearly all clients send. */
const USUAL = 'Bearer '
/** Room for `Bearer` and a few spaces beside the token; a longer field is not one credential. */
const SCHEME_ALLOWANCE = 16
const SCHEME = /^bearer(?![!#$%&'*+\-.^_`|~0-9a-z])/i
const CREDENTIALS = /^bearer +([\w\-.~+/]+=*)$/i

/**
 * Accepts exactly one field value. Two values, a comma-separated list, or anything else that is not `Bearer 1*SP
 * b64token` is malformed. The first value does not win, because a proxy may have checked another one. Other schemes are
 * ignored.
 */
export function readBearer(field: unknown, maxTokenBytes: number, findPresented?: FindPresented): Presented {
  if (field === undefined || field === null) return NONE
  if (typeof field !== 'string') return readList(field, maxTokenBytes, readValue)
  const known = findPresented === undefined ? undefined : findKnown(field, maxTokenBytes, findPresented)
  return known === undefined ? readValue(field, maxTokenBytes) : { kind: 'token', credential: known }
}

/** Comparing with a known token is much faster than checking every character. */
function findKnown(
  field: string,
  maxTokenBytes: number,
  findPresented: FindPresented,
): UnverifiedCredential | undefined {
  const isUsual = field.startsWith(USUAL) && field.length <= maxTokenBytes
  return isUsual ? findPresented(field.slice(USUAL.length)) : undefined
}

const NOT_BARE: Presented = { kind: 'malformed', found: 'the field is not one token alone' }
const BARE = /^[\w\-.~+/]+=*$/

/**
 * The same for a field that holds nothing but the token (`ingress.header`). A scheme before it is malformed, as are two
 * values, a list and an empty one.
 */
export function readBare(field: unknown, maxTokenBytes: number, findPresented: FindPresented): Presented {
  if (field === undefined || field === null) return NONE
  if (typeof field !== 'string') return readList(field, maxTokenBytes, readBareValue)
  const known = field.length <= maxTokenBytes ? findPresented(field) : undefined
  return known === undefined ? readBareValue(field, maxTokenBytes) : { kind: 'token', credential: known }
}

function readBareValue(value: string, maxTokenBytes: number): Presented {
  if (value.length > maxTokenBytes) return TOO_LARGE
  return BARE.test(value) ? { kind: 'token', credential: new UnverifiedCredential(value) } : NOT_BARE
}

function readList(field: unknown, maxTokenBytes: number, read: typeof readValue): Presented {
  if (!Array.isArray(field)) return MALFORMED
  const [value] = field.length === 1 ? [field[0] as unknown] : []
  if (value === undefined) return field.length < 2 ? NONE : MALFORMED
  return typeof value === 'string' ? read(value, maxTokenBytes) : MALFORMED
}

function readValue(value: string, maxTokenBytes: number): Presented {
  if (!SCHEME.test(value)) return /,\s*bearer/i.test(value.slice(0, maxTokenBytes)) ? MALFORMED : NONE
  if (value.length > maxTokenBytes + SCHEME_ALLOWANCE) return TOO_LARGE
  const text = CREDENTIALS.exec(value)?.[1]
  return text === undefined ? MALFORMED : { kind: 'token', credential: new UnverifiedCredential(text) }
}

/**
 * Returns the field value that sends a token. Only a verified token may leave, and only this function writes the field.
 */
export function writeBearer(credential: VerifiedCredential): string {
  return `${USUAL}${credential.reveal()}`
}
