/** Times between two readings follow `Date`, as fake timers have it; `performance.now()` stays behind in `node:test`. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest'
import { openAuditTrail } from '../../src/audit/trail.ts'
import { monotonicNow, replaceMonotonicClock } from '../../src/base/clock.ts'
import { followFakeTime } from '../../src/testing/fake-time.ts'
import { createFakeDisk } from '../audit/fake-disk.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
  followFakeTime()
})
afterEach(() => {
  vi.useRealTimers()
  replaceMonotonicClock(() => performance.now())
})

it('the clock goes on from where it was, and is not set back', () => {
  const before = performance.now()
  followFakeTime()
  const start = monotonicNow()
  expect(start).toBeGreaterThanOrEqual(before)
  vi.setSystemTime(Date.now() + 60_000)
  expect(monotonicNow() - start).toBe(60_000)
  vi.setSystemTime(0)
  expect(monotonicNow() - start).toBe(60_000)
  vi.setSystemTime(1_000)
  expect(monotonicNow() - start).toBe(61_000)
})

it('an audit trail that could not be written is tried again when the fake time says so', async () => {
  const disk = createFakeDisk()
  const folder = mkdtempSync(join(tmpdir(), 'fake-time-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const trail = openAuditTrail({ file: join(folder, 'trail.jsonl'), maxBytes: 1_000_000, key: undefined, disk })
  const record = { timeMillis: 0, event: 'auth.token.verified', traceId: undefined, spanId: undefined, attributes: {} }
  await trail.append(record)
  disk.fault = (operation) => (operation.startsWith('write') ? 'fail' : undefined)
  await expect(trail.append(record)).rejects.toThrow()
  disk.fault = () => undefined
  await expect(trail.append(record)).rejects.toThrow()
  vi.setSystemTime(Date.now() + 2_000)
  await trail.append(record)
  await trail.close()
})
