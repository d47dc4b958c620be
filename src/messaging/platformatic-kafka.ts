/** otel-token-relay/platformatic-kafka: streams of `@platformatic/kafka` are worked on message by message, each as its sender. */

import { consume } from './consume.ts'
import type { Handler, StrictAdapterOptions } from './options.ts'

export type { Handler, StrictAdapterOptions } from './options.ts'
export { withoutToken } from './options.ts'

/** A message as `@platformatic/kafka` delivers it; its headers may be bytes or texts. */
export interface KafkaMessage {
  readonly topic: string
  readonly headers: ReadonlyMap<unknown, unknown>
  commit(): unknown
}

/**
 * A function that runs `handler` as whoever sent a message, and commits it afterwards: for consumers with `autocommit:
 * false`, as `for await (const message of stream) await work(message)`. One whose token is rejected goes to `onRejected`
 * first.
 *
 * @throws what `handler` throws, and the `UndecidedError` of a message that is undecided after `undecidedMillis`. Neither is
 * committed: they come again when the consumer starts again.
 */
export function asCaller<M extends KafkaMessage>(
  handler: Handler<M>,
  options: StrictAdapterOptions<M>,
): (message: M) => Promise<void> {
  return async (message) => {
    const received = { source: `kafka:${message.topic}`, headers: message.headers }
    const consumed = await consume(received, (delivery) => handler(message, delivery), options)
    if (consumed.verdict === 'undecided') throw consumed.error
    if (consumed.verdict === 'rejected') await options.onRejected(message, consumed.error)
    await message.commit()
  }
}
