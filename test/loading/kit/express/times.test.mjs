/** Times follow the fake timers of Vitest. */

import { afterEach, beforeEach, test, vi } from 'vitest'
import times from '../times.cjs'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test.each(Object.entries(times))('%s', async (_, check) => {
  await check((millis) => void vi.advanceTimersByTime(millis))
})
