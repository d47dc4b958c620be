/** Decodes the escapes of URLs, JSON, JavaScript, HTML and mail: mixed, and nested to any depth. */

import { DIGITS, digitAt, NO_DIGIT, TOKEN_CHARACTERS } from './characters.ts'

const [
  NUL,
  LF,
  CR,
  HASH,
  PERCENT,
  AMPERSAND,
  SLASH,
  ZERO,
  SEMICOLON,
  EQUALS,
  BACKSLASH,
  A,
  M,
  P,
  U,
  X,
  OPEN_BRACE,
  CLOSE_BRACE,
] = [
  0x00, 0x0a, 0x0d, 0x23, 0x25, 0x26, 0x2f, 0x30, 0x3b, 0x3d, 0x5c, 0x61, 0x6d, 0x70, 0x75, 0x78, 0x7b, 0x7d,
] as const

/** Replaces decoded characters that no token has. */
const SEPARATOR = 0x20

/** Lines of base64 have 64 characters in PEM (RFC 7468 §2), 76 in mail (RFC 2045 §6.8), and 60 in some programs. */
const [MIN_LINE, MAX_LINE] = [60, 76] as const

/** As many as five levels of JSON in JSON need. */
const MAX_BACKSLASHES = 31

/** The characters that an escape may begin with, except those that join lines; and those that may come next. */
const STARTS: readonly (readonly [code: number, next: RegExp])[] = [
  [NUL, /./s],
  [PERCENT, /[\da-f]/i],
  [AMPERSAND, /[#a]/],
  [BACKSLASH, /[\\ux/0-7]/],
]
/** A bit for each of them. */
const START = new Uint8Array(256)
for (const [number, [code]] of STARTS.entries()) START[code] = 1 << number
const NEXT = Uint8Array.from({ length: 256 }, (_, code) => {
  return STARTS.reduce((bits, [, next], number) => bits | (Number(next.test(String.fromCharCode(code))) << number), 0)
})

/** Finds the places in a text where an escape may begin. Kept for the next text, since a new one takes longer. */
export interface EscapeStarts {
  /** Begins with another text. */
  begin(text: Buffer, length: number): void
  /** Returns the next place at `from` or later, or the length of the text. `from` grows from call to call. */
  next(from: number): number
}

export function createEscapeStarts(): EscapeStarts {
  return new Starts()
}

/** So many characters are looked at in a loop; if many more follow, native searches are faster. */
const [NEAR, MANY] = [64, 1_024] as const

/** Keeps the next place of each character that is not near: most texts have none. */
class Starts implements EscapeStarts {
  #text: Buffer = Buffer.alloc(0)
  #length = 0
  #far: { readonly text: Buffer; readonly places: number[] } | undefined

  begin(text: Buffer, length: number): void {
    this.#text = text
    this.#length = length
    this.#far = undefined
  }

  next(from: number): number {
    let at = from
    while (at < this.#length) {
      const end = this.#length - at > MANY ? at + NEAR : this.#length
      at = nextStart(this.#text, at, end)
      if (at < end) return at
      if (at < this.#length) at = this.#nextFar(at)
    }
    return at
  }

  #nextFar(from: number): number {
    this.#far ??= { text: this.#text.subarray(0, this.#length), places: STARTS.map(() => -1) }
    const { text, places } = this.#far
    for (const [number, [code]] of STARTS.entries()) {
      if ((places[number] as number) >= from) continue
      const place = text.indexOf(code, from)
      places[number] = place === -1 ? this.#length : place
    }
    return Math.min(...places)
  }
}

/** Tests four characters at once. */
function nextStart(text: Buffer, from: number, end: number): number {
  let at = from
  while (at < end) {
    while (
      at + 4 <= end &&
      (startAt(text, at) | startAt(text, at + 1) | (startAt(text, at + 2) | startAt(text, at + 3))) === 0
    )
      at += 4
    const last = Math.min(at + 4, end)
    for (; at < last; at += 1) if ((startAt(text, at) & (NEXT[text[at + 1] as number] as number)) !== 0) return at
  }
  return end
}

function startAt(text: Buffer, at: number): number {
  return START[text[at] as number] as number
}

/** Whether `text` has an escape at `at`. */
export function isEscape(text: Buffer, at: number): boolean {
  // JSON in JSON has several backslashes in a row: the first one is read together with the others.
  if (text[at] === BACKSLASH && text[at - 1] === BACKSLASH) return false
  return readEscape(text, at, 0) !== NONE
}

/** A decoded part of a text: its end, and the number of decoded characters. Kept, since escapes are many. */
export interface Unescaped {
  to: number
  length: number
}

/**
 * Decodes the run that begins at `from` and has its first escape at `at`; returns `false` if there is no escape. Reads
 * no more than `length` characters of `text`, and writes to `target`.
 */
export function decodeEscapes(
  text: Buffer,
  length: number,
  from: number,
  at: number,
  target: Buffer,
  unescaped: Unescaped,
): boolean {
  if (readEscape(text, at, at - from) === NONE) return false
  let count = 0
  let line = from
  let to = from
  while (to < length) {
    // The space behind the end is no character of a token, so that the end needs no check: a seventh of the search.
    while (TOKEN_CHARACTERS[text[to] as number] === 1) target[count++] = text[to++] as number
    const byte = text[to] === PERCENT ? simplePercent(text, to) : NONE
    if (byte !== NONE) {
      target[count++] = byte
      to += 3
      continue
    }
    const read = readOther(text, to, to - line)
    if (read === NONE) break
    const value = valueIn(read)
    if (value !== NUL) target[count++] = value
    to += lengthIn(read)
    if (value === NUL && text[to - 1] === LF) line = to
  }
  unescaped.to = to
  unescaped.length = count
  return true
}

/**
 * A decoded character as one number, so that nothing is allocated: the length of its source, and above that its value.
 */
const NONE = 0
const LENGTH_BITS = 24
const packed = (length: number, value: number): number =>
  ((value < 128 ? value : SEPARATOR) << LENGTH_BITS) | Math.min(length, (1 << LENGTH_BITS) - 1)
const lengthIn = (read: number): number => read & ((1 << LENGTH_BITS) - 1)
const valueIn = (read: number): number => read >>> LENGTH_BITS

function readOther(text: Buffer, at: number, column: number): number {
  const read = readEscape(text, at, column)
  return read === NONE && text[at] === EQUALS ? packed(1, EQUALS) : read
}

/** Reads the escape at `at`, in a line that has `column` characters so far. */
function readEscape(text: Buffer, at: number, column: number): number {
  switch (text[at]) {
    case PERCENT:
      return readPercent(text, at)
    case BACKSLASH:
      return readBackslash(text, at)
    case AMPERSAND:
      return readEntity(text, at)
    case EQUALS:
      return readQuoted(text, at)
    case NUL:
      return packed(1, NUL)
    case CR:
    case LF:
      return readLineBreak(text, at, column)
    default:
      return NONE
  }
}

/**
 * Returns the value of the most frequent escapes, and {@link NONE} for the others. Without the checks of
 * {@link digitAt}, which take 4 % of the search of such text: a text has a margin behind its end, so that both places
 * can be read.
 */
function simplePercent(text: Buffer, at: number): number {
  const value = ((DIGITS[text[at + 1] as number] as number) << 4) | (DIGITS[text[at + 2] as number] as number)
  return value < 128 && value !== PERCENT ? value : NONE
}

/** RFC 3986 §2.1. `%25` is a percent sign, and may begin another escape. */
function readPercent(text: Buffer, at: number): number {
  let digits = at + 1
  while (text[digits] === 0x32 && text[digits + 1] === 0x35) digits += 2
  const value = readHex(text, digits)
  if (value !== NO_DIGIT) return packed(digits + 2 - at, value)
  return digits === at + 1 ? NONE : packed(digits - at, PERCENT)
}

/** Returns the value of two digits, or {@link NO_DIGIT}. */
function readHex(text: Buffer, at: number): number {
  const [high, low] = [digitAt(text, at), digitAt(text, at + 1)]
  if (high === NO_DIGIT || low === NO_DIGIT) return NO_DIGIT
  return high < 8 ? high * 16 + low : SEPARATOR
}

/** RFC 8259 §7, ECMAScript §12.9.4, C. JSON in JSON escapes the backslash with backslashes. */
function readBackslash(text: Buffer, at: number): number {
  let i = at + 1
  while (text[i] === BACKSLASH && i - at < MAX_BACKSLASHES) i += 1
  switch (text[i]) {
    case U:
      return readUnicode(text, at, i + 1)
    case X:
      return readHexEscape(text, at, i + 1, i + 3)
    case SLASH:
      return packed(i + 1 - at, SLASH)
    default:
      return readOctal(text, at, i)
  }
}

/** `\u0065` and `\u{65}`. */
function readUnicode(text: Buffer, at: number, digits: number): number {
  if (text[digits] === OPEN_BRACE) {
    let i = digits + 1
    while (text[i] === ZERO) i += 1
    return text[i + 2] === CLOSE_BRACE ? readHexEscape(text, at, i, i + 3) : NONE
  }
  const high = readHex(text, digits)
  if (high === NO_DIGIT || readHex(text, digits + 2) === NO_DIGIT) return NONE
  return high === 0 ? readHexEscape(text, at, digits + 2, digits + 4) : packed(digits + 4 - at, SEPARATOR)
}

function readHexEscape(text: Buffer, at: number, digits: number, end: number): number {
  const value = readHex(text, digits)
  return value === NO_DIGIT ? NONE : packed(end - at, value)
}

/** `\145`, and `\0`. */
function readOctal(text: Buffer, at: number, from: number): number {
  let value = 0
  let i = from
  while (i < from + 3 && digitAt(text, i) < 8) {
    value = value * 8 + digitAt(text, i)
    i += 1
  }
  return i === from ? NONE : packed(i - at, value)
}

/** `&#101;` and `&#x65;`. In HTML in HTML the ampersand is `&amp;`. */
function readEntity(text: Buffer, at: number): number {
  let i = at + 1
  while (text[i] === A && text[i + 1] === M && text[i + 2] === P && text[i + 3] === SEMICOLON) i += 4
  if (text[i] !== HASH) return NONE
  const isHex = ((text[i + 1] ?? 0) | 0x20) === X
  const radix = isHex ? 16 : 10
  const from = isHex ? i + 2 : i + 1
  let value = 0
  for (i = from; digitAt(text, i) < radix; i += 1) value = Math.min(value * radix + digitAt(text, i), SEPARATOR * 8)
  if (i === from) return NONE
  return packed((text[i] === SEMICOLON ? i + 1 : i) - at, value)
}

/**
 * RFC 2045 §6.7. An equals sign before two digits is an escape only next to others: parameters that begin with two
 * digits are more frequent.
 */
function readQuoted(text: Buffer, at: number): number {
  const next = text[at + 1]
  if (next === LF) return packed(2, NUL)
  if (next === CR && text[at + 2] === LF) return packed(3, NUL)
  const isEscaped = text[at + 3] === EQUALS || text[at - 3] === EQUALS
  return isEscaped ? readHexEscape(text, at, at + 1, at + 3) : NONE
}

/** Reads a line break that a program inserted because the line was full. */
function readLineBreak(text: Buffer, at: number, column: number): number {
  if (column < MIN_LINE || column > MAX_LINE) return NONE
  const end = text[at] === CR && text[at + 1] === LF ? at + 2 : at + 1
  return TOKEN_CHARACTERS[text[end] ?? SEPARATOR] === 1 ? packed(end - at, NUL) : NONE
}
