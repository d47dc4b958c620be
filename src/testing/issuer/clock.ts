/** The clock of a test issuer: that of the process, which fake timers may hold, and a difference that a test sets. */

/** What time a test issuer believes it is. Affects the tokens and answers that it makes, and nothing else. */
export interface TestClock {
  /** The time of the issuer, in milliseconds since the epoch: `Date.now()`, plus the difference. */
  now(): number
  /** Moves the issuer by `seconds` from where it is; back, if negative. Fractions are allowed. */
  advance(seconds: number): void
  /** Sets the time of the issuer. It goes on from there, as fast as `Date.now()` does. */
  set(time: Date | number): void
  /** Ends the difference: the issuer has the time of the process again. */
  reset(): void
}

/**
 * Reads `Date.now()` each time, so the clock follows the fake timers of Vitest, Jest and `node:test`, and the relay in
 * the same process with it.
 */
export function createTestClock(): TestClock {
  let difference = 0
  return {
    now: () => Date.now() + difference,
    advance(seconds) {
      difference += numberOf(seconds) * 1000
    },
    set(time) {
      difference = numberOf(Number(time)) - Date.now()
    },
    reset() {
      difference = 0
    },
  }
}

function numberOf(value: number): number {
  if (!Number.isFinite(value))
    throw new TypeError('the clock of a test issuer expects a finite number, or a valid Date')
  return value
}
