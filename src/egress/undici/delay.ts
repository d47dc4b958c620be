/** Delays an undici dispatch until its token is there: undici cannot wait, and handlers and bodies do not notice it. */

import { EventEmitter } from 'node:events'
import type { Context } from '@opentelemetry/api'
import type { NetworkTarget } from '../../destination/pattern.ts'

/** Returns what to wait for before a hop is decided, or `undefined`. Never rejects. Seldom asks for the target. */
export type BeforeDispatch = (ctx: Context, targetOf: () => NetworkTarget | undefined) => Promise<void> | undefined

/** A handler of undici, of the old or the new kind. */
export interface Handler {
  onError?(error: unknown): void
  onResponseError?(controller: object, error: unknown): void
}

/** `close` or `destroy` of a dispatcher, inside. */
export type Close = (this: object, error?: unknown) => unknown

/** A dispatch that waits at its dispatcher. */
interface WaitingDispatch {
  readonly done: Promise<void>
  readonly fail: (error: unknown) => void
}

export class Delays {
  /**
   * A composed dispatcher is a proxy: it closes with itself as `this`, and reads this from the dispatcher it is made
   * of.
   */
  readonly #key = Symbol('otel-token-relay waiting')

  /**
   * Dispatches after `waiting`, or at once if the caller aborts: undici itself then informs the handler. The handler
   * also gets the error that undici would have thrown. Returns that the dispatcher has room: nothing waits in its
   * queue.
   */
  delay(
    dispatcher: object,
    waiting: Promise<void>,
    dispatch: () => boolean,
    handler: Handler,
    options: object,
  ): boolean {
    const { promise: aborted, resolve } = Promise.withResolvers<void>()
    const { promise: failed, reject: fail } = Promise.withResolvers<never>()
    const { signal, body } = options as { signal?: unknown; body?: unknown }
    const stops = [listenOnce(signal, 'abort', () => resolve()), listenOnce(body, 'error', fail)]
    const done = Promise.race([failed, waiting, aborted])
      // It may have failed since.
      .then(() => Promise.race([failed, undefined]))
      .then(dispatch)
      .catch((error: unknown) => reportError(handler, error))
      .catch(() => undefined)
      .finally(() => stops.forEach((stop) => void stop()))
      .then(() => undefined)
    this.#add(dispatcher, { done, fail })
    return true
  }

  /** A dispatcher that closes waits for what it has accepted. */
  wrapClose(close: Close): Close {
    const waitingAt = this.#waitingAt.bind(this)
    return function () {
      const all = waitingAt(this)
      if (all === undefined || all.size === 0) return close.call(this)
      return Promise.all([...all].map(({ done }) => done)).then(() => close.call(this))
    }
  }

  /** A dispatcher that is destroyed fails waiting dispatches with the error of its queued requests. */
  wrapDestroy(destroy: Close): Close {
    const waitingAt = this.#waitingAt.bind(this)
    return function (error) {
      for (const { fail } of waitingAt(this) ?? []) fail(error)
      return destroy.call(this, error)
    }
  }

  #waitingAt(dispatcher: object): Set<WaitingDispatch> | undefined {
    return Reflect.get(dispatcher, this.#key) as Set<WaitingDispatch> | undefined
  }

  #add(dispatcher: object, waiting: WaitingDispatch): void {
    const all = this.#waitingAt(dispatcher) ?? new Set()
    if (all.size === 0) Object.defineProperty(dispatcher, this.#key, { value: all, configurable: true })
    all.add(waiting)
    waiting.done.finally(() => all.delete(waiting))
  }
}

/**
 * Listens to an `AbortSignal`, to what undici takes for one, or to a stream. undici itself listens for the error of a
 * body only from its dispatch on, and an error without a listener ends the process.
 */
function listenOnce(emitter: unknown, name: string, listener: (value: unknown) => void): () => void {
  if (emitter instanceof EventTarget) {
    emitter.addEventListener(name, listener, { once: true })
    return () => emitter.removeEventListener(name, listener)
  }
  if (!isEmitter(emitter)) return () => undefined
  emitter.once(name, listener)
  return () => void emitter.off(name, listener)
}

function isEmitter(value: unknown): value is EventEmitter {
  if (value instanceof EventEmitter) return true
  const { once, off } = (value ?? {}) as Partial<EventEmitter>
  return typeof once === 'function' && typeof off === 'function'
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

function reportError(handler: Handler, error: unknown): void {
  if (typeof handler.onResponseError === 'function') handler.onResponseError(NO_RESPONSE, error)
  else handler.onError?.(error)
}
