/** What caches go by: the clock that tokens go by, read to the millisecond. */

/** Options of `lru-cache`. Its own clock starts with the process, and does not notice when the machine was asleep. */
export const WALL_CLOCK = { perf: { now: (): number => Date.now() }, ttlResolution: 0 } as const
