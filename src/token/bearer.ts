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

/** A text as it is remembered, where it is known to be a token: it need not be looked at letter by letter again. */
export type Recognize = (text: string) => string | undefined

/** As nearly everybody writes it. */
const USUAL = 'Bearer '
/** `Bearer` with room for a few spaces; what is longer than this beyond the token cannot be one credential. */
const SCHEME_ALLOWANCE = 16
const SCHEME = /^bearer(?![!#$%&'*+\-.^_`|~0-9a-z])/i
const CREDENTIALS = /^bearer +([\w\-.~+/]+=*)$/i

/**
 * Accepts exactly one field value. Two values, a comma list, or anything else that is not `Bearer 1*SP b64token` is
 * malformed rather than "the first one wins": a proxy in front may have looked at another one. Other schemes are not ours.
 */
export function readBearer(field: unknown, maxTokenBytes: number, recognize?: Recognize): Presented {
  if (field === undefined || field === null) return NONE
  if (typeof field !== 'string') return readList(field, maxTokenBytes)
  const known = recognize === undefined ? undefined : knownIn(field, maxTokenBytes, recognize)
  return known === undefined ? readValue(field, maxTokenBytes) : { kind: 'token', text: known }
}

function knownIn(field: string, maxTokenBytes: number, recognize: Recognize): string | undefined {
  return field.startsWith(USUAL) && field.length <= maxTokenBytes ? recognize(field.slice(USUAL.length)) : undefined
}

function readList(field: unknown, maxTokenBytes: number): Presented {
  if (!Array.isArray(field)) return MALFORMED
  const [value] = field.length === 1 ? [field[0] as unknown] : []
  if (value === undefined) return field.length < 2 ? NONE : MALFORMED
  return typeof value === 'string' ? readValue(value, maxTokenBytes) : MALFORMED
}

function readValue(value: string, maxTokenBytes: number): Presented {
  if (!SCHEME.test(value)) return /,\s*bearer/i.test(value.slice(0, maxTokenBytes)) ? MALFORMED : NONE
  if (value.length > maxTokenBytes + SCHEME_ALLOWANCE) return TOO_LARGE
  const text = CREDENTIALS.exec(value)?.[1]
  return text === undefined ? MALFORMED : { kind: 'token', text }
}
