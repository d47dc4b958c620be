/** Importing the test kit is enough: times between two readings follow `Date` from then on. */

import { afterEach, expect, it, vi } from 'vitest'
import { monotonicNow } from '../../src/base/clock.ts'
import '../../src/testing/index.ts'

afterEach(() => void vi.useRealTimers())

it('times between two readings follow fake timers once the kit is imported', () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const start = monotonicNow()
  vi.setSystemTime(Date.now() + 60_000)
  expect(monotonicNow() - start).toBe(60_000)
})
