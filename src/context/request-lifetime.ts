/** How long the request of a caller goes on: work that outlives it is detached. */

import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'

export class RequestLifetime {
  /** What is answered or closed at the end; `undefined` once the request is over. */
  #emitter: EventEmitter | undefined

  /** The request is over once `emitter` is answered (`end` was called) or emits `close` (its client has gone). */
  constructor(emitter: EventEmitter) {
    // An emitter that is closed emits no `close` any more.
    if (isClosed(emitter)) return
    this.#emitter = emitter
    // OpenTelemetry gives a bound emitter an `on` that wraps every listener; this listener needs no context.
    EventEmitter.prototype.on.call(emitter, 'close', () => {
      this.#emitter = undefined
    })
  }

  /** Whether the request is being handled. */
  get isOpen(): boolean {
    return this.#emitter !== undefined && !isAnswered(this.#emitter)
  }
}

/**
 * Responses, sockets and streams of Node say so; the response of the HTTP/2 compatibility layer has a stream for it.
 */
function isClosed(emitter: EventEmitter): boolean {
  const { closed, destroyed, stream } = emitter as Partial<Record<'closed' | 'destroyed' | 'stream', unknown>>
  if (closed === true || destroyed === true) return true
  return stream instanceof EventEmitter && stream !== emitter && isClosed(stream)
}

/** Nothing can be added to the answer. The socket of an upgrade is open until both of its sides are closed. */
function isAnswered(emitter: EventEmitter): boolean {
  return (emitter as { readonly writableEnded?: unknown }).writableEnded === true && !(emitter instanceof Socket)
}
