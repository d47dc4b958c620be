/** Conditions that tests wait for come true soon, but not within a second on every machine. */

import { setTimeout as delay } from 'node:timers/promises'
import { vi } from 'vitest'

const PATIENCE_MILLIS = 30_000
const INTERVAL_MILLIS = 20

/** In real time: vitest's own moves a faked clock forward while it waits, by as much as the machine is slow. */
vi.waitFor = async (condition) => {
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
