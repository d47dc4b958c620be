/** The bulkhead: a bound on what is under way, a queue in order, and no place for those who have gone. */

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Outcome } from '../../src/resilience/outcome.ts'
import type { Resilience } from '../../src/resilience/resilience.ts'
import { createResilience } from '../../src/resilience/resilience.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** Attempts that end when the test says so, by name, and the order in which they began. */
function createRig(resilience: Resilience) {
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  return {
    begun,
    end: async (name: string): Promise<void> => {
      ends.get(name)?.()
      await vi.advanceTimersByTimeAsync(0)
    },
    call: (name: string, options: { signal?: AbortSignal; timeoutMillis?: number } = {}): Promise<string> => {
      const attempt = (): Promise<Outcome<string>> => {
        begun.push(name)
        return new Promise((resolve) => ends.set(name, () => resolve({ ok: true, value: name })))
      }
      return resilience
        .execute(attempt, { repeatable: false, ...options })
        .catch((error: Error) => `${name}: ${error.message}`)
    },
  }
}

function create(maxConcurrent: number, maxQueued: number, timeoutMillis = 60_000) {
  const server = { 'server.address': 'a.example', 'server.port': 443 }
  return createRig(createResilience({ server, timeoutMillis, bulkhead: { maxConcurrent, maxQueued } }))
}

it('runs as many as it may, queues as many as it may, and refuses the rest at once', async () => {
  const rig = create(2, 1)
  const calls = ['a', 'b', 'c', 'd'].map((name) => rig.call(name))
  expect(await calls[3]).toBe('d: bulkhead_full')
  expect(rig.begun).toEqual(['a', 'b'])
  await rig.end('b')
  expect(rig.begun).toEqual(['a', 'b', 'c'])
  await rig.end('a')
  await rig.end('c')
  expect(await Promise.all(calls.slice(0, 3))).toEqual(['a', 'b', 'c'])
})

it.each([
  0, 1, 2, 3, 4, 5, 6,
])('an attempt that waits is next, even if another one comes %s steps later', async (steps) => {
  const rig = create(1, 1)
  const calls = [rig.call('first'), rig.call('queued')]
  const newcomer = async (): Promise<string> => {
    for (let i = 0; i < steps; i += 1) await undefined
    return rig.call('newcomer')
  }
  await vi.advanceTimersByTimeAsync(0)
  const ending = rig.end('first')
  const late = newcomer()
  await ending
  expect(rig.begun).toEqual(['first', 'queued'])
  await rig.end('queued')
  await rig.end('newcomer')
  expect(await Promise.all(calls)).toEqual(['first', 'queued'])
  expect(await late).toMatch(/^newcomer/)
})

it('an attempt whose caller goes away leaves its place in the queue to others', async () => {
  const rig = create(1, 1)
  const gone = new AbortController()
  const [first, aborted] = [rig.call('first'), rig.call('aborted', { signal: gone.signal })]
  await vi.advanceTimersByTimeAsync(0)
  gone.abort()
  expect(await aborted).toBe('aborted: aborted')
  const next = rig.call('next')
  await rig.end('first')
  await rig.end('next')
  expect([await first, await next, rig.begun]).toEqual(['first', 'next', ['first', 'next']])
})

it('waiting for a turn counts against the deadline', async () => {
  const rig = create(1, 1)
  const calls = [rig.call('first'), rig.call('late', { timeoutMillis: 100 })]
  await vi.advanceTimersByTimeAsync(100)
  expect(await calls[1]).toBe('late: timeout')
  await rig.end('first')
  expect([await calls[0], rig.begun]).toEqual(['first', ['first']])
})

it('an attempt that hangs loses its place with its caller', async () => {
  const rig = create(1, 1)
  const calls = [rig.call('hangs', { timeoutMillis: 100 }), rig.call('next')]
  await vi.advanceTimersByTimeAsync(100)
  await rig.end('next')
  expect(await Promise.all(calls)).toEqual(['hangs: timeout', 'next'])
})
