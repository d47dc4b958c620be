/** Remembers which hand-overs were opened, for all threads of a process together. */

import { hash } from '../base/newer-functions.ts'
import type { ReplayWindow } from './replay-window.ts'

/**
 * 2 MB, of which the system allocates what is used: about 2,900 hand-overs a second, of 30 s each, before one is
 * refused.
 */
export const WINDOW_BYTES = 2 ** 18 * BigUint64Array.BYTES_PER_ELEMENT

/** Number of consecutive slots that an id may be in. */
const PROBES = 64

/** A thread that found a hand-over young enough may still be verifying its token when it expires. */
const GRACE_SECONDS = 60

/** A slot has 24 bits of the expiry, in seconds, and 40 of the id; its place depends on more of the id. */
const TAG_BITS = 40n
const END_MASK = 0xff_ffff

/**
 * Returns `1` for the first opening in any thread that has `buffer`, and more for all others. There is no lock, which a
 * terminated thread would keep. Throws if there is no room, since the hand-over may have been opened before.
 */
export function createThreadWindow(buffer: SharedArrayBuffer): ReplayWindow {
  const slots = new BigUint64Array(buffer)

  function look(start: number, entry: bigint) {
    const now = Math.floor(Date.now() / 1000)
    let copies = 0
    let free: { readonly slot: number; readonly was: bigint } | undefined
    for (let probe = 0; probe < PROBES; probe += 1) {
      const slot = (start + probe) % slots.length
      const was = Atomics.load(slots, slot)
      if (was === entry) copies += 1
      else if (free === undefined && isOver(was, now)) free = { slot, was }
    }
    return { copies, free }
  }

  return {
    count(id, expiresAtMillis) {
      const digest = hash('sha256', id, 'buffer')
      const start = digest.readUInt32LE(0) % slots.length
      const entry = entryOf(Math.floor(expiresAtMillis / 1000), digest.readUIntLE(4, 5))
      for (let attempt = 0; attempt < PROBES; attempt += 1) {
        const { copies, free } = look(start, entry)
        if (copies > 0) return 2
        if (free === undefined) break
        // Two threads may have chosen two slots: each looks again after it has written, so that at least one sees both.
        if (Atomics.compareExchange(slots, free.slot, free.was, entry) === free.was) return look(start, entry).copies
      }
      throw new Error('too many hand-overs in progress')
    },
  }
}

function entryOf(endSeconds: number, tag: number): bigint {
  // Never 0, which is an empty slot.
  return (BigInt(endSeconds & END_MASK) << TAG_BITS) | BigInt(tag) | 1n
}

function isOver(entry: bigint, nowSeconds: number): boolean {
  const ahead = (Number(entry >> TAG_BITS) + GRACE_SECONDS - nowSeconds) & END_MASK
  return entry === 0n || ahead === 0 || ahead > END_MASK / 2
}
