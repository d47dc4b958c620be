/** Times follow the fake timers of Jest. */

// A program of CommonJS without types.
const times: Record<string, (advance: (millis: number) => void) => Promise<void>> = require('../../times.cjs')

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

test.each(Object.entries(times))('%s', async (_, check) => {
  await check((millis) => void jest.advanceTimersByTime(millis))
})
