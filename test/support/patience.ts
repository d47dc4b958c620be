/** Conditions that tests wait for come true soon, but not within a second on every machine. */

import { vi } from 'vitest'

const { waitFor } = vi

vi.waitFor = (condition, options) =>
  waitFor(condition, typeof options === 'number' ? options : { timeout: 30_000, interval: 20, ...options })
