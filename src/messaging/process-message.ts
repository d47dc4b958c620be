/** Processes one message for an adapter, and returns what the adapter must tell the broker. */

import type { Delivery, ReceivedMessage } from '../propagation/delivery.ts'
import type { TokenError } from '../token/errors.ts'
import { consumeFromBroker } from './consume.ts'
import type { AdapterOptions, StrictAdapterOptions } from './options.ts'
import { reportFailure } from './options.ts'
import type { WaitOptions } from './undecided-wait.ts'
import { waitFor } from './undecided-wait.ts'

/**
 * `done`: handled, or taken by `onRejected`. `failed`: the handler threw. `rejected`: the token is bad. `undecided`: no
 * decision is possible now. `unprocessed`: the handler did not run for another reason, or `onRejected` failed. A
 * message with `retryAfterMillis` must be delivered again after that time.
 */
export type ProcessingResult<T> =
  | { readonly status: 'done'; readonly result: T | undefined }
  | { readonly status: 'failed'; readonly error: unknown }
  | { readonly status: 'rejected'; readonly error: TokenError }
  | { readonly status: 'undecided'; readonly error: TokenError; readonly retryAfterMillis: number }
  | { readonly status: 'unprocessed'; readonly error: unknown; readonly retryAfterMillis: number }

const UNPROCESSED_RETRY_MILLIS = 5_000

/**
 * Runs `handler` for `item`, a message with the source and headers of `received`. Only an error of the handler makes
 * the message fail: any other error, for example an inactive relay, must not lose the message. Never rejects.
 */
export async function processMessage<M, T>(
  item: M,
  received: ReceivedMessage,
  handler: (delivery: Delivery) => T,
  options: AdapterOptions<M>,
  waiting: WaitOptions,
): Promise<ProcessingResult<Awaited<T>>> {
  let isFailed = false
  const handle = async (delivery: Delivery): Promise<Awaited<T>> => {
    try {
      return await handler(delivery)
    } catch (error) {
      isFailed = true
      throw error
    }
  }
  try {
    const consumed = await consumeFromBroker(received, handle, options, waiting)
    switch (consumed.verdict) {
      case 'handled':
        return { status: 'done', result: consumed.result }
      case 'rejected':
        return await passToOnRejected(item, consumed.error, options)
      case 'undecided':
        return { status: 'undecided', error: consumed.error, retryAfterMillis: consumed.retryAfterMillis }
    }
  } catch (error) {
    return isFailed ? { status: 'failed', error } : toUnprocessed(error)
  }
}

/**
 * Processes a message of a broker that keeps messages in order: the next message must not overtake one that is not
 * done.
 *
 * @throws the error of a message that is not done. Unless `handler` threw it, at least one second has passed, because
 * clients read the message again at once.
 */
export async function processInOrder<M>(
  item: M,
  received: ReceivedMessage,
  handler: (delivery: Delivery) => unknown,
  options: StrictAdapterOptions<M>,
  waiting: WaitOptions,
): Promise<void> {
  const processed = await processMessage(item, received, handler, options, waiting)
  if (processed.status === 'done') return
  if ('retryAfterMillis' in processed) await waitFor(processed.retryAfterMillis, waiting)
  throw processed.error
}

async function passToOnRejected<M>(
  item: M,
  error: TokenError,
  { onRejected }: AdapterOptions<M>,
): Promise<ProcessingResult<undefined>> {
  if (onRejected === undefined) return { status: 'rejected', error }
  try {
    await onRejected(item, error)
    return { status: 'done', result: undefined }
  } catch (reason) {
    reportFailure()
    return toUnprocessed(reason)
  }
}

function toUnprocessed(error: unknown): ProcessingResult<never> {
  return { status: 'unprocessed', error, retryAfterMillis: UNPROCESSED_RETRY_MILLIS }
}
