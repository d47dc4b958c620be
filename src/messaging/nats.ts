/** otel-token-relay/nats: NATS subscribers and JetStream consumers handle each message as its caller. */

import type { AdapterOptions, Handler } from './options.ts'
import { reportFailure } from './options.ts'
import type { ProcessingResult } from './process-message.ts'
import { processMessage } from './process-message.ts'
import { produce } from './produce.ts'
import type { WaitOptions } from './undecided-wait.ts'
import { checkUndecidedMillis } from './undecided-wait.ts'

export type { AdapterOptions, Handler } from './options.ts'
export { withoutToken } from './options.ts'

/** A message of NATS or JetStream. Only a JetStream message can be acknowledged. */
export interface NatsMessage {
  readonly subject: string
  readonly headers?: Iterable<readonly [string, readonly string[]]> | undefined
  ack?(): void
  nak?(millis?: number): void
  working?(): void
  term?(reason?: string): void
}

/** `MsgHdrs` of NATS, as `headers()` creates them. */
export interface NatsHeaders {
  set(name: string, value: string): void
}

/** Delay before a message is delivered again whose handler failed. */
const RETRY_MILLIS = 5_000

/**
 * Returns a function that runs `handler` as the caller who sent a message: for the callback of a subscription, or as
 * `for await (const message of messages) await work(message)`. The function never rejects. It acknowledges a JetStream
 * message after the handler. If the token is rejected, it terminates the message with the code as the reason, or passes
 * it to `onRejected`. If the handler or `onRejected` fails, or the message is undecided after `undecidedMillis`, the
 * message is delivered again after five seconds, or later if the error says so. While a message waits, the adapter
 * reports it as in progress, so that `ack_wait` does not expire. Each delivery counts for `max_deliver`.
 *
 * Core NATS delivers a message once: a rejected or undecided message goes to `onRejected` or is dropped.
 */
export function asCaller<M extends NatsMessage>(
  handler: Handler<M>,
  options: AdapterOptions<M> = {},
): (message: M) => Promise<void> {
  checkUndecidedMillis(options)
  return async (message) => {
    const received = { source: `nats:${message.subject}`, headers: message.headers }
    const waiting: WaitOptions = { signal: options.signal, ref: false, keepAlive: () => message.working?.() }
    const processed = await processMessage(
      message,
      received,
      (delivery) => handler(message, delivery),
      options,
      waiting,
    )
    if (processed.status === 'failed') reportFailure()
    try {
      await acknowledge(message, processed, options)
    } catch {
      // The connection is closed, or `onRejected` failed for a message of core NATS.
      reportFailure()
    }
  }
}

async function acknowledge<M extends NatsMessage>(
  message: M,
  processed: ProcessingResult<unknown>,
  { onRejected }: AdapterOptions<M>,
): Promise<void> {
  switch (processed.status) {
    case 'done':
      return message.ack?.()
    case 'rejected':
      return message.term?.(processed.error.code)
    case 'failed':
      return message.nak?.(RETRY_MILLIS)
    case 'undecided':
      if (message.nak === undefined) return void (await onRejected?.(message, processed.error))
      return message.nak(Math.max(RETRY_MILLIS, processed.retryAfterMillis))
    case 'unprocessed':
      return message.nak?.(processed.retryAfterMillis)
  }
}

/**
 * Calls `publish` with the headers for a message to `subject` from the current caller: `publishAsCaller('orders',
 * headers(), (caller) => connection.publish('orders', data, { headers: caller }))`. `headers` must be new, or the
 * application's headers for this message.
 */
export function publishAsCaller<H extends NatsHeaders, T>(
  subject: string,
  headers: H,
  publish: (headers: H) => T,
): Promise<Awaited<T>> {
  return produce(`nats:${subject}`, (caller) => {
    for (const [name, value] of Object.entries(caller)) headers.set(name, value)
    return publish(headers)
  })
}
