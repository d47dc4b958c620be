/** Recognizes a compact JWS or JWE (RFC 7515 §7.1, RFC 7516 §7.1) by its header, whatever text touches it. */

/**
 * The beginning of a JSON object in base64url: `{` and a quote, or white space (RFC 8259 §2). A word may come right
 * before it, so a header may begin at each occurrence.
 */
const HEADER_START = /e(?:y[A-DI-L]|w[k-r0-3])/g

/** A character that is not base64url, which ends a header. */
const HEADER_END = /[^\w-]/g

/** `{"alg":""}` in base64url. */
const MIN_HEADER = 14

/** Some encoders add padding (RFC 7515 §2 forbids it). */
const PADDED_DOT = /^={0,2}\./

/** Every JWS and JWE has an `alg` (RFC 7515 §4.1.1); JSON may spell the name with escapes. */
const ALG = /"(?:a|\\u0061)(?:l|\\u006c)(?:g|\\u0067)"/i

/** Whether `run`, which has no separators, holds a header and two more segments. Takes linear time. */
export function holdsCompactToken(run: string): boolean {
  const last = run.lastIndexOf('.')
  const dot = last > 0 ? run.lastIndexOf('.', last - 1) : -1
  if (dot <= 0) return false
  let end = 0
  let alignments = 0
  for (const { index } of run.matchAll(HEADER_START)) {
    if (index > dot) return false
    if (index >= end) {
      end = endOfHeader(run, index)
      alignments = 0
    }
    // Four characters are three bytes: a header that begins a multiple of four later was decoded with the earlier one.
    const alignment = 1 << (index & 3)
    if ((alignments & alignment) !== 0) continue
    alignments |= alignment
    if (end - index < MIN_HEADER || end > dot) continue
    if (PADDED_DOT.test(run.slice(end, end + 3)) && isHeader(run.slice(index, end))) return true
  }
  return false
}

function endOfHeader(run: string, from: number): number {
  HEADER_END.lastIndex = from
  return HEADER_END.exec(run)?.index ?? run.length
}

function isHeader(segment: string): boolean {
  const json = Buffer.from(segment, 'base64url').toString('latin1')
  return json.startsWith('{') && ALG.test(json)
}
