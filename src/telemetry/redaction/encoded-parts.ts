/** Finds what may be a token in a run of characters: the beginning of a header, or base64 or hexadecimal digits. */

import { decodeBase64, GROUP, isBase64, isGroup, nextPairs, PAIR, pairsAt } from './base64-groups.ts'
import { DIGITS, digitAt, HAS_DASH, HAS_DOT, MIN_FRAGMENT, NO_DIGIT } from './characters.ts'

/** Decides whether a suspicion is right. */
export interface Judge {
  /** Whether parts of the run are to be decoded. */
  readonly decodes: boolean
  /** Whether a run that may have the beginning of a header holds a token. */
  isToken(from: number, to: number): boolean
  /** Returns memory for `size` decoded characters. */
  memoryFor(size: number): Buffer
  /** Whether the first `length` characters of that memory hold a token, or a fragment of one. */
  holdsSecret(length: number): boolean
}

/** Searches the runs of one text. Kept for the next text, since it is faster than a new one. */
export interface EncodedParts {
  /** Begins with another text. */
  begin(text: Buffer): void
  /**
   * Whether the run between `from` and `to`, which has characters of certain `kinds`, holds a token, or a fragment of
   * one. Runs come in their order.
   */
  holdsToken(from: number, to: number, kinds: number): boolean
}

export function createEncodedParts(judge: Judge): EncodedParts {
  return new Parts(judge)
}

const [DASH, DOT, E, W, Y] = [0x2d, 0x2e, 0x65, 0x77, 0x79] as const

/** The lengths of a fragment in each encoding, from which every place is seen with these steps. */
const [MIN_BASE64, MIN_GROUPS, MIN_HEX, HEX_STEP, HEX_SAMPLE] = [16, 12, 2 * MIN_FRAGMENT, 16, 8] as const
/** Two digits for each character of a fragment, and the dashes between them. */
const [MIN_DASHED, DASHED_STEP] = [3 * MIN_FRAGMENT - 1, 32] as const

/** Decodes the parts of runs, each character at most once for each place of a group that a part may begin at. */
class Parts implements EncodedParts {
  readonly #judge: Judge
  #text: Buffer = Buffer.alloc(0)
  #from = 0
  #to = 0
  /** End of what was decoded, by the place in a group. */
  readonly #base64 = new Int32Array(4)
  readonly #hex = new Int32Array(2)
  #dashed = 0

  constructor(judge: Judge) {
    this.#judge = judge
  }

  begin(text: Buffer): void {
    this.#text = text
    for (let place = 0; place < GROUP; place += 1) this.#base64[place] = 0
    this.#hex[0] = this.#hex[1] = this.#dashed = 0
  }

