/** Lets an undici dispatch wait for a token: undici itself cannot, and its handlers do not notice. */

import type { EventEmitter } from 'node:events'
import type { Context } from '@opentelemetry/api'
import type { NetworkTarget } from '../destination/pattern.ts'

/** What to wait for before a hop is decided; `undefined` where nothing is missing. Never rejects. Seldom asks for the target. */
export type Before = (ctx: Context, targetOf: () => NetworkTarget | undefined) => Promise<void> | undefined

/** Of undici's handlers, old and new. */
interface Handler {
  onError?(error: unknown): void
  onResponseError?(controller: object, error: unknown): void
}

/**
 * Dispatches after `waiting`, or at once when the caller does not wait any more: undici itself then tells the handler.
 * What undici would have thrown to its caller, the handler is told too.
 */
export function dispatchAfter(
  waiting: Promise<void>,
  dispatch: () => boolean,
  handler: Handler,
  options: unknown,
): boolean {
  const { promise: aborted, resolve } = Promise.withResolvers<void>()
  const stopListening = onAbort((options as { signal?: unknown } | undefined)?.signal, resolve)
  Promise.race([waiting, aborted])
    .then(dispatch)
    .catch((error: unknown) => tell(handler, error))
    .catch(() => undefined)
    .finally(stopListening)
  // There is room for more: what waits here is not in a queue of undici.
  return true
}

/** `signal` is an `AbortSignal`, or what undici takes for one: an emitter of `abort`. */
function onAbort(signal: unknown, abort: () => void): () => void {
  if (signal instanceof EventTarget) {
    signal.addEventListener('abort', abort, { once: true })
    return () => signal.removeEventListener('abort', abort)
  }
  const emitter = signal as Partial<EventEmitter> | undefined
  emitter?.once?.('abort', abort)
  return () => emitter?.off?.('abort', abort)
}

/** Handlers of the new kind may look at how far the response has come: it has not begun. */
const NO_RESPONSE = {
  aborted: false,
  paused: false,
  reason: null,
  rawHeaders: null,
  rawTrailers: null,
  abort: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
}

function tell(handler: Handler, error: unknown): void {
  if (typeof handler.onResponseError === 'function') handler.onResponseError(NO_RESPONSE, error)
  else handler.onError?.(error)
}
