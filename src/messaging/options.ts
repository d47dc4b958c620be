/** Options that all adapters share. */

import type { Delivery, MessageHeaders } from '../propagation/delivery.ts'
import { reportProblem } from '../telemetry/log-entries.ts'
import type { TokenError } from '../token/errors.ts'
import type { ConsumeOptions } from './consume.ts'

/** Handles one message as its caller. The adapter awaits the returned value and ignores it. */
export type Handler<M> = (message: M, delivery: Delivery) => unknown

/** Options of an adapter. */
export interface AdapterOptions<M> extends ConsumeOptions {
  /**
   * Stores a message whose token was rejected, for example in a dead-letter queue; `error.code` is the reason. If it
   * succeeds, the message is done. If it fails, brokers that can redeliver do so. `withoutToken` of this package
   * creates the headers for the stored message. The default depends on the broker.
   */
  readonly onRejected?: (message: M, error: TokenError) => unknown
}

/** Options for brokers that have no dead-letter queue: `onRejected` is required. */
export type StrictAdapterOptions<M> = AdapterOptions<M> & Required<Pick<AdapterOptions<M>, 'onRejected'>>

/** The header of a dead letter that holds the reason: the code of a `TokenError`. */
const REASON = 'auth-error'

/**
 * Returns the headers for a message that is stored after a rejection: `headers` without the token, and `auth-error`
 * with the reason. A rejected token may still be valid elsewhere, so it must not be stored.
 */
export function withoutToken(headers: MessageHeaders | undefined, error: TokenError): Record<string, unknown> {
  const entries = headers === undefined ? [] : Symbol.iterator in headers ? [...headers] : Object.entries(headers)
  const kept = entries.map(([name, value]) => [String(name), value] as const).filter(([name]) => !isTokenHeader(name))
  return { ...Object.fromEntries(kept), [REASON]: error.code }
}

function isTokenHeader(name: string): boolean {
  return name.toLowerCase() === 'authorization'
}

/**
 * Logs that a handler failed, since no code catches its error. The error is not logged, because it may quote a header.
 */
export function reportFailure(): void {
  reportProblem({ message: 'the handler of a message failed', severity: 'error' })
}
