/** JSON as a token may use it: an object, no member twice, not too deep, not too wide (RFC 7519 §4, RFC 8725 §2.6). */

/** What a token may hold. Real access tokens stay far below; parsers of attackers' documents do not. */
export interface JsonLimits {
  readonly maxDepth: number
  /** Most members or elements in one object or array. */
  readonly maxMembers: number
}

/** Returns the object, or `undefined` where `text` is not one or breaks a limit. Never throws. */
export function parseStrictJson(text: string, limits: JsonLimits): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return obeys(text, limits) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** An object or array that is open at a position of the text. */
interface Level {
  /** The names seen so far; `undefined` in an array. */
  readonly names: Set<string> | undefined
  size: number
}

const QUOTE = 34
const BACKSLASH = 92
const COMMA = 44
const OPEN_BRACE = 123
const CLOSE_BRACE = 125
const OPEN_BRACKET = 91
const CLOSE_BRACKET = 93
const COLON = 58

/**
 * Walks over text that is known to be JSON. `JSON.parse` keeps the last of two members with one name while others keep
 * the first, so that a token with both would say different things to different readers.
 */
function obeys(text: string, limits: JsonLimits): boolean {
  const levels: Level[] = []
  // Where the string before `at` begins and ends: only those before a colon are names.
  let [start, end] = [0, 0]
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      start = at
      end = endOfString(text, at)
      at = end
    } else if (code === COLON) {
      const names = levels[levels.length - 1]?.names
      if (names === undefined || !remember(names, text.slice(start, end + 1))) return false
    } else if (!step(code, levels, limits)) {
      return false
    }
  }
  return true
}

/** Takes in one character outside of strings that is no colon. Returns false where a rule is broken. */
function step(code: number, levels: Level[], { maxDepth, maxMembers }: JsonLimits): boolean {
  const level = levels[levels.length - 1]
  switch (code) {
    case COMMA:
      if (level === undefined) return false
      level.size += 1
      return level.size < maxMembers
    case OPEN_BRACE:
    case OPEN_BRACKET:
      levels.push({ names: code === OPEN_BRACE ? new Set() : undefined, size: 0 })
      return levels.length <= maxDepth
    case CLOSE_BRACE:
    case CLOSE_BRACKET:
      levels.pop()
      return true
    default:
      return true
  }
}

/** The next quote ends the string, unless an odd number of backslashes stands before it. */
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

/** Compares names as they are decoded: `"\u0065xp"` is `"exp"`. */
function remember(names: Set<string>, literal: string): boolean {
  const name = literal.includes('\\') ? (JSON.parse(literal) as string) : literal.slice(1, -1)
  if (names.has(name)) return false
  names.add(name)
  return true
}
