/** Recognizes pieces of the tokens that this process has accepted lately, without keeping a list of all pieces. */

/** As much of a token is worth something to whoever tries to guess the rest; less is found in innocent text. */
export const PIECE = 12

export interface LiveTokens {
  /** Has `token` recognized from now on, until thousands of others have been added. */
  add(token: string): void
  /** Where the first piece of a live token begins in `text`; -1 where there is none. In linear time. */
  indexIn(text: string): number
}

/** Tokens of a generation. Two generations are kept, so that at least this many are recognized, in about 5 MB. */
const MAX_TOKENS = 2_048
const FILTER_BITS = 1 << 24

interface Generation {
  readonly tokens: Set<string>
  /** Bits of the pieces of `tokens`: what is not in here is in none of them. */
  readonly filter: Uint8Array
}

export function createLiveTokens(): LiveTokens {
  let [current, previous] = [emptyGeneration(), emptyGeneration()]

  function isPiece(text: string): boolean {
    return [current, previous].some(({ tokens }) => [...tokens].some((token) => token.includes(text)))
  }

  return {
    add(token) {
      if (token.length < PIECE || current.tokens.has(token)) return
      if (current.tokens.size >= MAX_TOKENS) [current, previous] = [emptyGeneration(), current]
      current.tokens.add(token)
      forEachPiece(token, (bit) => {
        current.filter[bit >>> 3] = (current.filter[bit >>> 3] ?? 0) | (1 << (bit & 7))
        return false
      })
    },
    indexIn(text) {
      return forEachPiece(text, (bit, at) => {
        const mask = 1 << (bit & 7)
        const found = ((current.filter[bit >>> 3] ?? 0) | (previous.filter[bit >>> 3] ?? 0)) & mask
        return found !== 0 && isPiece(text.slice(at, at + PIECE))
      })
    },
  }
}

function emptyGeneration(): Generation {
  return { tokens: new Set(), filter: new Uint8Array(FILTER_BITS >>> 3) }
}

const BASE = 0x0100_0193
/** What the character that leaves a piece has contributed to its hash. */
const LEAVING = Array.from({ length: PIECE }).reduce<number>((power) => Math.imul(power, BASE), 1)

/** Calls `visit` with the hash of every piece of `text` and its place, until it returns true, and returns that place or -1. */
function forEachPiece(text: string, visit: (bit: number, at: number) => boolean): number {
  let hash = 0
  for (let end = 0; end < text.length; end += 1) {
    hash = (Math.imul(hash, BASE) + text.charCodeAt(end)) | 0
    if (end >= PIECE) hash = (hash - Math.imul(LEAVING, text.charCodeAt(end - PIECE))) | 0
    const at = end - PIECE + 1
    if (at >= 0 && visit(spread(hash), at)) return at
  }
  return -1
}

/** Pieces that differ little must not have bits that are near each other, or the same. */
function spread(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b_3c6d)
  return ((mixed ^ (mixed >>> 12)) >>> 0) % FILTER_BITS
}
