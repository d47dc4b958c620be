/** Calls code of others that must not break ours: a broken SDK, a hostile getter. */

/** Returns what `act` returns, and `undefined` if it throws. */
export function ignoreErrors<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
