/** Retries: at random, later each time, as the service asks, within budget and deadline, and only while the caller waits. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { failureOfStatus, parseRetryAfter } from '../../src/resilience/http.ts'
import type { Outcome } from '../../src/resilience/outcome.ts'
import type { ResilienceSettings } from '../../src/resilience/resilience.ts'
import { createResilience } from '../../src/resilience/resilience.ts'

const NOW = Date.UTC(2024, 0, 1)
const WELL: Outcome<string> = { ok: true, value: 'well' }
const failing = (more: object = {}): Outcome<string> => ({
  ok: false,
  error: new Error('failing'),
  unhealthy: true,
  transient: true,
  ...more,
})

beforeEach(() => vi.useFakeTimers({ now: NOW }))
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

function create(more: Partial<ResilienceSettings> = {}) {
  const resilience = createResilience({
    server: { 'server.address': 'a.example', 'server.port': 443 },
    timeoutMillis: 60_000,
    retry: { maxAttempts: 3, baseDelayMillis: 100, maxDelayMillis: 150, budgetRatio: 0.2 },
    ...more,
  })
  const times: number[] = []
  const call = (outcomes: readonly Outcome<string>[], signal?: AbortSignal, repeatable = true): Promise<string> => {
    let n = 0
    const attempt = async (): Promise<Outcome<string>> => {
      times.push(Date.now() - NOW)
      return outcomes[Math.min(n++, outcomes.length - 1)] ?? WELL
    }
    return resilience.execute(attempt, { repeatable, signal }).catch((error: Error) => error.message)
  }
  return { call, times }
}

describe('the wait before another attempt', () => {
  it.each([
    [0.999, [0, 99, 248]],
    [0.5, [0, 50, 125]],
  ])('is random up to a bound that grows to its maximum: %s', async (random, expected) => {
    vi.spyOn(Math, 'random').mockReturnValue(random)
    const { call, times } = create()
    const result = call([failing(), failing(), WELL])
    await vi.advanceTimersByTimeAsync(1_000)
    expect([await result, times]).toEqual(['well', expected])
  })

  it('is as long as the service asks, and some more', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    const { call, times } = create()
    const result = call([failing({ retryAfterMillis: 7_000 }), WELL])
    await vi.advanceTimersByTimeAsync(10_000)
    expect([await result, times]).toEqual(['well', [0, 7_050]])
  })

  it('is not begun if it would end after the deadline: the call fails at once', async () => {
    const { call, times } = create({ timeoutMillis: 7_000 })
    expect(await call([failing({ retryAfterMillis: 7_000 }), WELL])).toBe('failing')
    expect(times).toEqual([0])
  })

  it('ends when the caller goes away, and leaves no timer behind', async () => {
    const { call, times } = create()
    const gone = new AbortController()
    const result = call([failing({ retryAfterMillis: 7_000 }), WELL], gone.signal)
    await vi.advanceTimersByTimeAsync(10)
    gone.abort()
    expect(await result).toBe('aborted')
    expect([times, vi.getTimerCount()]).toEqual([[0], 0])
  })
})

describe('there is no other attempt', () => {
  it.each([
    ['if the request may not be repeated', [failing(), WELL], false],
    ['if the failure is not transient', [failing({ transient: false }), WELL], true],
  ])('%s', async (_, outcomes, repeatable) => {
    const { call, times } = create()
    expect(await call(outcomes, undefined, repeatable)).toBe('failing')
    expect(times).toHaveLength(1)
  })

  it('if the circuit has opened: its failure is what the caller gets', async () => {
    const { call, times } = create({
      circuitBreaker: { failureRatio: 0.5, minimumCalls: 1, windowCalls: 10, openMillis: 5_000 },
    })
    expect([await call([failing(), WELL]), await call([WELL])]).toEqual(['failing', 'circuit_open'])
    expect(times).toHaveLength(1)
  })

  it('if the bulkhead is full', async () => {
    const { call, times } = create({ bulkhead: { maxConcurrent: 1, maxQueued: 0 } })
    const results = [call([WELL]), call([WELL])]
    expect(await Promise.all(results)).toEqual(['well', 'bulkhead_full'])
    expect(times).toHaveLength(1)
  })
})

describe('the budget', () => {
  it('allows ten retries in ten seconds, then one for every five calls, and forgets', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0)
    const { call, times } = create({
      retry: { maxAttempts: 2, baseDelayMillis: 1, maxDelayMillis: 1, budgetRatio: 0.2 },
    })
    const calls = async (count: number): Promise<number> => {
      const before = times.length
      const results = Array.from({ length: count }, () => call([failing()]))
      await vi.advanceTimersByTimeAsync(1)
      await Promise.all(results)
      return times.length - before - count
    }
    expect(await calls(40)).toBe(10)
    expect(await calls(60)).toBe(10)
    expect(await calls(50)).toBe(10)
    vi.setSystemTime(NOW + 11_000)
    expect(await calls(3)).toBe(3)
  })
})

describe('Retry-After', () => {
  it.each([
    ['7', 7_000],
    ['0', 0],
    [new Date(NOW + 9_000).toUTCString(), 9_000],
    [new Date(NOW - 9_000).toUTCString(), 0],
    ['-1', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['2024-01-01', undefined],
    ['99999999999999', undefined],
    [null, undefined],
  ])('%s', (value, expected) => {
    expect(parseRetryAfter(value)).toBe(expected)
  })

  it('counts only if another attempt makes sense', () => {
    const headers = new Headers({ 'retry-after': '7' })
    expect(failureOfStatus(503, headers, 'e')).toMatchObject({
      unhealthy: true,
      transient: true,
      retryAfterMillis: 7_000,
    })
    expect(failureOfStatus(429, headers, 'e')).toMatchObject({ unhealthy: false, transient: true })
    expect(failureOfStatus(500, headers, 'e')).toMatchObject({ unhealthy: true, transient: false })
    expect(failureOfStatus(301, headers, 'e').retryAfterMillis).toBeUndefined()
  })
})
