/** The circuit breaker: opens on failures of the service, closes on a sign of health, and is moved by nothing else. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Outcome } from '../../src/resilience/outcome.ts'
import type { ResilienceSettings } from '../../src/resilience/resilience.ts'
import { createResilience } from '../../src/resilience/resilience.ts'

const NOW = 1_700_000_000_000
const OPEN_MILLIS = 1_000
const WELL: Outcome<string> = { ok: true, value: 'well' }
const REFUSAL: Outcome<string> = { ok: false, error: new Error('refusal'), unhealthy: false, transient: false }
const UNWELL: Outcome<string> = { ok: false, error: new Error('unwell'), unhealthy: true, transient: false }

let changes: string[]
beforeEach(() => {
  vi.useFakeTimers({ now: NOW })
  changes = []
})
afterEach(() => vi.useRealTimers())

function create(more: Partial<ResilienceSettings> = {}) {
  const resilience = createResilience({
    server: { 'server.address': 'a.example', 'server.port': 443 },
    timeoutMillis: 500,
    circuitBreaker: { failureRatio: 0.5, minimumCalls: 4, windowCalls: 10, openMillis: OPEN_MILLIS },
    onCircuitChange: (state) => changes.push(state),
    ...more,
  })
  /** What the caller of one attempt sees: a value, a message or a reason. */
  const call = (outcome: Outcome<string> | Promise<Outcome<string>>, signal?: AbortSignal): Promise<string> =>
    resilience.execute(async () => outcome, { repeatable: true, signal }).catch((error: Error) => error.message)
  const fail = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i += 1) await call(UNWELL)
  }
  return { resilience, call, fail }
}

const NEVER = new Promise<never>(() => undefined)

describe('a closed circuit', () => {
  it('opens when more than the ratio has failed, not before the minimum, and refuses without an attempt', async () => {
    const { call, fail, resilience } = create()
    await fail(3)
    expect([await call(WELL), changes]).toEqual(['well', []])
    await fail(1)
    expect(changes).toEqual(['open'])
    const attempt = vi.fn(async () => WELL)
    await expect(resilience.execute(attempt, { repeatable: true })).rejects.toThrow('circuit_open')
    expect(attempt).not.toHaveBeenCalled()
  })

  it('stays closed at the ratio, and whatever well services refuse', async () => {
    const { call, fail } = create()
    for (let i = 0; i < 20; i += 1) await call(REFUSAL)
    await fail(5)
    expect(changes).toEqual([])
  })

  it('counts time-outs', async () => {
    const { call } = create()
    const calls = [1, 2, 3, 4].map(() => call(NEVER))
    await vi.advanceTimersByTimeAsync(500)
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 4 }, () => 'timeout'))
    expect(changes).toEqual(['open'])
  })

  it('counts no caller who goes away, neither as a failure nor as a success', async () => {
    const { call, fail } = create()
    for (let i = 0; i < 20; i += 1) {
      const gone = new AbortController()
      const aborted = call(NEVER, gone.signal)
      gone.abort()
      expect(await aborted).toBe('aborted')
    }
    expect(changes).toEqual([])
    await fail(4)
    expect(changes).toEqual(['open'])
  })

  it('counts no attempt that is broken itself', async () => {
    const { call } = create()
    for (let i = 0; i < 20; i += 1) expect(await call(Promise.reject(new Error('bug')))).toBe('bug')
    expect(changes).toEqual([])
  })
})

describe('an open circuit', () => {
  async function opened(more: Partial<ResilienceSettings> = {}) {
    const created = create(more)
    await created.fail(4)
    expect(await created.call(WELL)).toBe('circuit_open')
    vi.setSystemTime(NOW + OPEN_MILLIS)
    return created
  }

  it('lets one attempt find out, refuses the others meanwhile, and closes on a sign of health', async () => {
    const { call } = await opened()
    let answer: (outcome: Outcome<string>) => void = () => undefined
    const first = call(new Promise((resolve) => (answer = resolve)))
    expect(await Promise.all([call(WELL), call(WELL)])).toEqual(['circuit_open', 'circuit_open'])
    answer(REFUSAL)
    expect([await first, await call(WELL)]).toEqual(['refusal', 'well'])
    expect(changes).toEqual(['open', 'half_open', 'closed'])
  })

  it('opens again for as long when that attempt fails', async () => {
    const { call } = await opened()
    await call(UNWELL)
    vi.setSystemTime(NOW + 2 * OPEN_MILLIS - 1)
    expect(await call(WELL)).toBe('circuit_open')
    vi.setSystemTime(NOW + 2 * OPEN_MILLIS)
    expect(await call(WELL)).toBe('well')
    expect(changes).toEqual(['open', 'half_open', 'open', 'half_open', 'closed'])
  })

  it.each([
    ['hangs', () => NEVER],
    ['succeeds later', () => new Promise<Outcome<string>>((resolve) => setTimeout(() => resolve(WELL), 100))],
  ])('neither closes nor stalls when the caller goes away whose attempt %s', async (_, attempt) => {
    const { call } = await opened()
    const gone = new AbortController()
    const first = call(attempt(), gone.signal)
    gone.abort()
    expect(await first).toBe('aborted')
    await vi.advanceTimersByTimeAsync(0)
    expect(changes).toEqual(['open', 'half_open'])
    await call(UNWELL)
    await vi.advanceTimersByTimeAsync(100)
    expect(await call(WELL)).toBe('circuit_open')
    expect(changes).toEqual(['open', 'half_open', 'open'])
  })

  it('neither closes nor stalls when the attempt that finds out is broken itself', async () => {
    const { call } = await opened()
    expect(await call(Promise.reject(new Error('bug')))).toBe('bug')
    expect(await call(WELL)).toBe('well')
    expect(changes).toEqual(['open', 'half_open', 'closed'])
  })

  it('does not stall when the attempt that finds out hangs', async () => {
    const { call } = await opened({ attemptTimeoutMillis: 50 })
    const first = call(NEVER)
    await vi.advanceTimersByTimeAsync(50)
    expect(await first).toBe('timeout')
    vi.setSystemTime(NOW + 3 * OPEN_MILLIS)
    expect(await call(WELL)).toBe('well')
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('listener')
      },
    ],
    ['rejects', () => Promise.reject(new Error('listener'))],
  ])('is not moved by a listener that %s', async (_, onCircuitChange) => {
    const { call } = await opened({ onCircuitChange: onCircuitChange as () => void })
    expect(await call(WELL)).toBe('well')
  })
})
