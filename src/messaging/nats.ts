/** otel-token-relay/nats: subscribers and JetStream consumers of NATS work on each message as whoever sent it. */

import { consume } from './consume.ts'
import type { AdapterOptions, Handler } from './options.ts'
import { reportFailure } from './options.ts'
import { produce } from './produce.ts'

export type { AdapterOptions, Handler } from './options.ts'
export { withoutToken } from './options.ts'

/** A message of NATS or of JetStream; only the latter can be acknowledged. */
export interface NatsMessage {
  readonly subject: string
  readonly headers?: Iterable<readonly [string, readonly string[]]> | undefined
  ack?(): void
  nak?(millis?: number): void
  term?(reason?: string): void
}

/** `MsgHdrs` of NATS, as `headers()` makes them. */
export interface NatsHeaders {
  set(name: string, value: string): void
}

const DELAY_MILLIS = 5_000

/**
 * A function that runs `handler` as whoever sent a message: for the callback of a subscription, or as `for await (const
 * message of messages) await work(message)`. It never rejects. JetStream messages are acknowledged afterwards; where the
 * token is rejected they are terminated with the code as the reason, or go to `onRejected`; where the handler fails, or
 * it is undecided after `undecidedMillis`, they are delivered again after five seconds. Messages of core NATS are
 * delivered once: those that are rejected or undecided are dropped, unless `onRejected` takes them.
 */
export function asCaller<M extends NatsMessage>(
  handler: Handler<M>,
  options: AdapterOptions<M> = {},
): (message: M) => Promise<void> {
  const { onRejected } = options

  async function work(message: M): Promise<void> {
    const received = { source: `nats:${message.subject}`, headers: message.headers }
    const consumed = await consume(received, (delivery) => handler(message, delivery), options)
    if (consumed.verdict === 'undecided') return message.nak?.(DELAY_MILLIS)
    if (consumed.verdict === 'rejected' && onRejected === undefined) return message.term?.(consumed.error.code)
    if (consumed.verdict === 'rejected') await onRejected?.(message, consumed.error)
    message.ack?.()
  }

  return async (message) => {
    try {
      await work(message)
    } catch {
      reportFailure()
      message.nak?.(DELAY_MILLIS)
    }
  }
}

/**
 * Calls `publish` with the headers of a message to `subject` from the caller of now: `publishAsCaller('orders', headers(),
 * (caller) => connection.publish('orders', data, { headers: caller }))`. `headers` are new ones, or those of the
 * application for this message.
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
