/** otel-token-relay/kafkajs: consumers of Kafka work on each message as whoever sent it, in batches too. */

import { consume } from './consume.ts'
import type { Handler, StrictAdapterOptions } from './options.ts'

export type { Handler, StrictAdapterOptions } from './options.ts'
export { withoutToken } from './options.ts'

/** A message as `kafkajs` delivers it. */
export interface KafkaMessage {
  readonly headers?: Record<string, unknown> | undefined
  readonly offset: string
}

/** What `eachMessage` is given. */
export interface MessagePayload {
  readonly topic: string
  readonly message: KafkaMessage
}

/** What `eachBatch` is given. */
export interface BatchPayload<M extends KafkaMessage> {
  readonly batch: { readonly topic: string; readonly messages: readonly M[] }
  resolveOffset(offset: string): void
  heartbeat(): Promise<void>
  isRunning(): boolean
  isStale(): boolean
}

/**
 * An `eachMessage` that runs `handler` as whoever sent the message. One whose token is rejected goes to `onRejected`, and
 * its offset moves on: Kafka has no dead letters of its own, and a message that stays would stop its partition.
 *
 * @throws what `handler` throws, and the `UndecidedError` of a message that is undecided after `undecidedMillis`: kafkajs
 * delivers it again, at its own pace, and its offset does not move.
 */
export function asCaller<P extends MessagePayload>(
  handler: Handler<P>,
  options: StrictAdapterOptions<P>,
): (payload: P) => Promise<void> {
  return (payload) => {
    const { topic, message } = payload
    return work({ source: `kafka:${topic}`, headers: message.headers }, payload, handler, options)
  }
}

/**
 * An `eachBatch` that runs `handler` for one message after the other, each as whoever sent it, and the batch as nobody.
 * Offsets are resolved message by message; it stops where the batch has become stale.
 *
 * @throws as {@link asCaller}, after the offsets of the messages before it have been resolved.
 */
export function eachAsCaller<M extends KafkaMessage>(
  handler: Handler<M>,
  options: StrictAdapterOptions<M>,
): (payload: BatchPayload<M>) => Promise<void> {
  return async (payload) => {
    const { topic, messages } = payload.batch
    for (const message of messages) {
      if (!payload.isRunning() || payload.isStale()) return
      await work({ source: `kafka:${topic}`, headers: message.headers }, message, handler, options)
      payload.resolveOffset(message.offset)
      await payload.heartbeat()
    }
  }
}

async function work<T>(
  received: Parameters<typeof consume>[0],
  item: T,
  handler: Handler<T>,
  options: StrictAdapterOptions<T>,
): Promise<void> {
  const consumed = await consume(received, (delivery) => handler(item, delivery), options)
  if (consumed.verdict === 'undecided') throw consumed.error
  if (consumed.verdict === 'rejected') await options.onRejected(item, consumed.error)
}
