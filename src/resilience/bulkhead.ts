/** At most so many attempts at a time, and so many that wait for their turn. */

import { ResilienceError } from './outcome.ts'

export interface BulkheadSettings {
  /** Most attempts that are under way at a time. */
  readonly maxConcurrent: number
  /** Most attempts that wait for their turn. */
  readonly maxQueued: number
}

/** Told when an attempt begins or waits; the returned function is called when it does so no longer. */
export type Occupy = (where: 'running' | 'queued') => () => void

export interface Bulkhead {
  /**
   * Runs `attempt` when it is its turn.
   *
   * @throws ResilienceError `bulkhead_full`, or `aborted` where `signal` fires while it waits.
   */
  run<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T>
}

/**
 * Not cockatiel's: there, whoever comes in the moment a place is free overtakes those who wait, who may then be refused
 * after having waited, and those who gave up keep their place in the queue. Here a place is handed over directly.
 */
export function createBulkhead({ maxConcurrent, maxQueued }: BulkheadSettings, occupy: Occupy): Bulkhead {
  const waiting = new Set<() => void>()
  let active = 0

  async function enter(signal: AbortSignal): Promise<void> {
    if (active < maxConcurrent) {
      active += 1
      return
    }
    if (waiting.size >= maxQueued) throw new ResilienceError('bulkhead_full')
    const leaveQueue = occupy('queued')
    try {
      await turn(signal)
    } finally {
      leaveQueue()
    }
  }

  function turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        signal.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = (): void => {
        waiting.delete(begin)
        reject(new ResilienceError('aborted'))
      }
      waiting.add(begin)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  function leave(): void {
    const [next] = waiting
    if (next === undefined) {
      active -= 1
      return
    }
    waiting.delete(next)
    next()
  }

  return {
    async run(attempt, signal) {
      if (signal.aborted) throw new ResilienceError('aborted')
      await enter(signal)
      const ended = occupy('running')
      try {
        return await attempt()
      } finally {
        ended()
        leave()
      }
    },
  }
}
