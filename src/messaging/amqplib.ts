/** otel-token-relay/amqplib: consumers of RabbitMQ work on each message as whoever sent it. */

import { consume } from './consume.ts'
import type { AdapterOptions, Handler } from './options.ts'
import { reportFailure } from './options.ts'

export type { AdapterOptions, Handler } from './options.ts'
export { withoutToken } from './options.ts'

/** A message as `amqplib` delivers it. */
export interface AmqpMessage {
  readonly fields: { readonly exchange: string; readonly routingKey: string }
  readonly properties: { readonly headers?: Record<string, unknown> | undefined }
}

/** The parts of a channel that are needed. */
export interface AmqpChannel<M> {
  ack(message: M): void
  nack(message: M, allUpTo?: boolean, requeue?: boolean): void
}

/**
 * A callback for `channel.consume` that runs `handler` as whoever sent the message, and acknowledges it afterwards; not for
 * consumers with `noAck`. A message whose token is rejected, or whose handler fails, is refused without requeueing: it goes
 * to the dead-letter exchange of its queue, where that has one, with its headers, the sealed token among them; or to
 * `onRejected`, and is acknowledged. A message that is undecided after `undecidedMillis` is requeued.
 *
 * The source is `rabbitmq:<exchange>`, or `rabbitmq:<queue>` for messages through the nameless exchange, as for producers.
 */
export function asCaller<M extends AmqpMessage>(
  channel: AmqpChannel<M>,
  handler: Handler<M>,
  options: AdapterOptions<M> = {},
): (message: M | null) => Promise<void> {
  const { onRejected } = options

  async function work(message: M): Promise<void> {
    const { fields, properties } = message
    const received = { source: sourceOf(fields), headers: properties.headers }
    const consumed = await consume(received, (delivery) => handler(message, delivery), options)
    if (consumed.verdict === 'undecided') return channel.nack(message, false, true)
    if (consumed.verdict === 'rejected' && onRejected === undefined) return channel.nack(message, false, false)
    if (consumed.verdict === 'rejected') await onRejected?.(message, consumed.error)
    channel.ack(message)
  }

  return async (message) => {
    // The broker has cancelled the consumer.
    if (message === null) return
    try {
      await work(message)
    } catch {
      reportFailure()
      refuse(channel, message)
    }
  }
}

function sourceOf({ exchange, routingKey }: AmqpMessage['fields']): string {
  return `rabbitmq:${exchange === '' ? routingKey : exchange}`
}

/** A channel that is closed throws: its messages are delivered again, to others. */
function refuse<M>(channel: AmqpChannel<M>, message: M): void {
  try {
    channel.nack(message, false, false)
  } catch {
    // Nothing is lost.
  }
}
