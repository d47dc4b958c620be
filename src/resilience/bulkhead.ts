/** Bounds how many attempts are under way, and how many wait for their turn. */

import { ResilienceError } from './outcome.ts'

export interface BulkheadSettings {
  /** Most attempts that are under way at a time. */
  readonly maxConcurrent: number
  /** Most attempts that wait for their turn. */
  readonly maxQueued: number
}

/** Called when an attempt begins to run or to wait; the returned function is called when that ends. */
export type Occupy = (state: 'running' | 'queued') => () => void

export interface Bulkhead {
  /**
   * Runs `attempt` when it is its turn.
   *
   * @throws ResilienceError `bulkhead_full`, or `aborted` if `signal` fires while it waits.
   */
  run<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T>
}

export function createBulkhead(settings: BulkheadSettings, occupy: Occupy): Bulkhead {
  return new FairBulkhead(settings, occupy)
}

/**
 * Not cockatiel's: there, an attempt that comes the moment a place is free overtakes those that wait, which may then be
 * refused although they waited, and those that gave up keep their place in the queue. Here a place is handed over
 * directly.
 */
class FairBulkhead implements Bulkhead {
  readonly #settings: BulkheadSettings
  readonly #occupy: Occupy
  /** Each begins one attempt that waits, in the order in which they came. */
  readonly #waiting = new Set<() => void>()
  #active = 0

  constructor(settings: BulkheadSettings, occupy: Occupy) {
    this.#settings = settings
    this.#occupy = occupy
  }

  async run<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (signal.aborted) throw new ResilienceError('aborted')
    await this.#enter(signal)
    const end = this.#occupy('running')
    try {
      return await attempt()
    } finally {
      end()
      this.#leave()
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    if (this.#active < this.#settings.maxConcurrent) {
      this.#active += 1
      return
    }
    if (this.#waiting.size >= this.#settings.maxQueued) throw new ResilienceError('bulkhead_full')
    const leaveQueue = this.#occupy('queued')
    try {
      await this.#waitForTurn(signal)
    } finally {
      leaveQueue()
    }
  }

  #waitForTurn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        signal.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = (): void => {
        this.#waiting.delete(begin)
        reject(new ResilienceError('aborted'))
      }
      this.#waiting.add(begin)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  #leave(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#active -= 1
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
