/** Stops calling a service that is not well, and lets one attempt find out when it is again. */

import {
  CountBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhenResult,
  isBrokenCircuitError,
  CircuitState as Phase,
} from 'cockatiel'
import type { CircuitState } from '../telemetry/auth-event.ts'
import type { Outcome } from './outcome.ts'
import { ResilienceError } from './outcome.ts'

export interface CircuitSettings {
  /** Opens when more than this share of the last attempts found the service not well. Between 0 and 1, both excluded. */
  readonly failureRatio: number
  /** Does not open before so many attempts were made. */
  readonly minimumCalls: number
  /** How many attempts are remembered. */
  readonly windowCalls: number
  /** How long it stays open before one attempt is let through, in milliseconds. */
  readonly openMillis: number
}

/** What came of an attempt, and whether it says anything about the service: not where its caller went away. */
export interface Observed<T> {
  readonly outcome: Outcome<T>
  readonly counts: boolean
}

export interface Circuit {
  /** Whether an attempt would be refused now. */
  readonly refuses: boolean
  /**
   * Runs `attempt` and learns from it.
   *
   * @throws ResilienceError `circuit_open`.
   */
  run<T>(attempt: () => Promise<Observed<T>>): Promise<Outcome<T>>
}

/** Goes past cockatiel uncounted: while the circuit is closed it does not count what is thrown. */
class Uncounted<T> extends Error {
  readonly observed: Observed<T>

  constructor(observed: Observed<T>) {
    super()
    this.observed = observed
  }
}

export function createCircuit(settings: CircuitSettings, onChange: (state: CircuitState) => void): Circuit {
  const { failureRatio, minimumCalls, windowCalls, openMillis } = settings
  let known: CircuitState = 'closed'
  let refusesUntil = 0

  const policy = circuitBreaker(handleWhenResult(isBad), {
    // Whether the service is well was not found out by an attempt whose caller went away: the next one tries at once.
    halfOpenAfter: new DelegateBackoff(({ result }) => ('value' in result && !counts(result.value) ? 0 : openMillis)),
    breaker: new CountBreaker({ threshold: failureRatio, size: windowCalls, minimumNumberOfCalls: minimumCalls }),
  })
  policy.onBreak((reason) => {
    if ('value' in reason && !counts(reason.value)) return
    refusesUntil = Date.now() + openMillis
    report('open')
  })
  policy.onHalfOpen(() => report('half_open'))
  policy.onReset(() => report('closed'))

  function report(state: CircuitState): void {
    if (state === known) return
    known = state
    onChange(state)
  }

  /** While one attempt is finding out, cockatiel would let all others wait for it, and hold their places meanwhile. */
  function refuses(): boolean {
    return policy.state === Phase.HalfOpen || (policy.state === Phase.Open && Date.now() < refusesUntil)
  }

  async function observe<T>(attempt: () => Promise<Observed<T>>): Promise<Observed<T>> {
    const decides = policy.state === Phase.HalfOpen
    const observed = await attempt()
    if (!observed.counts && !decides) throw new Uncounted(observed)
    return observed
  }

  return {
    get refuses() {
      return refuses()
    },
    async run<T>(attempt: () => Promise<Observed<T>>): Promise<Outcome<T>> {
      if (refuses()) throw new ResilienceError('circuit_open')
      const { outcome } = await policy.execute(() => observe(attempt)).catch(uncounted<T>)
      return outcome
    },
  }
}

function uncounted<T>(error: unknown): Observed<T> {
  if (error instanceof Uncounted) return error.observed as Observed<T>
  throw isBrokenCircuitError(error) ? new ResilienceError('circuit_open') : error
}

function counts(value: unknown): boolean {
  return (value as Observed<unknown>).counts
}

/** What keeps the circuit from closing: cockatiel takes everything else for a sign of health. */
function isBad(value: unknown): boolean {
  const { outcome } = value as Observed<unknown>
  return !counts(value) || (!outcome.ok && outcome.unhealthy)
}
