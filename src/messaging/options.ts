/** What all adapters can be told. */

import { diag } from '@opentelemetry/api'
import type { Delivery, MessageHeaders } from '../propagation/delivery.ts'
import type { TokenError } from '../token/errors.ts'
import type { ConsumeOptions } from './consume.ts'

/** Works on one message, as whoever sent it; what it returns is ignored, and waited for. */
export type Handler<M> = (message: M, delivery: Delivery) => unknown

/** What an adapter is told, beside the handler. */
export interface AdapterOptions<M> extends ConsumeOptions {
  /**
   * Puts a message aside whose token was rejected; `error.code` is the reason. It is waited for, and then the message is
   * done with. `withoutToken` of this package makes the headers that it may keep. The default depends on the broker.
   */
  readonly onRejected?: (message: M, error: TokenError) => unknown
}

/** For brokers that have no place of their own for messages that cannot be worked on. */
export type StrictAdapterOptions<M> = AdapterOptions<M> & Required<Pick<AdapterOptions<M>, 'onRejected'>>

/** The header of a dead letter that says why it is one: a code of a `TokenError`. */
const REASON = 'auth-error'

/**
 * The headers of a message that is put aside: those of `headers` without the token, with `auth-error` for the reason. A
 * token that was rejected is still somebody's.
 */
export function withoutToken(headers: MessageHeaders | undefined, error: TokenError): Record<string, unknown> {
  const entries = headers === undefined ? [] : Symbol.iterator in headers ? [...headers] : Object.entries(headers)
  const kept = entries.map(([name, value]) => [String(name), value] as const).filter(([name]) => !isToken(name))
  return { ...Object.fromEntries(kept), [REASON]: error.code }
}

function isToken(name: string): boolean {
  return name.toLowerCase() === 'authorization'
}

/** Handlers of messages have nobody who catches for them. Of their errors nothing is repeated: they may quote a header. */
export function reportFailure(): void {
  diag.error('otel-token-relay: the handler of a message has failed')
}
