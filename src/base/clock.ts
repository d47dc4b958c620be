/** The clock of caches: the wall clock, as for tokens, read to the millisecond. */

/** Options of `lru-cache`. Its own clock starts with the process, and does not notice when the machine was asleep. */
export const WALL_CLOCK = { perf: { now: (): number => Date.now() }, ttlResolution: 0 } as const

/** Time since `then`. A clock that was set back makes everything old rather than fresh for ever. */
export function since(then: number): number {
  const elapsed = Date.now() - then
  return elapsed < 0 ? Number.POSITIVE_INFINITY : elapsed
}
