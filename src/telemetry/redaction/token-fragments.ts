/** Recognizes fragments of the tokens that this process uses, without keeping their text or a way back to it. */

import { randomInt } from 'node:crypto'
import { MIN_FRAGMENT } from './characters.ts'

export interface TokenFragments {
  /** Changes when tokens that were added before may be forgotten. Tokens in use must then be added again. */
  readonly generation: number
  /** Grows with every token: text that has no fragment of one has none until then. */
  readonly additions: number
  /** From now on recognizes `token`, until at least `maxTokens` others have been added. */
  add(token: string): void
  /** Whether `text` holds a fragment of a known token between `from` and `to`. Takes linear time. */
  holdsFragment(text: Buffer, from: number, to: number): boolean
}

/** Length of the sequences that are stored. A fragment has at least {@link SEQUENCES} of them in a row. */
const SEQUENCE = 5
/** So many known sequences in a row are a fragment, so that only every eighth place of a text must be looked at. */
const SEQUENCES = MIN_FRAGMENT - SEQUENCE + 1

/** Up to this length of token, on average, one filter has room for all of them. */
const USUAL_LENGTH = 1_024
/** With 12 bits per sequence, of which two are set, 3 of 100 unknown sequences seem known, and 8 in a row never. */
const BITS_PER_SEQUENCE = 12
/**
 * The first filter has 512 KiB, enough for about 400 tokens; each later one is eight times as large as the one before.
 */
const [FIRST_WORDS, GROWTH, MAX_WORDS] = [1 << 17, 8, 1 << 25] as const

/**
 * Recognizes the last `maxTokens` tokens that were added.
 *
 * Each filter is a Bloom filter (Bloom 1970) whose two bits per sequence are in one word. The obvious way, a `Set` of
 * all fragments, would keep the text of every token in the heap, and searches 64 KiB of text for those of 400 tokens in
 * 92 ms instead of 0.3 ms (`npm run bench -- fragments`).
 */
export function createTokenFragments(maxTokens: number): TokenFragments {
  return new FilteredFragments(maxTokens)
}

class FilteredFragments implements TokenFragments {
  readonly #maxTokens: number
  readonly #maxWords: number
  /** The newest first. */
  #filters: readonly [Filter, ...Filter[]]
  #generation = 1
  #additions = 0

  constructor(maxTokens: number) {
    this.#maxTokens = maxTokens
    this.#maxWords = wordsFor(maxTokens)
    this.#filters = [createFilter(Math.min(FIRST_WORDS, this.#maxWords))]
  }

  get generation(): number {
    return this.#generation
  }

  get additions(): number {
    return this.#additions
  }

  add(text: string): void {
    const token = Buffer.from(text, 'latin1')
    const fingerprint = fingerprintOf(token)
    if (this.#filters[0].tokens.has(fingerprint)) return
    const filter = this.#filterFor(token.length)
    filter.tokens.add(fingerprint)
    this.#additions += 1
    filter.sequences += Math.max(0, token.length - SEQUENCE + 1)
    for (let at = 0; at + SEQUENCE <= token.length; at += 1) setBits(filter.words, hashAt(token, at))
    token.fill(0)
  }

  holdsFragment(text: Buffer, from: number, to: number): boolean {
    for (const { words } of this.#filters) if (holdsFragmentOf(words, text, from, to)) return true
    return false
  }

  /** The newest filter, or a new one if it has no room for `length` more characters. */
  #filterFor(length: number): Filter {
    const [newest] = this.#filters
    const isFull = newest.sequences + length > newest.maxSequences || newest.tokens.size >= this.#maxTokens
    if (!isFull || newest.tokens.size === 0) return newest
    const next = createFilter(Math.min(newest.words.length * GROWTH, this.#maxWords))
    this.#filters = [next, ...this.#filtersOfLastTokens()]
    this.#generation += 1
    return next
  }

  #filtersOfLastTokens(): readonly Filter[] {
    let kept = 0
    return this.#filters.filter(({ tokens }) => {
      const isNeeded = kept < this.#maxTokens
      kept += tokens.size
      return isNeeded
    })
  }
}

interface Filter {
  readonly words: Uint32Array
  readonly maxSequences: number
  /** Fingerprints of the tokens. */
  readonly tokens: Set<number>
  sequences: number
}

function createFilter(words: number): Filter {
  return {
    words: new Uint32Array(words),
    maxSequences: Math.floor((words * 32) / BITS_PER_SEQUENCE),
    tokens: new Set(),
    sequences: 0,
  }
}

function wordsFor(maxTokens: number): number {
  const words = (maxTokens * USUAL_LENGTH * BITS_PER_SEQUENCE) / 32
  return Math.min(MAX_WORDS, 2 ** Math.ceil(Math.log2(Math.max(1, words))))
}

/** Looks at every eighth sequence: each fragment has one of them. */
function holdsFragmentOf(words: Uint32Array, text: Buffer, from: number, to: number): boolean {
  for (let at = from + SEQUENCES - 1; at + SEQUENCE <= to; at += SEQUENCES) {
    if (isKnown(words, text, at) && isInFragment(words, text, at, from, to)) return true
  }
  return false
}

/** Whether the known sequence at `at` is one of enough known sequences in a row. */
function isInFragment(words: Uint32Array, text: Buffer, at: number, from: number, to: number): boolean {
  let first = at
  let last = at
  while (first > from && last - first < SEQUENCES && isKnown(words, text, first - 1)) first -= 1
  while (last + SEQUENCE < to && last - first < SEQUENCES && isKnown(words, text, last + 1)) last += 1
  return last - first + 1 >= SEQUENCES
}

function isKnown(words: Uint32Array, text: Buffer, at: number): boolean {
  const hash = hashAt(text, at)
  const bits = bitsOf(hash)
  return ((words[wordOf(words, hash)] as number) & bits) === bits
}

function setBits(words: Uint32Array, hash: number): void {
  const word = wordOf(words, hash)
  words[word] = (words[word] as number) | bitsOf(hash)
}

/** Random in each process, so that an attacker cannot choose text that seems known. */
const [BASE, SEED] = [randomInt(0x1000_0000, 0x7fff_ffff) | 1, randomInt(0x7fff_ffff)]

function hashAt(text: Buffer, at: number): number {
  const start = (text[at] as number) ^ ((text[at + 1] as number) << 6) ^ ((text[at + 2] as number) << 12)
  return mix(start ^ ((text[at + 3] as number) << 18) ^ ((text[at + 4] as number) << 24) ^ SEED)
}

/** Gives similar sequences different words and bits. */
function mix(hash: number): number {
  const mixed = Math.imul(hash, BASE)
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b_3c6d)
}

function wordOf(words: Uint32Array, hash: number): number {
  return (hash >>> 4) & (words.length - 1)
}

function bitsOf(hash: number): number {
  return (1 << (hash & 31)) | (1 << (hash >>> 27))
}

/** Hashes the whole token to 52 bits, which a number can hold. */
function fingerprintOf(token: Buffer): number {
  let low = SEED
  let high = BASE
  for (const code of token) {
    low = Math.imul(low ^ code, BASE)
    high = Math.imul(high ^ code, 0x0100_0193)
  }
  return (mix(high) >>> 12) * 2 ** 32 + (mix(low) >>> 0)
}
