/** otel-token-relay/mqtt: clients of MQTT 5 work on each message as whoever published it. */

import type { Delivery } from '../propagation/delivery.ts'
import { consume } from './consume.ts'
import type { AdapterOptions } from './options.ts'
import { reportFailure } from './options.ts'
import { produce } from './produce.ts'

export type { AdapterOptions } from './options.ts'
export { withoutToken } from './options.ts'

/** A packet as `mqtt` delivers it. Those of MQTT 3.1.1 have no properties, and so no token. */
export interface MqttPacket {
  readonly topic: string
  readonly properties?: { readonly userProperties?: Readonly<Record<string, unknown>> | undefined } | undefined
}

/** What `client.publish` is told of a message from a caller; nothing where there is neither a trace nor a token. */
export interface PublishOptions {
  readonly properties?: { readonly userProperties: Record<string, string> }
}

/**
 * A listener for `message` events that runs `handler` as whoever published the message. It never rejects. MQTT acknowledges
 * before anybody has looked, and has no place for what cannot be worked on: messages that are rejected, or undecided after
 * `undecidedMillis`, are dropped, unless `onRejected` takes them.
 */
export function asCaller<P extends MqttPacket>(
  handler: (payload: Buffer, packet: P, delivery: Delivery) => unknown,
  options: AdapterOptions<P> = {},
): (topic: string, payload: Buffer, packet: P) => Promise<void> {
  return async (topic, payload, packet) => {
    try {
      const received = { source: `mqtt:${topic}`, headers: packet.properties?.userProperties }
      const consumed = await consume(received, (delivery) => handler(payload, packet, delivery), options)
      if (consumed.verdict !== 'handled') await options.onRejected?.(packet, consumed.error)
    } catch {
      reportFailure()
    }
  }
}

/**
 * Calls `publish` with the options of a message to `topic` from the caller of now: `publishAsCaller('orders', (caller) =>
 * client.publishAsync('orders', payload, { qos: 1, ...caller }))`.
 */
export function publishAsCaller<T>(topic: string, publish: (options: PublishOptions) => T): Promise<Awaited<T>> {
  return produce(`mqtt:${topic}`, (userProperties) => {
    const isEmpty = Object.keys(userProperties).length === 0
    // A packet with an empty list of properties is never sent.
    return publish(isEmpty ? {} : { properties: { userProperties } })
  })
}
