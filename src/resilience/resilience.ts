/** Deadline, retries, bulkhead and circuit breaker around attempts of any kind, each for its own caller. */

import { context, trace } from '@opentelemetry/api'
import { isTaskCancelledError, TaskCancelledError, TimeoutStrategy, timeout } from 'cockatiel'
import { measureCircuitChange, measureOccupancy, measureRetry } from '../telemetry/call-metrics.ts'
import type { CircuitState, ServerAttributes } from '../telemetry/events.ts'
import { recordOnSpan } from '../telemetry/record.ts'
import type { Bulkhead, BulkheadSettings } from './bulkhead.ts'
import { createBulkhead } from './bulkhead.ts'
import type { Circuit, CircuitSettings, Observed } from './circuit.ts'
import { createCircuit } from './circuit.ts'
import type { Outcome } from './outcome.ts'
import { ResilienceError } from './outcome.ts'
import type { RetrySettings } from './retry.ts'
import { createRetry } from './retry.ts'

export interface ResilienceSettings {
  /** The server that the attempts go to, for events and metrics. */
  readonly server: ServerAttributes
  /** How long a call may take, in milliseconds: waiting for its turn, attempts, and the time between them. */
  readonly timeoutMillis: number
  /** How long one attempt may take, in milliseconds. Default: as long as the call. */
  readonly attemptTimeoutMillis?: number | undefined
  /** Default: one attempt. */
  readonly retry?: RetrySettings | undefined
  /** Default: the service is called, however often it fails. */
  readonly circuitBreaker?: CircuitSettings | undefined
  /** Default: any number of attempts may be under way. */
  readonly bulkhead?: BulkheadSettings | undefined
  /** Called when the circuit changes, in the context of the call that changed it. */
  readonly onCircuitChange?: ((state: CircuitState) => void) | undefined
}

interface ExecuteOptions {
  /** The caller's signal: nothing is attempted, counted or waited for after it has fired. */
  readonly signal?: AbortSignal | undefined
  /** Instead of that of the settings. */
  readonly timeoutMillis?: number | undefined
  /** Whether the attempt may be made twice. */
  readonly repeatable: boolean
}

/** One attempt. It reports errors in its outcome, and stops when `signal` fires. */
type Attempt<T> = (signal: AbortSignal) => Promise<Outcome<T>>

export interface Resilience {
  /**
   * Makes `attempt`, as often as it takes and may be.
   *
   * @throws the error of the last outcome, or ResilienceError if there is none.
   */
  execute<T>(attempt: Attempt<T>, options: ExecuteOptions): Promise<T>
}

const ONE_ATTEMPT: RetrySettings = { maxAttempts: 1, baseDelayMillis: 0, maxDelayMillis: 0, budgetRatio: 0 }

/**
 * Put together in this order, from the outside:
 *
 * 1. the deadline bounds everything below, so that a caller waits as long as it said and no longer;
 * 2. retries: each attempt queues again and is counted separately, and no call holds a place while it waits to retry;
 * 3. the bulkhead, after a look at the circuit: no call queues for what would be refused;
 * 4. the circuit breaker, inside of the bulkhead, so that waiting for a turn is not held against the service;
 * 5. the time-out of an attempt, which the circuit breaker therefore sees.
 */
export function createResilience(settings: ResilienceSettings): Resilience {
  const { server } = settings
  const circuit = circuitOf(settings)
  const bulkhead = bulkheadOf(settings)
  const retry = createRetry(settings.retry ?? ONE_ATTEMPT, {
    refuses: () => circuit.refuses,
    onRetry: () => measureRetry(server),
  })

  return {
    async execute(attempt, { signal: caller, timeoutMillis = settings.timeoutMillis, repeatable }) {
      if (caller?.aborted === true) throw new ResilienceError('aborted')
      // A queue, a timer or the response of another caller may run it: it keeps the caller that it was made for.
      const bound = context.bind(context.active(), attempt)
      const limit = settings.attemptTimeoutMillis ?? timeoutMillis
      const deadlineMillis = Date.now() + timeoutMillis

      const once = (signal: AbortSignal) => {
        if (circuit.refuses) throw new ResilienceError('circuit_open')
        return bulkhead.run(() => circuit.run(() => observe(bound, { limit, signal, caller })), signal)
      }
      try {
        return await timeout(timeoutMillis, TimeoutStrategy.Aggressive).execute(
          ({ signal }) => retry.run(async () => once(signal), { signal, deadlineMillis, repeatable }),
          caller,
        )
      } catch (error) {
        throw reasonOf(error, caller)
      }
    },
  }
}

interface ObserveOptions {
  readonly limit: number
  /** Fires at the deadline, or with the caller's. */
  readonly signal: AbortSignal
  readonly caller: AbortSignal | undefined
}

/**
 * Ends when the signal fires, whether the attempt does or not: one that hangs must not keep its place, or the circuit.
 */
async function observe<T>(attempt: Attempt<T>, { limit, signal, caller }: ObserveOptions): Promise<Observed<T>> {
  try {
    const outcome = await timeout(limit, TimeoutStrategy.Aggressive).execute(async ({ signal: own }) => {
      const outcome = await attempt(own)
      // It failed because it had to stop: that says nothing about the service.
      if (!outcome.ok && own.aborted) throw new TaskCancelledError()
      return outcome
    }, signal)
    return { outcome, counts: true }
  } catch (error) {
    if (caller?.aborted === true) return toFailure(new ResilienceError('aborted'), false)
    // An attempt does not throw: this one is broken, which is not the service's fault.
    return isTaskCancelledError(error) ? toFailure(new ResilienceError('timeout'), true) : toFailure(error, false)
  }
}

function toFailure(error: unknown, counts: boolean): Observed<never> {
  return { outcome: { ok: false, error, unhealthy: counts, transient: counts }, counts }
}

function reasonOf(error: unknown, caller: AbortSignal | undefined): unknown {
  const cancelled = isTaskCancelledError(error) || (error instanceof ResilienceError && error.reason === 'aborted')
  return cancelled ? new ResilienceError(caller?.aborted === true ? 'aborted' : 'timeout') : error
}

function bulkheadOf({ bulkhead, server }: ResilienceSettings): Bulkhead {
  const unlimited = { maxConcurrent: Number.POSITIVE_INFINITY, maxQueued: 0 }
  return createBulkhead(bulkhead ?? unlimited, (state) => measureOccupancy(server, state))
}

function circuitOf({ circuitBreaker, server, onCircuitChange }: ResilienceSettings): Circuit {
  if (circuitBreaker === undefined) return ALWAYS_CLOSED
  return createCircuit(circuitBreaker, (state) => {
    recordOnSpan(trace.getActiveSpan(), { name: 'resilience.circuit.changed', state, server })
    measureCircuitChange(server, state)
    // A listener must not decide how a call ends.
    const notify = async (): Promise<void> => onCircuitChange?.(state)
    notify().catch(() => undefined)
  })
}

const ALWAYS_CLOSED: Circuit = {
  refuses: false,
  run: async (attempt) => (await attempt()).outcome,
}
