/** What an attempt came to, in the words that retries and circuits need: no HTTP, no message, no error class. */

/** How an attempt ended. Attempts report their errors; they do not throw them. */
export type Outcome<T> = Success<T> | Failure

export interface Success<T> {
  readonly ok: true
  readonly value: T
}

export interface Failure {
  readonly ok: false
  /** What the caller gets, unless another attempt succeeds. */
  readonly error: unknown
  /** Whether it counts against the circuit: the service is not well. A refusal of one that is well does not count. */
  readonly unhealthy: boolean
  /** Whether the same attempt may succeed a moment later. */
  readonly transient: boolean
  /** How long the service wants to be left alone, in milliseconds. */
  readonly retryAfterMillis?: number | undefined
}

/** Why a call has no outcome of its own. */
export type ResilienceReason = 'timeout' | 'aborted' | 'circuit_open' | 'bulkhead_full'

/** The call did not come to an end, or was not begun. Never leaves this package: whoever calls makes it an error of theirs. */
export class ResilienceError extends Error {
  override readonly name = 'ResilienceError'
  readonly reason: ResilienceReason

  constructor(reason: ResilienceReason) {
    super(reason)
    this.reason = reason
  }
}
