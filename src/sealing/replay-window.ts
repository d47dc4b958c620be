/** Remembers which messages were opened, for as long as they could be opened again. */

import { LRUCache } from 'lru-cache'
import { WALL_CLOCK } from '../base/clock.ts'

/**
 * Counts openings. To count across processes, implement this over a store that they share: one atomic increment, and an
 * expiry.
 */
export interface ReplayWindow {
  /**
   * Counts one more opening of the message `id` and returns how many there were, this one included. It may be forgotten
   * after `expiresAtMillis`. If it throws or rejects, the message is not opened, since it may have been opened before.
   */
  count(id: string, expiresAtMillis: number): number | Promise<number>
}

/** Most messages that are remembered, about 20 MB. If there are more, the oldest can be opened again. */
const MAX_MESSAGES = 100_000

/** Counts in the memory of this process: for one consumer, until it restarts. */
export function createMemoryReplayWindow(): ReplayWindow {
  // It takes all its memory at once, and most services open no message.
  let openings: LRUCache<string, number> | undefined
  return {
    count(id, expiresAtMillis) {
      openings ??= new LRUCache<string, number>({ max: MAX_MESSAGES, ...WALL_CLOCK })
      const count = (openings.get(id) ?? 0) + 1
      openings.set(id, count, { ttl: Math.max(1, expiresAtMillis - Date.now()) })
      return count
    },
  }
}
