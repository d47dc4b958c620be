/** Parses the JSON of a token: an object without duplicate members and within limits (RFC 7519 §4, RFC 8725 §2.6). */

/** Limits that bound the work on a document of an attacker. Real access tokens stay far below them. */
export interface JsonLimits {
  readonly maxDepth: number
  /** Most members or elements in one object or array. */
  readonly maxMembers: number
}

/** Returns the object, or `undefined` if `text` is not an object or exceeds a limit. Never throws. */
export function parseStrictJson(text: string, limits: JsonLimits): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    // `JSON.parse` keeps the last of two members with the same name and other parsers keep the first, so a token with
    // both would mean different things to different readers. In the text each member has a colon; of two, one is left.
    return countMembers(value, 1, limits) === countColons(text) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** The members of all objects in `value`; `NaN`, which is equal to no number, if a limit is exceeded. */
function countMembers(value: object, depth: number, limits: JsonLimits): number {
  const isArray = Array.isArray(value)
  const members: readonly unknown[] = isArray ? value : Object.values(value)
  if (depth > limits.maxDepth || members.length > limits.maxMembers) return Number.NaN
  let count = isArray ? 0 : members.length
  for (const member of members) {
    if (typeof member === 'object' && member !== null) count += countMembers(member, depth + 1, limits)
  }
  return count
}

const QUOTE = 34
const BACKSLASH = 92
const COLON = 58

/** Counts the colons of valid JSON that stand outside of strings. */
function countColons(text: string): number {
  let colons = 0
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at)
    else if (code === COLON) colons += 1
  }
  return colons
}

/** The next quote ends the string unless an odd number of backslashes precedes it. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (text.charCodeAt(end - 1) === BACKSLASH && isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end
}

function isEscaped(text: string, at: number): boolean {
  let before = at - 1
  while (text.charCodeAt(before) === BACKSLASH) before -= 1
  return (at - before) % 2 === 0
}
