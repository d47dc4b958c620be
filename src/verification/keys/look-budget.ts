/** Bounds how often an issuer is asked for keys that it does not publish: a few times per cool-down. */

import { since } from '../../base/clock.ts'

/**
 * More than one: otherwise a single made-up token hides a key that is published a moment later for the whole cool-down.
 */
const LOOKS = 4

export interface LookBudget {
  /** Takes one look. Returns false if none is left. */
  take(): boolean
  /** How long until there is one again, in milliseconds. */
  waitMillis(): number
}

/** One more look every quarter of `cooldownMillis`, four at most. By the wall clock, like everything about keys. */
export function createLookBudget(cooldownMillis: number): LookBudget {
  const refillMillis = cooldownMillis / LOOKS
  let left = LOOKS
  let refilledAt = Number.NEGATIVE_INFINITY

  function refill(): void {
    const elapsed = since(refilledAt)
    if (elapsed >= refillMillis * LOOKS) {
      left = LOOKS
      refilledAt = Date.now()
      return
    }
    const gained = Math.floor(elapsed / refillMillis)
    left = Math.min(LOOKS, left + gained)
    refilledAt += gained * refillMillis
  }

  return {
    take() {
      refill()
      if (left === 0) return false
      // A full budget does not fill up any further: time begins to count with the first look.
      if (left === LOOKS) refilledAt = Date.now()
      left -= 1
      return true
    },
    waitMillis() {
      refill()
      return left > 0 ? 0 : refillMillis - since(refilledAt)
    },
  }
}
