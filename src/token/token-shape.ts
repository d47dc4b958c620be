/** Finds tokens where none belong: a compact JWS or JWE, whatever stands around it. */

/** What a compact serialization (RFC 7515 §7.1, RFC 7516 §7.1) is made of; everything else separates words. */
const SEPARATORS = /[^\w\-.]+/

/** The shortest header, `{"alg":""}`, and two dots. */
const MIN_LENGTH = 16

/** The baggage field itself, and a value that was encoded for two layers more. */
const MAX_DECODINGS = 3

/** Whether a token stands somewhere in `text`, percent-encoded or not. In linear time. */
export function holdsToken(text: string): boolean {
  if (text.length < MIN_LENGTH) return false
  let read = text
  for (let decodings = 0; ; decodings += 1) {
    if (read.split(SEPARATORS).some(isToken)) return true
    const decoded = decodings < MAX_DECODINGS ? decodePercent(read) : read
    if (decoded === read) return false
    read = decoded
  }
}

/** Three segments or more, of which one that two others follow is a JOSE header. */
function isToken(word: string): boolean {
  const segments = word.split('.')
  return segments.some((segment, index) => index + 2 < segments.length && isJoseHeader(segment))
}

/** Every JWS and JWE says its `alg` (RFC 7515 §4.1.1). */
function isJoseHeader(segment: string): boolean {
  // Something may be glued to the front. `eyJ` is how `{"` begins.
  const start = segment.startsWith('e') ? 0 : segment.indexOf('eyJ')
  if (start === -1) return false
  const json = Buffer.from(segment.slice(start), 'base64url').toString('latin1')
  return json.startsWith('{') && json.includes('"alg"')
}

/** Never fails, unlike `decodeURIComponent`: the characters of a token are ASCII, and the others do not matter. */
function decodePercent(text: string): string {
  return text.replace(/%([\da-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
}
