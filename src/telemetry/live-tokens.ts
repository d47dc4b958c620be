/** Recognizes pieces of the tokens that this process has accepted lately, in a table of the hashes of all pieces. */

import { randomInt } from 'node:crypto'

/** As much of a token is worth something to whoever tries to guess the rest; less is found in innocent text. */
export const PIECE = 12

export interface LiveTokens {
  /** Has `token` recognized from now on, until hundreds of others have been added. */
  add(token: string): void
  /** Where the first piece of a live token begins in `text`; -1 where there is none. In linear time. */
  indexIn(text: string): number
}

/** Tokens of a generation. Two generations are kept, so that at least this many are recognized, in 8 MiB. */
const MAX_TOKENS = 1_024
const SLOTS = 1 << 20
/** At most half of the slots are taken, so that a free one is always near. */
const MAX_PIECES = SLOTS / 2
/** A slot has the number of a token, from 1, and above it the rest of the hash that led there. */
const NUMBER_BITS = 11

interface Generation {
  readonly tokens: string[]
  readonly known: Set<string>
  readonly slots: Uint32Array
  pieces: number
}

export function createLiveTokens(): LiveTokens {
  let [current, previous] = [emptyGeneration(), emptyGeneration()]

  return {
    add(token) {
      if (token.length < PIECE || current.known.has(token)) return
      const isFull = current.tokens.length >= MAX_TOKENS || current.pieces + token.length > MAX_PIECES
      if (isFull) [current, previous] = [emptyGeneration(), current]
      current.known.add(token)
      const number = current.tokens.push(token)
      forEachPiece(token, (place) => {
        enter(current, place, number)
        return false
      })
    },
    indexIn: (text) => forEachPiece(text, (place) => holds(current, place) || holds(previous, place)),
  }
}

function emptyGeneration(): Generation {
  return { tokens: [], known: new Set(), slots: new Uint32Array(SLOTS), pieces: 0 }
}

/** A text whose piece at `at` is meant, and the hash of that piece. */
interface Place {
  readonly text: string
  readonly at: number
  readonly hash: number
}

/** A piece that several tokens have, as all have their header, is entered once: generations are forgotten as a whole. */
function enter(generation: Generation, place: Place, number: number): void {
  const slot = find(generation, place)
  if (generation.slots[slot] !== 0) return
  generation.slots[slot] = ((place.hash >>> 21) << NUMBER_BITS) | number
  generation.pieces += 1
}

function holds(generation: Generation, place: Place): boolean {
  return generation.slots[find(generation, place)] !== 0
}

/** The slot of a piece, or the free one where it would be. */
function find({ slots, tokens }: Generation, { text, at, hash }: Place): number {
  const rest = hash >>> 21
  let slot = hash & (SLOTS - 1)
  for (let entry = slots[slot] ?? 0; entry !== 0; entry = slots[slot] ?? 0) {
    const token = tokens[(entry & ((1 << NUMBER_BITS) - 1)) - 1]
    if (entry >>> NUMBER_BITS === rest && token?.includes(text.slice(at, at + PIECE))) return slot
    slot = (slot + 1) & (SLOTS - 1)
  }
  return slot
}

/** Another one in every process, so that nobody can choose text whose pieces all have the same hash. */
const BASE = randomInt(0x1000_0000, 0x7fff_ffff) | 1
/** What the character that leaves a piece has contributed to its hash. */
const LEAVING = Array.from({ length: PIECE }).reduce<number>((power) => Math.imul(power, BASE), 1)

/** Visits every piece of `text` until `visit` returns true, and returns where that one begins, or -1. */
function forEachPiece(text: string, visit: (place: Place) => boolean): number {
  const place = { text, at: 0, hash: 0 }
  let hash = 0
  for (let end = 0; end < text.length; end += 1) {
    hash = (Math.imul(hash, BASE) + text.charCodeAt(end)) | 0
    if (end >= PIECE) hash = (hash - Math.imul(LEAVING, text.charCodeAt(end - PIECE))) | 0
    if (end < PIECE - 1) continue
    place.at = end - PIECE + 1
    place.hash = spread(hash)
    if (visit(place)) return place.at
  }
  return -1
}

/** Pieces that differ little must not have slots that are near each other, or the same. */
function spread(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b_3c6d)
  const again = Math.imul(mixed ^ (mixed >>> 12), 0x297a_2d39)
  return (again ^ (again >>> 15)) >>> 0
}
