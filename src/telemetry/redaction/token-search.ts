/** Finds tokens in text, plain and in the usual encodings, in one pass that examines only what could be one. */

import { decodeByteList, forEachByteList, MIN_LIST, RADIXES } from './byte-list.ts'
import { KINDS, MAY_ENCODE, MIN_FRAGMENT } from './characters.ts'
import type { EncodedParts, Judge } from './encoded-parts.ts'
import { createEncodedParts } from './encoded-parts.ts'
import { createEscapeStarts, decodeEscapes, isEscape } from './escapes.ts'
import { holdsCompactToken } from './token-shape.ts'

export interface Search {
  /**
   * Whether `text` holds a fragment of a known token between `from` and `to`. Without it, tokens are found by their
   * shape.
   */
  readonly holdsFragment?: (text: Buffer, from: number, to: number) => boolean
  /** Receives the bounds of each part that holds a token. Without it, the search ends with the first one. */
  readonly onFound?: (from: number, to: number) => void
}

/** Whether `text` holds something that is shaped like a token. Takes linear time. */
export function holdsToken(text: string): boolean {
  return searchText(text, {})
}

/** Searches `text`; returns whether it holds a token. Takes linear time. */
export function searchText(text: string, search: Search): boolean {
  if (text.length < MIN_FRAGMENT) return false
  copy(text, SCAN.textFor(text.length))
  return SCAN.run(text.length, search.holdsFragment, search.onFound)
}

/** Up to this length, a loop is faster than a call out of JavaScript. */
const SHORT = 20

/** Copies one byte per character: tokens are ASCII. */
function copy(text: string, target: Buffer): void {
  const { length } = text
  if (length > SHORT) target.write(text, 'latin1')
  else for (let i = 0; i < length; i += 1) target[i] = text.charCodeAt(i)
}

const [SPACE, LF, CR, EQUALS] = [0x20, 0x0a, 0x0d, 0x3d] as const
/** Patterns read on for less after the end of a text, where a space ends the last run. */
const MARGIN = 16

/**
 * Searches one text at a time: its runs of token characters, then its escapes, then its lists of bytes. Holds the text
 * as bytes, which are read three times as fast as characters of a string, in memory that it keeps, since fresh memory
 * costs more than the search.
 */
class Scan implements Judge {
  /** Searches what was decoded. */
  readonly #inner: Scan | undefined
  readonly #parts: EncodedParts
  readonly #starts = createEscapeStarts()
  readonly #unescaped = { to: 0, length: 0 }
  #text = Buffer.alloc(4_096)
  #length = 0
  #holdsFragment: Search['holdsFragment']
  #onFound: Search['onFound']
  #isFound = false

  constructor(inner: Scan | undefined) {
    this.#inner = inner
    this.#parts = createEncodedParts(this)
  }

