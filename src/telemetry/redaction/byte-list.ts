/** Lists of bytes as programs print them: `[101,121]`, `<Buffer 65 79>`, `65:79`, `{"0":101,"1":121}`. */

import { digitAt, MIN_FRAGMENT, TOKEN_CHARACTERS } from './characters.ts'

const [QUOTE, APOSTROPHE, COLON, PADDING, X] = [0x22, 0x27, 0x3a, 0x3d, 0x78] as const
const [OCTAL, DECIMAL, HEXADECIMAL] = [8, 10, 16] as const

/** Characters between two bytes of a list; text with more between two numbers is no list. */
const MAX_GAP = 64
/** Two digits for each byte of a fragment, and what separates them. */
export const MIN_LIST = 3 * MIN_FRAGMENT - 1
/** Every list is longer, so one place in so many is looked at. */
const STEP = 32
/** Longer numbers are no bytes. */
const MAX_DIGITS = 4

/** Calls `visit` with the bounds of all lists of bytes that may hold a fragment of a token. Takes linear time. */
export function forEachByteList(text: Buffer, length: number, visit: (from: number, to: number) => void): void {
  let done = 0
  let next = STEP - 1
  for (let at = nextSample(text, next, length); at < length; at = nextSample(text, next, length)) {
    next = Math.max(at + STEP, done)
    if (at < done) continue
    const start = startOfRun(text, at, done)
    const end = endOfRun(text, start, length)
    next = Math.max(next, start)
    if (!isInList(text, start, end)) continue
    let from = start
    let to = end
    let count = 0
    for (let before = start; before !== NONE; before = runBefore(text, before, done)) {
      from = before
      count += 1
    }
    for (let after = start; after !== NONE; after = runAfter(text, to, length)) {
      to = endOfRun(text, after, length)
      count += 1
    }
    done = to
    if (count >= MIN_FRAGMENT) visit(from, to)
  }
}

/** Digits of a number, and what separates two. */
const [DIGIT, GAP] = [1, 2] as const
const SAMPLES = TOKEN_CHARACTERS.map((isPart, code) => {
  if (isPart === 0) return code < 128 ? GAP : 0
  return /[\da-fx]/i.test(String.fromCharCode(code)) ? DIGIT : 0
})

/** Returns the next step that may be in a list. */
function nextSample(text: Buffer, from: number, length: number): number {
  let at = from
  while (at < length && !mayBeInList(text, at)) at += STEP
  return at
}

function mayBeInList(text: Buffer, at: number): boolean {
  const sample = SAMPLES[text[at] as number] as number
  return sample === GAP || (sample === DIGIT && !isLong(text, at + 1))
}

/** Whether the next {@link MAX_DIGITS} characters are no end of a number. */
function isLong(text: Buffer, at: number): boolean {
  const first = (TOKEN_CHARACTERS[text[at] as number] as number) & (TOKEN_CHARACTERS[text[at + 1] as number] as number)
  const second =
    (TOKEN_CHARACTERS[text[at + 2] as number] as number) & (TOKEN_CHARACTERS[text[at + 3] as number] as number)
  return (first & second) === 1
}

const NONE = -1

/** Returns the start of the run at `at`, or else of the next one. */
function startOfRun(text: Buffer, at: number, min: number): number {
  let start = at
  while (TOKEN_CHARACTERS[text[start] ?? 0] !== 1 && start - at < MAX_GAP && start < text.length) start += 1
  if (start > at) return start
  while (start > min && TOKEN_CHARACTERS[text[start - 1] as number] === 1 && at - start <= MAX_DIGITS) start -= 1
  return start
}

/** Returns the end of a run, or a place soon after {@link MAX_DIGITS} if the run is longer. */
function endOfRun(text: Buffer, start: number, length: number): number {
  let end = start
  while (end < length && TOKEN_CHARACTERS[text[end] as number] === 1 && end - start <= MAX_DIGITS) end += 1
  return end
}

