/** What a consumer is told of a message: where it was read from, its headers, and as whom it is worked on. */

import type { Context } from '@opentelemetry/api'
import type { VerifiedCredential } from '../token/verified-credential.ts'

/** The headers of a message, by their names or as entries; names and values are bytes or texts, values may be lists of them. */
export type MessageHeaders = Readonly<Record<string, unknown>> | Iterable<readonly [unknown, unknown]>

/** A message that was read from a broker. */
export interface ReceivedMessage {
  /** What the producer calls its destination, in the form of a rule without `*`: `kafka:orders`. */
  readonly source: string
  /** Whatever headers it has; those that nobody here knows are ignored. `undefined` where it has none. */
  readonly headers: MessageHeaders | undefined
}

/**
 * As whom a message is worked on. `caller`: whoever sent it, with the token that came. `exchanged`: whoever sent it, with a
 * fresh token. `workload`: this service itself. `nobody`: the message came without a token.
 */
export type HandledAs = 'caller' | 'exchanged' | 'workload' | 'nobody'

/** What a handler is told of its message, beside the message. */
export interface Delivery {
  readonly as: HandledAs
  /**
   * Whose token came with the message, where that is not the one the handler runs with: it has expired or was revoked. It
   * is history: nothing is ever sent with it.
   */
  readonly origin: VerifiedCredential | undefined
}

/** A message that may be worked on, in `context`. */
export interface AdmittedMessage extends Delivery {
  readonly context: Context
}
