/** Waits with an undecided message, for as long as this consumer may keep it. */

import { setTimeout as sleep } from 'node:timers/promises'
import { monotonicNow } from '../base/clock.ts'
import type { TokenError } from '../token/errors.ts'
import { UndecidedError } from '../token/errors.ts'

/** How an adapter keeps a message that waits. */
export interface WaitOptions {
  /** Ends the wait: this consumer no longer handles the message. */
  readonly signal?: AbortSignal | undefined
  /** Aborted when the broker delivers the message to another consumer. No opening may be used up here after that. */
  readonly lost?: AbortSignal
  /** Keeps the message while it waits; called at once and every second. If it throws, the message is lost. */
  readonly keepAlive?: (() => unknown) | undefined
  /** `false` if the connection to the broker keeps the process alive, so that the timer need not. */
  readonly ref?: boolean
}

/**
 * Checks `undecidedMillis`. A value that is not a number would wait forever and without a pause.
 *
 * @throws TypeError that names the option, never its value.
 */
export function checkUndecidedMillis({ undecidedMillis }: { readonly undecidedMillis?: unknown }): void {
  if (undecidedMillis === undefined || (typeof undecidedMillis === 'number' && undecidedMillis >= 0)) return
  throw new TypeError('undecidedMillis: expected milliseconds, 0 or more')
}

const KEEP_ALIVE_MILLIS = 1_000

/** Resolves after `millis`, or when the signal is aborted. Rejects with the error of `keepAlive`. */
export async function waitFor(millis: number, { signal, keepAlive, ref = true }: WaitOptions): Promise<void> {
  const end = monotonicNow() + millis
  const stepMillis = keepAlive === undefined ? millis : KEEP_ALIVE_MILLIS
  for (let left = millis; left > 0 && !isAborted(signal); left = end - monotonicNow()) {
    await keepAlive?.()
    await sleep(Math.ceil(Math.min(left, stepMillis)), undefined, { ref, ...(signal && { signal }) }).catch(ignoreAbort)
  }
}

function ignoreAbort(): void {
  // The signal ended the wait.
}

/** A function, because TypeScript assumes that a property keeps its value across an `await`. */
export function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

/** Returns how long to wait before the next attempt to decide, in milliseconds. */
export function retryDelayOf(error: TokenError): number {
  return error instanceof UndecidedError ? error.retryAfterSeconds * 1000 : 1_000
}

const MIN_REDELIVERY_MILLIS = 1_000
const MAX_REDELIVERY_MILLIS = 30_000

/**
 * Returns how long to keep an undecided message before the broker redelivers it. Without a delay it would come back in
 * a loop.
 */
export function redeliveryDelayOf(error: TokenError): number {
  return Math.min(MAX_REDELIVERY_MILLIS, Math.max(MIN_REDELIVERY_MILLIS, retryDelayOf(error)))
}

/**
 * Returns a longer redelivery delay for a message that the broker has redelivered `count` times: it doubles each time.
 */
export function growRedeliveryDelay(millis: number, count: number): number {
  return Math.min(MAX_REDELIVERY_MILLIS, Math.max(millis, MIN_REDELIVERY_MILLIS * 2 ** Math.min(count, 10)))
}
