/** The outcome of an attempt, as retries and circuits need it: no HTTP, no message, no error class. */

/** How an attempt ended. Attempts report their errors; they do not throw them. */
export type Outcome<T> = Success<T> | Failure

interface Success<T> {
  readonly ok: true
  readonly value: T
}

export interface Failure {
  readonly ok: false
  /** The error that the caller gets, unless another attempt succeeds. */
  readonly error: unknown
  /** Whether it counts against the circuit: the service is not well. A refusal of one that is well does not count. */
  readonly unhealthy: boolean
  /** Whether the same attempt may succeed a moment later. */
  readonly transient: boolean
  /** How long the service wants to be left alone, in milliseconds. */
  readonly retryAfterMillis?: number | undefined
}

/** Why a call has no outcome. */
export type ResilienceReason = 'timeout' | 'aborted' | 'circuit_open' | 'bulkhead_full'

/**
 * The call did not come to an end, or was not begun. Never leaves this package: each caller makes its own error of it.
 */
export class ResilienceError extends Error {
  override readonly name = 'ResilienceError'
  readonly reason: ResilienceReason

  constructor(reason: ResilienceReason) {
    super(reason)
    this.reason = reason
  }
}