  /** Returns the memory for a text of up to `length` characters. */
  textFor(length: number): Buffer {
    if (length + MARGIN > this.#text.length) this.#text = Buffer.alloc(Math.max(length + MARGIN, 2 * this.#text.length))
    return this.#text
  }

  /** Searches the first `length` characters of that memory. */
  run(length: number, holdsFragment: Search['holdsFragment'], onFound?: Search['onFound']): boolean {
    this.#length = length
    this.#holdsFragment = holdsFragment
    this.#onFound = onFound
    this.#isFound = false
    this.#unescaped.to = 0
    this.#text[length] = SPACE
    this.#parts.begin(this.#text)
    this.#searchRuns()
    if (this.decodes && !this.#isDone) this.#searchEscapes()
    if (this.decodes && !this.#isDone && length >= MIN_LIST) this.#searchByteLists()
    if (this.#isFound) this.#text.fill(0, 0, length)
    return this.#isFound
  }

  /** Whether the first `length` characters of the memory are worth a search: most of what is decoded is too short. */
  mayHoldSecret(length: number): boolean {
    return length >= MIN_LIST || nextOf(MAY_ENCODE, this.#text, 0, length) < length
  }

  get decodes(): boolean {
    return this.#inner !== undefined
  }

  isToken(from: number, to: number): boolean {
    return holdsCompactToken(this.#text.toString('latin1', from, to))
  }

  memoryFor(size: number): Buffer {
    return this.#inner?.textFor(size) ?? this.#text
  }

  holdsSecret(length: number): boolean {
    if (this.#inner?.mayHoldSecret(length) !== true) return false
    return this.#inner.run(length, this.#holdsFragment)
  }

  /** Without a listener the first token is enough. */
  get #isDone(): boolean {
    return this.#isFound && this.#onFound === undefined
  }

  #report(from: number, to: number): void {
    this.#isFound = true
    this.#onFound?.(from, to)
  }

  #searchRuns(): void {
    const text = this.#text
    const length = this.#length
    let start = nextOf(KINDS, text, 0, length)
    while (start < length && !this.#isDone) {
      let kinds = 0
      let end = start
      for (let kind = KINDS[text[end] as number]; kind !== 0; kind = KINDS[text[end] as number]) {
        kinds |= kind as number
        end += 1
      }
      this.#searchRun(start, end, kinds)
      start = nextOf(KINDS, text, end + 1, length)
    }
  }

  #searchRun(from: number, to: number, kinds: number): void {
    if (this.#holdsFragment?.(this.#text, from, to) === true || this.#parts.holdsToken(from, to, kinds))
      this.#report(from, to)
    else if (this.decodes && (this.#text[to] === LF || this.#text[to] === CR)) this.#searchLines(from, to)
  }

  /** Searches a run that a program has broken into lines. */
  #searchLines(from: number, to: number): void {
    this.#searchEscapedRun(from, this.#text[to - 1] === EQUALS ? to - 1 : to)
  }

  #searchEscapes(): void {
    const text = this.#text
    const length = this.#length
    this.#unescaped.to = 0
    this.#starts.begin(text, length)
    let at = this.#starts.next(0)
    while (at < length) {
      let next = at + 1
      if (isEscape(text, at)) {
        this.#searchEscapedRun(startOfRun(text, at, this.#unescaped.to), at)
        if (this.#isDone) return
        next = Math.max(next, this.#unescaped.to)
      }
      at = this.#starts.next(next)
    }
  }

  /** Decodes and searches the run that begins at `from` and has its first escape at `at`. */
  #searchEscapedRun(from: number, at: number): void {
    const unescaped = this.#unescaped
    if (from < unescaped.to) return
    const target = this.memoryFor(this.#length - from)
    if (!decodeEscapes(this.#text, this.#length, from, at, target, unescaped)) return
    if (this.holdsSecret(unescaped.length)) this.#report(from, unescaped.to)
  }

  #searchByteLists(): void {
    forEachByteList(this.#text, this.#length, (from, to) => {
      if (!this.#isDone && this.#holdsByteList(from, to)) this.#report(from, to)
    })
  }

  #holdsByteList(from: number, to: number): boolean {
    const target = this.memoryFor(to - from)
    return RADIXES.some((radix) => this.holdsSecret(decodeByteList(this.#text, from, to, radix, target)))
  }
}

/**
 * One for the text, and one for each decoding that may follow another, such as base64 of base64, or percent-encoded
 * base64. Percent-encoding counts once, however often it was applied.
 */
const SCAN = new Scan(new Scan(new Scan(undefined)))

/**
 * Returns the start of the next run of `members` that is as long as a fragment, or `length`. Looks at the end of each
 * step of that length first: no fragment begins before another character in the step, and the next step begins after it
 * (Boyer and Moore 1977).
 */
function nextOf(members: Uint8Array, text: Buffer, from: number, length: number): number {
  let start = from
  // So far, all characters from `start` on belong to the run.
  let known = from
  while (start + MIN_FRAGMENT <= length) {
    const end = start + MIN_FRAGMENT
    let at = end - 1
    while (at >= known && members[text[at] as number] !== 0) at -= 1
    if (at < known) return start
    start = at + 1
    known = end
  }
  return length
}

function startOfRun(text: Buffer, at: number, min: number): number {
  let start = at
  while (start > min && KINDS[text[start - 1] as number] !== 0) start -= 1
  return start
}
