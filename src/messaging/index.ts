/** otel-token-relay/messaging: consumes and produces messages as their caller, for any broker. */

export type { Delivery, HandledAs, MessageHeaders, ReceivedMessage } from '../propagation/delivery.ts'
export type { Consumed, ConsumeOptions } from './consume.ts'
export { consume } from './consume.ts'
export { produce } from './produce.ts'
