/** otel-token-relay/kafkajs: Kafka consumers handle each message as its caller, also in batches. */

import type { Handler, StrictAdapterOptions } from './options.ts'
import { processInOrder } from './process-message.ts'
import { checkUndecidedMillis } from './undecided-wait.ts'

export type { Handler, StrictAdapterOptions } from './options.ts'
export { withoutToken } from './options.ts'

/** A message as `kafkajs` delivers it. */
export interface KafkaMessage {
  readonly headers?: Record<string, unknown> | undefined
  readonly offset: string
}

/** The argument of `eachMessage`. */
export interface MessagePayload {
  readonly topic: string
  readonly message: KafkaMessage
  heartbeat?(): Promise<void>
}

/** The argument of `eachBatch`. */
export interface BatchPayload<M extends KafkaMessage> {
  readonly batch: { readonly topic: string; readonly messages: readonly M[] }
  resolveOffset(offset: string): void
  heartbeat(): Promise<void>
  isRunning(): boolean
  isStale(): boolean
}

/**
 * Returns an `eachMessage` that runs `handler` as the caller who sent the message. A message whose token is rejected
 * goes to `onRejected`, and its offset moves on: Kafka has no dead-letter queue, and a message that stays would stop
 * its partition.
 *
 * @throws the error of `handler` or `onRejected`, and the `UndecidedError` of a message that is undecided after
 * `undecidedMillis`. kafkajs delivers that message again after at least one second; its offset does not move. Meanwhile
 * its partition stands still, and the consumer stays in its group.
 */
export function asCaller<P extends MessagePayload>(
  handler: Handler<P>,
  options: StrictAdapterOptions<P>,
): (payload: P) => Promise<void> {
  checkUndecidedMillis(options)
  return (payload) => {
    const { topic, message } = payload
    const received = { source: `kafka:${topic}`, headers: message.headers }
    const waiting = { signal: options.signal, keepAlive: () => payload.heartbeat?.(), ref: false }
    return processInOrder(payload, received, (delivery) => handler(payload, delivery), options, waiting)
  }
}

/**
 * Returns an `eachBatch` that runs `handler` for the messages of the batch one after the other, each as its caller. Run
 * it with `eachBatchAutoResolve: false`: otherwise kafkajs resolves the last offset of a batch whenever `eachBatch`
 * returns. This function resolves the offset of each message.
 *
 * @throws as {@link asCaller}, and Error if the consumer stops or the batch becomes stale before its end. Then only the
 * messages before that are resolved, whatever `eachBatchAutoResolve` says, and the others come again.
 */
export function eachAsCaller<M extends KafkaMessage>(
  handler: Handler<M>,
  options: StrictAdapterOptions<M>,
): (payload: BatchPayload<M>) => Promise<void> {
  checkUndecidedMillis(options)
  return async (payload) => {
    const { topic, messages } = payload.batch
    const keepAlive = (): Promise<void> => {
      throwIfEnded(payload)
      return payload.heartbeat()
    }
    const waiting = { signal: options.signal, keepAlive, ref: false }
    for (const message of messages) {
      throwIfEnded(payload)
      const received = { source: `kafka:${topic}`, headers: message.headers }
      await processInOrder(message, received, (delivery) => handler(message, delivery), options, waiting)
      payload.resolveOffset(message.offset)
      await payload.heartbeat()
    }
  }
}

/** Throws, because kafkajs commits the last offset of the batch if `eachBatch` returns. */
function throwIfEnded(payload: Pick<BatchPayload<KafkaMessage>, 'isRunning' | 'isStale'>): void {
  if (payload.isRunning() && !payload.isStale()) return
  throw new Error('the batch ended before its last message: Kafka delivers the remaining messages again')
}
