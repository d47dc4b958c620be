/** Bounds how much of the load retries may be, so that they cannot keep a service down (a retry storm). */

const WINDOW_SECONDS = 10
const FLOOR = 10

export interface RetryBudget {
  /** Notes a first attempt. */
  deposit(): void
  /** Takes one retry. Returns false if none is left. */
  withdraw(): boolean
}

interface Second {
  at: number
  calls: number
  retries: number
}

/** Within 10 seconds at most `ratio` retries for each first attempt, or 10 in all if that is more. */
export function createRetryBudget(ratio: number): RetryBudget {
  const seconds: Second[] = Array.from({ length: WINDOW_SECONDS }, () => ({ at: 0, calls: 0, retries: 0 }))

  function current(): Second {
    const at = Math.floor(Date.now() / 1000)
    const second = seconds[at % WINDOW_SECONDS] as Second
    if (second.at !== at) Object.assign(second, { at, calls: 0, retries: 0 })
    return second
  }

  function total(of: 'calls' | 'retries'): number {
    const oldest = Math.floor(Date.now() / 1000) - WINDOW_SECONDS
    return seconds.reduce((sum, second) => (second.at > oldest ? sum + second[of] : sum), 0)
  }

  return {
    deposit() {
      current().calls += 1
    },
    withdraw() {
      const second = current()
      if (total('retries') >= Math.max(FLOOR, ratio * total('calls'))) return false
      second.retries += 1
      return true
    },
  }
}