/** Returns the start of the next number of the list, or {@link NONE}. */
function runAfter(text: Buffer, end: number, length: number): number {
  let start = end
  while (start < length && TOKEN_CHARACTERS[text[start] as number] !== 1) start += 1
  if (start === length || start - end > MAX_GAP) return NONE
  return isInList(text, start, endOfRun(text, start, length)) ? start : NONE
}

/** Returns the start of the previous number of the list, or {@link NONE}. */
function runBefore(text: Buffer, start: number, min: number): number {
  let end = start
  while (end > min && TOKEN_CHARACTERS[text[end - 1] as number] !== 1) end -= 1
  if (end === min || start - end > MAX_GAP) return NONE
  const before = startOfRun(text, end - 1, min)
  return isInList(text, before, end) ? before : NONE
}

function isInList(text: Buffer, from: number, to: number): boolean {
  return isByte(text, from, to) || isIndex(text, from, to)
}

/**
 * Whether the text between `from` and `to` is a number, in one of three notations, that encodes a character of a token.
 */
function isByte(text: Buffer, from: number, to: number): boolean {
  const first = digitAt(text, from)
  if (first >= HEXADECIMAL || to - from > 4) return false
  const second = digitAt(text, from + 1)
  if (to - from === 2) return isTokenCharacter(HEXADECIMAL, first, second) || isTokenCharacter(DECIMAL, first, second)
  const third = digitAt(text, from + 2)
  if (to - from === 3)
    return isTokenCharacter(DECIMAL, first, second, third) || isTokenCharacter(OCTAL, first, second, third)
  const isPrefixed = to - from === 4 && first === 0 && text[from + 1] === X
  return isPrefixed && isTokenCharacter(HEXADECIMAL, third, digitAt(text, from + 3))
}

function isTokenCharacter(radix: number, first: number, second: number, third?: number): boolean {
  if (first >= radix || second >= radix || (third ?? 0) >= radix) return false
  const value = third === undefined ? first * radix + second : (first * radix + second) * radix + third
  return TOKEN_CHARACTERS[value] === 1 || value === PADDING
}

/** Whether the text between `from` and `to` is an index, in a list that was printed as an object. */
function isIndex(text: Buffer, from: number, to: number): boolean {
  const after = text[to]
  if ((after !== QUOTE && after !== APOSTROPHE) || text[to + 1] !== COLON) return false
  return digitAt(text, from) < DECIMAL && text[from - 1] === after
}

/** Notations of bytes; a list has one of them. */
export const RADIXES = [OCTAL, DECIMAL, HEXADECIMAL] as const

/** Decodes the bytes between `from` and `to` to `target`, and returns their number. */
export function decodeByteList(text: Buffer, from: number, to: number, radix: number, target: Buffer): number {
  let count = 0
  for (let i = from; i < to; ) {
    const start = i
    while (i < to && TOKEN_CHARACTERS[text[i] as number] === 1) i += 1
    if (isByte(text, start, i) && !isIndex(text, start, i)) {
      target[count] = parseDigits(text, start, i, radix)
      count += 1
    }
    i += 1
  }
  return count
}

/** Returns 0 if a digit is not of that notation. */
function parseDigits(text: Buffer, from: number, to: number, radix: number): number {
  let value = 0
  for (let i = to - from === 4 ? from + 2 : from; i < to; i += 1) {
    const digit = digitAt(text, i)
    if (digit >= radix) return 0
    value = value * radix + digit
  }
  return value < 128 ? value : 0
}

/** Copies a list of bytes or character codes; those that no token has become 0. */
export function toBytes(list: ArrayLike<unknown>): Buffer {
  const bytes = Buffer.alloc(list.length)
  for (let i = 0; i < list.length; i += 1) {
    const code = list[i]
    if (typeof code === 'number' && code < 128) bytes[i] = code
  }
  return bytes
}
