/** The clock of caches: the wall clock, as for tokens, read to the millisecond. */

/** Options of `lru-cache`. Its own clock starts with the process, and does not notice when the machine was asleep. */
export const WALL_CLOCK = { perf: { now: (): number => Date.now() }, ttlResolution: 0 } as const

/** Time since `then`. A clock that was set back makes everything old rather than fresh for ever. */
export function since(then: number): number {
  const elapsed = Date.now() - then
  return elapsed < 0 ? Number.POSITIVE_INFINITY : elapsed
}

let readMonotonic = (): number => performance.now()

/**
 * Milliseconds by a clock that cannot be set back, for times between two readings: how long a failure is remembered,
 * how long an answer is trusted.
 */
export function monotonicNow(): number {
  return readMonotonic()
}

/**
 * Replaces the clock of {@link monotonicNow}. Only `testing/` calls this, so that fake timers move everything; a test
 * checks that. In production the wall clock can be set back, and nothing there may depend on it.
 */
export function replaceMonotonicClock(read: () => number): void {
  readMonotonic = read
}
