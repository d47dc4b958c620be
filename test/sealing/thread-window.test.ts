/** Openings of hand-overs, counted for all threads of a process. */

import { hash } from 'node:crypto'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createThreadWindow, WINDOW_BYTES } from '../../src/sealing/thread-window.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const FILE = new URL('../../src/sealing/thread-window.ts', import.meta.url).href
const room = (slots: number): SharedArrayBuffer => new SharedArrayBuffer(slots * BigUint64Array.BYTES_PER_ELEMENT)

/** Another id whose search begins in the slot of `id`. */
function neighbourOf(id: string, slots: number): string {
  const startOf = (text: string): number => hash('sha256', text, 'buffer').readUInt32LE(0) % slots
  for (let i = 0; ; i += 1) if (startOf(`neighbour-${i}`) === startOf(id)) return `neighbour-${i}`
}

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: NOW }))
afterEach(() => vi.useRealTimers())

describe('the window', () => {
  it('says 1 for the first opening, and more for every other', () => {
    const buffer = room(1024)
    const [window, another] = [createThreadWindow(buffer), createThreadWindow(buffer)]
    expect(window.count('a', NOW + 30_000)).toBe(1)
    expect([window.count('a', NOW + 30_000), another.count('a', NOW + 30_000)]).toEqual([2, 2])
    expect(another.count('b', NOW + 30_000)).toBe(1)
  })

  it('remembers while it has room, and knows nothing rather than forget', () => {
    const window = createThreadWindow(room(64))
    const ids = Array.from({ length: 64 }, (_, i) => `id-${i}`)
    expect(ids.map((id) => window.count(id, NOW + 30_000))).toEqual(ids.map(() => 1))
    expect(() => window.count('one more', NOW + 30_000)).toThrow('too many hand-overs in progress')
    expect(ids.map((id) => window.count(id, NOW + 30_000))).toEqual(ids.map(() => 2))
  })

  it('makes room a minute after their end, and not before', () => {
    const window = createThreadWindow(room(64))
    for (let i = 0; i < 64; i += 1) window.count(`id-${i}`, NOW + 30_000)
    vi.setSystemTime(NOW + 89_000)
    expect(() => window.count('b', NOW + 99_000)).toThrow()
    vi.setSystemTime(NOW + 90_000)
    expect(window.count('b', NOW + 99_000)).toBe(1)
  })

  it('of two threads that write one hand-over into two slots, the second one sees the other and opens nothing [H2]', () => {
    const buffer = room(64)
    const [window, another] = [createThreadWindow(buffer), createThreadWindow(buffer)]
    // Stands where the hand-over would, and is over before the other thread looks for a place.
    window.count(neighbourOf('a', 64), NOW)
    const exchange = Atomics.compareExchange.bind(Atomics)
    const outcomes: unknown[] = []
    const meanwhile = vi.spyOn(Atomics, 'compareExchange').mockImplementationOnce(((
      ...args: Parameters<typeof exchange>
    ) => {
      vi.setSystemTime(NOW + 61_000)
      outcomes.push(another.count('a', NOW + 90_000))
      return exchange(...args)
    }) as typeof Atomics.compareExchange)
    outcomes.push(window.count('a', NOW + 90_000))
    meanwhile.mockRestore()
    expect(outcomes).toEqual([1, 2])
  })

  it('counts in years to come, too', () => {
    const later = NOW + 2 ** 24 * 1000
    vi.setSystemTime(later)
    const window = createThreadWindow(room(64))
    expect([window.count('a', later + 30_000), window.count('a', later + 30_000)]).toEqual([1, 2])
  })
})

it('of threads that open the same ones at once, one at most has each [H2]', async () => {
  const [buffer, gate] = [new SharedArrayBuffer(WINDOW_BYTES), new SharedArrayBuffer(4)]
  const COUNT = 5_000
  const code = `
    import { workerData, parentPort } from 'node:worker_threads'
    const { createThreadWindow } = await import(workerData.file)
    const window = createThreadWindow(workerData.buffer)
    const opened = []
    parentPort.postMessage('ready')
    Atomics.wait(new Int32Array(workerData.gate), 0, 0)
    for (let i = 0; i < ${COUNT}; i += 1) if (window.count('id-' + i, workerData.end) === 1) opened.push(i)
    parentPort.postMessage(opened)`
  const start = () =>
    new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
      workerData: { file: FILE, buffer, gate, end: Date.now() + 300_000 },
    })
  const workers = [start(), start(), start()]
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  const answers = workers.map(async (worker) => (await once(worker, 'message'))[0] as number[])
  Atomics.store(new Int32Array(gate), 0, 1)
  Atomics.notify(new Int32Array(gate), 0)
  const opened = (await Promise.all(answers)).flat()
  expect(new Set(opened).size).toBe(opened.length)
  // Two that meet in one slot's time may both be refused; that is rare.
  expect(opened.length).toBeGreaterThan(COUNT * 0.99)
})
