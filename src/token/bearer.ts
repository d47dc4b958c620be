/** Reads the one bearer token of an `Authorization` field (RFC 6750 §2.1, RFC 9110 §11.4). */

/** What a carrier presented: nothing for us, something malformed, too much, or exactly one token. */
export type Presented =
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'token'; readonly text: string }

const NONE: Presented = { kind: 'none' }
const MALFORMED: Presented = { kind: 'malformed' }
const TOO_LARGE: Presented = { kind: 'too_large' }

/** `Bearer` with room for a few spaces; what is longer than this beyond the token cannot be one credential. */
const SCHEME_ALLOWANCE = 16
const SCHEME = /^bearer(?![!#$%&'*+\-.^_`|~0-9a-z])/i
const CREDENTIALS = /^bearer +([\w\-.~+/]+=*)$/i

/**
 * Accepts exactly one field value. Two values, a comma list, or anything else that is not `Bearer 1*SP b64token` is
 * malformed rather than "the first one wins": a proxy in front may have looked at another one. Other schemes are not ours.
 */
export function readBearer(field: unknown, maxTokenBytes: number): Presented {
  if (field === undefined || field === null) return NONE
  const value = Array.isArray(field) ? (field.length === 1 ? field[0] : field.length === 0 ? undefined : null) : field
  if (value === undefined) return NONE
  if (typeof value !== 'string') return MALFORMED
  if (!SCHEME.test(value)) return /,\s*bearer/i.test(value.slice(0, maxTokenBytes)) ? MALFORMED : NONE
  if (value.length > maxTokenBytes + SCHEME_ALLOWANCE) return TOO_LARGE
  const text = CREDENTIALS.exec(value)?.[1]
  return text === undefined ? MALFORMED : { kind: 'token', text }
}