  holdsToken(from: number, to: number, kinds: number): boolean {
    if (to - from < MIN_BASE64) return false
    const mayBeToken = (kinds & HAS_DOT) !== 0 && mayHoldHeader(this.#text, from, to)
    if (mayBeToken && this.#judge.isToken(from, to)) return true
    if (!this.#judge.decodes) return false
    this.#from = from
    this.#to = to
    return this.#holdsBase64() || this.#holdsHex() || ((kinds & HAS_DASH) !== 0 && this.#holdsDashed())
  }

  #holdsBase64(): boolean {
    const text = this.#text
    const to = this.#to
    let at = nextPairs(text, this.#from, to)
    while (at + PAIR <= to) {
      for (let pairs = pairsAt(text, at); pairs !== 0; pairs &= pairs - 1) {
        if (this.#holdsBase64At(at + 31 - Math.clz32(pairs & -pairs))) return true
      }
      at = nextPairs(text, at + PAIR, to)
    }
    return false
  }

  /** Whether the groups at `at`, and those around them, hold a secret. */
  #holdsBase64At(at: number): boolean {
    if (at < (this.#base64[at & 3] as number)) return false
    if (!this.#isGroup(at + PAIR) && !this.#isGroup(at - GROUP)) return false
    let start = at
    while (this.#isGroup(start - GROUP)) start -= GROUP
    let end = at
    while (this.#isGroup(end)) end += GROUP
    this.#base64[at & 3] = end
    return end - start >= MIN_GROUPS && this.#decodesToSecret(start, end)
  }

  /** Takes one more group at either end: the token may begin or end within it. */
  #decodesToSecret(first: number, last: number): boolean {
    const text = this.#text
    let end = last
    while (end < this.#to && end < last + GROUP && isBase64(text, end)) end += 1
    let before = first
    while (before > this.#from && before > first - GROUP && isBase64(text, before - 1)) before -= 1
    const start = before === first - GROUP ? before : first
    if (end - start < MIN_BASE64) return false
    return this.#judge.holdsSecret(decodeBase64(text, start, end, this.#judge.memoryFor(end - start)))
  }

  #isGroup(at: number): boolean {
    return at >= this.#from && at + GROUP <= this.#to && isGroup(this.#text, at)
  }

  #holdsHex(): boolean {
    const text = this.#text
    const to = this.#to
    if (to - this.#from < MIN_HEX) return false
    let at = nextHexPairs(text, this.#from, to)
    while (at + HEX_SAMPLE <= to) {
      const pairs = hexPairsAt(text, at)
      if ((pairs & 1) !== 0 && this.#holdsHexAt(at)) return true
      if ((pairs & 2) !== 0 && this.#holdsHexAt(at + 1)) return true
      at = nextHexPairs(text, at + HEX_STEP, to)
    }
    return false
  }

  #holdsHexAt(at: number): boolean {
    if (at < (this.#hex[at & 1] as number)) return false
    let end = at
    while (this.#isPair(end, 0)) end += 2
    let start = at
    while (this.#isPair(start - 2, 0)) start -= 2
    this.#hex[at & 1] = end
    return end - start >= MIN_HEX && this.#holdsHexSecret(start, end, 2)
  }

  #holdsDashed(): boolean {
    const text = this.#text
    if (this.#to - this.#from < MIN_DASHED) return false
    for (let at = this.#from; at < this.#to; at += DASHED_STEP) {
      // In a list, one of three characters is a dash.
      const dash = at + (text[at] === DASH ? 0 : text[at + 1] === DASH ? 1 : 2)
      const isInList = text[dash] === DASH && (text[dash - 3] === DASH || text[dash + 3] === DASH)
      const start = dash - 2
      if (isInList && start >= this.#dashed && this.#isPair(start, 1) && this.#holdsDashedAt(start)) return true
    }
    return false
  }

  #holdsDashedAt(at: number): boolean {
    let start = at
    while (this.#text[start - 1] === DASH && this.#isPair(start - 3, 1)) start -= 3
    let end = at
    while (this.#isPair(end, 1)) end += 3
    this.#dashed = end
    if (this.#isPair(end, 0)) end += 2
    if (end - start < MIN_DASHED) return false
    if (this.#holdsHexSecret(start, end, 3)) return true
    // A digit that touches the first pair may make one that is not of the list, which hides the beginning of a token.
    const isGlued = start > this.#from && this.#text[start - 1] !== DASH
    return isGlued && end - start - 3 >= MIN_DASHED && this.#holdsHexSecret(start + 3, end, 3)
  }

  /** Whether two digits of an ASCII character, and so many dashes, are at `at`. */
  #isPair(at: number, dashes: 0 | 1): boolean {
    const text = this.#text
    if (at < this.#from || at + 2 + dashes > this.#to) return false
    if (digitAt(text, at) >= HIGH || digitAt(text, at + 1) === NO_DIGIT) return false
    return dashes === 0 || text[at + 2] === DASH
  }

  #holdsHexSecret(from: number, to: number, step: 2 | 3): boolean {
    const text = this.#text
    const target = this.#judge.memoryFor(to - from)
    let length = 0
    for (let at = from; at < to; at += step) {
      target[length] = digitAt(text, at) * 16 + digitAt(text, at + 1)
      length += 1
    }
    return this.#judge.holdsSecret(length)
  }
}

/** The first of two digits that encode ASCII is less. */
const HIGH = 8
/** Whether a character is a digit, and whether it may be the first of two. */
const [IS_DIGIT, IS_HIGH] = [1, 2] as const
const HEX = DIGITS.map((digit) => Number(digit !== NO_DIGIT) * IS_DIGIT + Number(digit < HIGH) * IS_HIGH)

/** Returns a bit for each of the next two places at which pairs of digits begin that may encode ASCII. */
function hexPairsAt(text: Buffer, at: number): number {
  const even = hexAt(text, at) & hexAt(text, at + 2) & hexAt(text, at + 4) & hexAt(text, at + 6)
  const odd = hexAt(text, at + 1) & hexAt(text, at + 3) & hexAt(text, at + 5) & hexAt(text, at + 7)
  return even & odd & IS_DIGIT ? ((even >>> 1) & 1) | (odd & IS_HIGH) : 0
}

/** Returns the next step from `from` on for which {@link hexPairsAt} is not 0, or else the last place before `to`. */
function nextHexPairs(text: Buffer, from: number, to: number): number {
  let at = from
  while (at + HEX_SAMPLE <= to && (hexAt(text, at) === 0 || hexPairsAt(text, at) === 0)) at += HEX_STEP
  return at
}

function hexAt(text: Buffer, at: number): number {
  return HEX[text[at] as number] as number
}

/** The third character of a JSON object in base64url that begins with a quote or with white space (RFC 8259 §2). */
const HEADER_THIRD = Uint8Array.from({ length: 256 }, (_, code) =>
  Number(/[A-DI-Lk-r0-3]/.test(String.fromCharCode(code))),
)

function isHeader(text: Buffer, at: number): boolean {
  return (text[at + 1] === Y || text[at + 1] === W) && HEADER_THIRD[text[at + 2] as number] === 1
}

/** Whether two dots follow the beginning of a JSON object in base64url. */
function mayHoldHeader(text: Buffer, from: number, to: number): boolean {
  let dots = 0
  for (let at = to - 1; at >= from; at -= 1) {
    if (text[at] === DOT) dots += 1
    else if (dots > 1 && text[at] === E && isHeader(text, at)) return true
  }
  return false
}
