/** Remembers which messages were opened, for as long as they could be opened again. */

import { LRUCache } from 'lru-cache'
import { WALL_CLOCK } from '../verification/wall-clock.ts'

/**
 * Counts openings. Whoever wants them counted across processes implements this over a store that they share: one atomic
 * increment, and an expiry.
 */
export interface ReplayWindow {
  /**
   * Counts one more opening of the message `id` and returns how many there were, this one included. It may be forgotten
   * after `expiresAtMillis`. Where it throws or rejects, the message is not opened: nobody knows whether it was before.
   */
  count(id: string, expiresAtMillis: number): number | Promise<number>
}

/** Most messages that are remembered, about 20 MB; of more within their lives, the oldest could be opened again. */
const MAX_MESSAGES = 100_000

/** Counts in the memory of this process: for one consumer, until it starts again. */
export function createMemoryReplayWindow(): ReplayWindow {
  const openings = new LRUCache<string, number>({ max: MAX_MESSAGES, ...WALL_CLOCK })
  return {
    count(id, expiresAtMillis) {
      const count = (openings.get(id) ?? 0) + 1
      openings.set(id, count, { ttl: Math.max(1, expiresAtMillis - Date.now()) })
      return count
    },
  }
}
