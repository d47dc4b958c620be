/** otel-token-relay/amqplib: RabbitMQ consumers handle each message as its caller. */

import { rabbitNameOf } from '../destination/pattern.ts'
import type { AdapterOptions, Handler } from './options.ts'
import { reportFailure } from './options.ts'
import type { ProcessingResult } from './process-message.ts'
import { processMessage } from './process-message.ts'
import type { WaitOptions } from './undecided-wait.ts'
import { checkUndecidedMillis, growRedeliveryDelay, waitFor } from './undecided-wait.ts'

export type { AdapterOptions, Handler } from './options.ts'
export { withoutToken } from './options.ts'

/** A message as `amqplib` delivers it. */
export interface AmqpMessage {
  readonly fields: { readonly exchange: string; readonly routingKey: string }
  readonly properties: { readonly headers?: Record<string, unknown> | undefined }
}

/** The members of a channel that the adapter uses. */
export interface AmqpChannel<M> {
  ack(message: M): void
  nack(message: M, allUpTo?: boolean, requeue?: boolean): void
  once?(event: 'close', listener: () => void): unknown
}

/**
 * Returns a callback for `channel.consume` that runs `handler` as the caller who sent the message, and then
 * acknowledges it. The handler must not acknowledge it: a second acknowledgement closes the channel (406). Do not use
 * it for consumers with `noAck`. If the token is rejected or the handler fails, the message is refused without
 * requeueing: it goes to the dead-letter exchange of its queue, if there is one, with its headers, including the sealed
 * token. A rejected message goes to `onRejected` instead, if that is set, and is acknowledged.
 *
 * A message that is undecided after `undecidedMillis`, or that `onRejected` failed to store, is held back and then
 * requeued. The hold lasts as long as the error says, 1 to 30 seconds, and grows with the delivery count of a quorum
 * queue, because such a queue drops or dead-letters a message that reaches its delivery limit. A message that waits
 * counts for `channel.prefetch`; others behind it are handled until the prefetch limit is reached. Neither wait keeps
 * the process alive, and both end when the channel closes: the broker then delivers the message again.
 *
 * The source is `rabbitmq:exchanges/<exchange>`, or `rabbitmq:queues/<queue>` for messages through the default
 * exchange. A token that is sealed for one does not open in the other.
 */
export function asCaller<M extends AmqpMessage>(
  channel: AmqpChannel<M>,
  handler: Handler<M>,
  options: AdapterOptions<M> = {},
): (message: M | null) => Promise<void> {
  checkUndecidedMillis(options)
  const lost = closeSignals.get(channel) ?? watchClose(channel)
  const signal = options.signal === undefined ? lost : AbortSignal.any([lost, options.signal])
  const waiting: WaitOptions = { signal, lost, ref: false }

  return async (message) => {
    // The broker cancelled the consumer.
    if (message === null) return
    const received = { source: sourceOf(message.fields), headers: message.properties.headers }
    const processed = await processMessage(
      message,
      received,
      (delivery) => handler(message, delivery),
      options,
      waiting,
    )
    if (processed.status === 'failed') reportFailure()
    if ('retryAfterMillis' in processed) {
      await waitFor(growRedeliveryDelay(processed.retryAfterMillis, deliveryCountOf(message)), waiting)
    }
    acknowledge(channel, message, processed)
  }
}

/** Signals that abort when a channel closes: one listener for all consumers of a channel. */
const closeSignals = new WeakMap<object, AbortSignal>()

function watchClose<M>(channel: AmqpChannel<M>): AbortSignal {
  const controller = new AbortController()
  channel.once?.('close', () => controller.abort())
  closeSignals.set(channel, controller.signal)
  return controller.signal
}

/** Returns how often a quorum queue has already delivered the message. */
function deliveryCountOf({ properties }: AmqpMessage): number {
  const count = properties.headers?.['x-delivery-count']
  return typeof count === 'number' && count > 0 ? count : 0
}

function sourceOf({ exchange, routingKey }: AmqpMessage['fields']): string {
  return `rabbitmq:${rabbitNameOf(exchange, routingKey)}`
}

function acknowledge<M>(channel: AmqpChannel<M>, message: M, processed: ProcessingResult<unknown>): void {
  try {
    if (processed.status === 'done') channel.ack(message)
    else channel.nack(message, false, 'retryAfterMillis' in processed)
  } catch {
    // The channel is closed, so the broker delivers the message to another consumer.
  }
}
