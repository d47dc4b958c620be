/** Repeats attempts that failed for a moment: later each time, as the service asks, and never past the deadline. */

import type { Failure, Outcome } from './outcome.ts'
import { ResilienceError } from './outcome.ts'
import { createRetryBudget } from './retry-budget.ts'

export interface RetrySettings {
  /** Most attempts, the first included. */
  readonly maxAttempts: number
  /** Longest wait before the second attempt, in milliseconds; doubled for each further one. */
  readonly baseDelayMillis: number
  /** Longest wait before any attempt, in milliseconds, unless the service asks for more. */
  readonly maxDelayMillis: number
  /** How many retries each first attempt allows: see `createRetryBudget`. */
  readonly budgetRatio: number
}

interface RetryCall {
  readonly signal: AbortSignal
  /** When the caller stops waiting, in milliseconds since the epoch. */
  readonly deadlineMillis: number
  /** Whether the attempt may be made twice. */
  readonly repeatable: boolean
}

export interface Retry {
  /**
   * Makes attempts until one succeeds or another makes no sense.
   *
   * @throws what the last attempt failed with; ResilienceError `aborted` if the signal fires in between.
   */
  run<T>(attempt: () => Promise<Outcome<T>>, call: RetryCall): Promise<T>
}

export interface RetryPorts {
  /** Whether an attempt would be refused anyway. */
  readonly refuses: () => boolean
  readonly onRetry: () => void
}

/** Not cockatiel's: its waits cannot be aborted, and cannot be given up for the deadline or the budget. */
export function createRetry(settings: RetrySettings, { refuses, onRetry }: RetryPorts): Retry {
  const budget = createRetryBudget(settings.budgetRatio)

  /** How long to wait before the next attempt; `undefined` if there must be none. */
  function delayAfter(failure: Failure, made: number, { deadlineMillis, repeatable }: RetryCall): number | undefined {
    if (!failure.transient || !repeatable || made >= settings.maxAttempts || refuses()) return undefined
    const delay = (failure.retryAfterMillis ?? 0) + jitter(settings, made)
    if (Date.now() + delay >= deadlineMillis) return undefined
    return budget.withdraw() ? delay : undefined
  }

  return {
    async run(attempt, call) {
      budget.deposit()
      for (let made = 1; ; made += 1) {
        const outcome = await attempt()
        if (outcome.ok) return outcome.value
        const delay = delayAfter(outcome, made, call)
        if (delay === undefined) throw outcome.error
        await sleep(delay, call.signal)
        onRetry()
      }
    },
  }
}

/** Full jitter: callers that failed together do not come back together. */
function jitter({ baseDelayMillis, maxDelayMillis }: RetrySettings, made: number): number {
  return Math.random() * Math.min(maxDelayMillis, baseDelayMillis * 2 ** (made - 1))
}

function sleep(millis: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      clearTimeout(timer)
      reject(new ResilienceError('aborted'))
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', giveUp)
      resolve()
    }, millis)
    if (signal.aborted) giveUp()
    else signal.addEventListener('abort', giveUp, { once: true })
  })
}
