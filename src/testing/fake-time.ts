/** Lets fake timers move every time of the relay: those that it measures, as well as those of the wall clock. */

import { replaceMonotonicClock } from '../base/clock.ts'

/**
 * From now on times between two readings follow `Date`, which the fake timers of Vitest, Jest and `node:test` replace;
 * `performance.now()` is not replaced by `node:test`. A `Date` that is set back does not set this clock back.
 */
export function followFakeTime(): void {
  let now = performance.now()
  let readAt = Date.now()
  replaceMonotonicClock(() => {
    const date = Date.now()
    now += Math.max(0, date - readAt)
    readAt = date
    return now
  })
}
