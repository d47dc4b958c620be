/** otel-token-relay/platformatic-kafka: handles the messages of a `@platformatic/kafka` stream, each as its caller. */

import type { Handler, StrictAdapterOptions } from './options.ts'
import { processInOrder } from './process-message.ts'
import type { WaitOptions } from './undecided-wait.ts'
import { checkUndecidedMillis } from './undecided-wait.ts'

export type { Handler, StrictAdapterOptions } from './options.ts'
export { withoutToken } from './options.ts'

/** A message as `@platformatic/kafka` delivers it; its headers may be bytes or strings. */
export interface KafkaMessage {
  readonly topic: string
  readonly headers: ReadonlyMap<unknown, unknown>
  commit(): unknown
}

/**
 * Returns a function that runs `handler` as the caller who sent a message, and then commits the message. Use it with
 * `autocommit: false`, as `for await (const message of stream) await work(message)`. A message whose token is rejected
 * goes to `onRejected` first.
 *
 * @throws the error of `handler` or `onRejected`, and the `UndecidedError` of a message that is undecided after
 * `undecidedMillis`, after at least one second. Such a message is not committed: it comes again when the consumer
 * starts again. Do not go on with the next message of the partition: committing that one would lose this one.
 */
export function asCaller<M extends KafkaMessage>(
  handler: Handler<M>,
  options: StrictAdapterOptions<M>,
): (message: M) => Promise<void> {
  checkUndecidedMillis(options)
  const waiting: WaitOptions = { signal: options.signal, ref: false }
  return async (message) => {
    const received = { source: `kafka:${message.topic}`, headers: message.headers }
    await processInOrder(message, received, (delivery) => handler(message, delivery), options, waiting)
    await message.commit()
  }
}
