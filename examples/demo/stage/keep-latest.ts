/** Lists that do not grow for ever. */

/** Appends `added` to `kept`, and drops the oldest entries above `limit`. */
export function keepLatest<T>(kept: T[], added: readonly T[], limit: number): void {
  kept.push(...added)
  if (kept.length > limit) kept.splice(0, kept.length - limit)
}
