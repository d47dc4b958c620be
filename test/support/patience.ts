/** Waits for conditions that come true soon, but not within a second, or ten, on every machine. */

import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'

const PATIENCE_MILLIS = 120_000
const INTERVAL_MILLIS = 20

/**
 * Waits until `condition` does not throw any more, and returns its value. In real time: `vi.waitFor` moves a faked clock
 * forward while it waits, by as much as the machine is slow.
 */
export async function waitFor<T>(condition: () => T | Promise<T>): Promise<T> {
  const end = process.hrtime.bigint() + BigInt(PATIENCE_MILLIS) * 1_000_000n
  for (;;) {
    try {
      return await condition()
    } catch (reason) {
      if (process.hrtime.bigint() > end) throw reason
    }
    await delay(INTERVAL_MILLIS)
  }
}

/** Waits until `condition` returns something truthy, and returns it. */
export function waitUntil<T>(condition: () => T | Promise<T>): Promise<T> {
  return waitFor(async () => {
    const value = await condition()
    if (!value) throw new Error('the condition has not come true')
    return value
  })
}
