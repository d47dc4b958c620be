/** Lets an undici dispatch wait for a token: undici itself cannot, and its handlers do not notice. */

import type { Context } from '@opentelemetry/api'
import type { NetworkTarget } from '../destination/pattern.ts'

/** What to wait for before a hop is decided; `undefined` where nothing is missing. Never rejects. */
export type Before = (ctx: Context, target: NetworkTarget) => Promise<void> | undefined

/** Of undici's handlers, old and new. */
interface Handler {
  onError?(error: unknown): void
  onResponseError?(controller: unknown, error: unknown): void
}

/** Dispatches after `waiting`. What undici would have thrown to its caller, the handler is told. */
export function dispatchAfter(waiting: Promise<void>, dispatch: () => boolean, handler: Handler): boolean {
  waiting.then(dispatch).catch((error: unknown) => {
    if (typeof handler.onResponseError === 'function') handler.onResponseError(null, error)
    else handler.onError?.(error)
  })
  // There is room for more: what waits here is not in a queue of undici.
  return true
}
