/** otel-token-relay/mqtt: MQTT 5 clients handle each message as the caller who published it. */

import type { Delivery } from '../propagation/delivery.ts'
import { consumeFromBroker } from './consume.ts'
import type { AdapterOptions } from './options.ts'
import { reportFailure } from './options.ts'
import { produce } from './produce.ts'
import type { WaitOptions } from './undecided-wait.ts'
import { checkUndecidedMillis } from './undecided-wait.ts'

export type { AdapterOptions } from './options.ts'
export { withoutToken } from './options.ts'

/** A packet as `mqtt` delivers it. A packet of MQTT 3.1.1 has no properties, and so no token. */
export interface MqttPacket {
  readonly topic: string
  readonly properties?: { readonly userProperties?: Readonly<Record<string, unknown>> | undefined } | undefined
}

/** Options for `client.publish` that carry trace and token; empty if there is neither. */
export interface PublishOptions {
  readonly properties?: { readonly userProperties: Record<string, string> }
}

/**
 * Returns a listener for `message` events that runs `handler` as the caller who published the message. The listener
 * never rejects. MQTT acknowledges a message before the listener runs, and has no dead-letter queue: a message that is
 * rejected, or undecided after `undecidedMillis`, goes to `onRejected` or is dropped. If `onRejected` fails, the
 * message is lost. Messages that wait when the process ends are lost too.
 */
export function asCaller<P extends MqttPacket>(
  handler: (payload: Buffer, packet: P, delivery: Delivery) => unknown,
  options: AdapterOptions<P> = {},
): (topic: string, payload: Buffer, packet: P) => Promise<void> {
  checkUndecidedMillis(options)
  const waiting: WaitOptions = { signal: options.signal, ref: false }
  return async (topic, payload, packet) => {
    try {
      const received = { source: `mqtt:${topic}`, headers: packet.properties?.userProperties }
      const consumed = await consumeFromBroker(
        received,
        (delivery) => handler(payload, packet, delivery),
        options,
        waiting,
      )
      if (consumed.verdict !== 'handled') await options.onRejected?.(packet, consumed.error)
    } catch {
      reportFailure()
    }
  }
}

/**
 * Calls `publish` with the options for a message to `topic` from the current caller: `publishAsCaller('orders',
 * (caller) => client.publishAsync('orders', payload, { qos: 1, ...caller }))`.
 */
export function publishAsCaller<T>(topic: string, publish: (options: PublishOptions) => T): Promise<Awaited<T>> {
  return produce(`mqtt:${topic}`, (userProperties) => {
    const isEmpty = Object.keys(userProperties).length === 0
    // The client never sends a packet with an empty list of properties.
    return publish(isEmpty ? {} : { properties: { userProperties } })
  })
}
