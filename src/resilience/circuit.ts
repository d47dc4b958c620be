/** Stops calling a service that fails, and lets one attempt find out whether it works again. */

import type { CircuitBreakerPolicy } from 'cockatiel'
import {
  CountBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhenResult,
  isBrokenCircuitError,
  CircuitState as Phase,
} from 'cockatiel'
import type { CircuitState } from '../telemetry/events.ts'
import type { Outcome } from './outcome.ts'
import { ResilienceError } from './outcome.ts'

export interface CircuitSettings {
  /** Opens when more than this share of the last attempts failed. Between 0 and 1, both excluded. */
  readonly failureRatio: number
  /** Does not open before this many attempts were made. */
  readonly minimumCalls: number
  /** How many attempts are remembered. */
  readonly windowCalls: number
  /** How long it stays open before one attempt is let through, in milliseconds. */
  readonly openMillis: number
}

/** The outcome of an attempt, and whether it says anything about the service: not if the caller went away. */
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

/** Carries an outcome past cockatiel, which does not count what is thrown while the circuit is closed. */
class Uncounted<T> extends Error {
  readonly observed: Observed<T>

  constructor(observed: Observed<T>) {
    super()
    this.observed = observed
  }
}

export function createCircuit(settings: CircuitSettings, onChange: (state: CircuitState) => void): Circuit {
  return new CockatielCircuit(settings, onChange)
}

class CockatielCircuit implements Circuit {
  readonly #settings: CircuitSettings
  readonly #onChange: (state: CircuitState) => void
  readonly #policy: CircuitBreakerPolicy
  #reported: CircuitState = 'closed'
  #refusesUntil = 0

  constructor(settings: CircuitSettings, onChange: (state: CircuitState) => void) {
    this.#settings = settings
    this.#onChange = onChange
    this.#policy = createPolicy(settings)
    this.#policy.onBreak((reason) => {
      if (!('value' in reason) || counts(reason.value)) this.#open()
    })
    this.#policy.onHalfOpen(() => this.#report('half_open'))
    this.#policy.onReset(() => this.#report('closed'))
  }

  /**
   * While one attempt is finding out, cockatiel would make all others wait for it, each in its place of the bulkhead.
   */
  get refuses(): boolean {
    const { state } = this.#policy
    return state === Phase.HalfOpen || (state === Phase.Open && Date.now() < this.#refusesUntil)
  }

  async run<T>(attempt: () => Promise<Observed<T>>): Promise<Outcome<T>> {
    if (this.refuses) throw new ResilienceError('circuit_open')
    const { outcome } = await this.#policy.execute(() => this.#observe(attempt)).catch(unwrapUncounted<T>)
    return outcome
  }

  async #observe<T>(attempt: () => Promise<Observed<T>>): Promise<Observed<T>> {
    const decides = this.#policy.state === Phase.HalfOpen
    const observed = await attempt()
    if (!observed.counts && !decides) throw new Uncounted(observed)
    return observed
  }

  #open(): void {
    this.#refusesUntil = Date.now() + this.#settings.openMillis
    this.#report('open')
  }

  #report(state: CircuitState): void {
    if (state === this.#reported) return
    this.#reported = state
    this.#onChange(state)
  }
}

function createPolicy({ failureRatio, minimumCalls, windowCalls, openMillis }: CircuitSettings): CircuitBreakerPolicy {
  return circuitBreaker(handleWhenResult(isBad), {
    // An attempt whose caller went away says nothing about the service: the next one tries at once.
    halfOpenAfter: new DelegateBackoff(({ result }) => ('value' in result && !counts(result.value) ? 0 : openMillis)),
    breaker: new CountBreaker({ threshold: failureRatio, size: windowCalls, minimumNumberOfCalls: minimumCalls }),
  })
}

function unwrapUncounted<T>(error: unknown): Observed<T> {
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
