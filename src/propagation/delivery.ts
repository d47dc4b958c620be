/** What consumers and handlers know of a message: its source, its headers, and the caller it is handled as. */

import type { Context } from '@opentelemetry/api'
import type { VerifiedCredential } from '../token/verified-credential.ts'

/**
 * The headers of a message, by their names or as entries; names and values are bytes or texts, values may be lists of
 * them.
 */
export type MessageHeaders = Readonly<Record<string, unknown>> | Iterable<readonly [unknown, unknown]>

/** A message that was read from a broker. */
export interface ReceivedMessage {
  /** What the producer calls its destination, in the form of a rule without `*`: `kafka:orders`. */
  readonly source: string
  /** All of its headers; unknown ones are ignored. `undefined` if it has none. */
  readonly headers: MessageHeaders | undefined
}

/**
 * The caller that a message is handled as. `caller`: its sender, with the token that came. `exchanged`: its sender,
 * with a fresh token. `workload`: this service itself. `no-caller`: the message came without a token.
 */
export type HandledAs = 'caller' | 'exchanged' | 'workload' | 'no-caller'

/** What a handler gets beside its message. */
export interface Delivery {
  readonly as: HandledAs
  /**
   * The credential that came with the message, if the handler runs with another one: it has expired or was revoked. It
   * is history: nothing is ever sent with it.
   */
  readonly origin: VerifiedCredential | undefined
}

/** A message that may be handled, in `context`. */
export interface AdmittedMessage extends Delivery {
  readonly context: Context
}
