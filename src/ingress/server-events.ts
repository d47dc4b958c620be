/** Stands between every server of the process and its listeners, without changing what a listener is. */

import { EventEmitter } from 'node:events'
import { Server as HttpServer } from 'node:http'
import { createSecureServer, createServer } from 'node:http2'
import { Server as HttpsServer } from 'node:https'
import { createNotes } from '../token/notes.ts'

/** Called instead of the listeners of `server`; `proceed` calls them. */
export type Interceptor = (event: string, args: readonly unknown[], proceed: () => void) => void

// Every event that hands a request to the application.
const EVENTS: ReadonlySet<unknown> = new Set([
  'request',
  'checkContinue',
  'checkExpectation',
  'upgrade',
  'connect',
  'stream',
])

interface StandIn {
  readonly emitter: EventEmitter
  readonly events: Readonly<Record<string, unknown>>
  readonly listener: unknown
}

/** Whoever adds a listener to a stand-in, or takes ours away, has done so for one emission. */
function isUntouched({ events, listener }: StandIn, event: string): boolean {
  return events[event] === listener
}

type Emit = (this: EventEmitter, event: string | symbol, ...args: unknown[]) => boolean

/**
 * Replaces `emit` on the server prototypes, once for all servers that exist or will. Returns how to undo it.
 *
 * Two things look odd and are not. There are no shimmer markers: OpenTelemetry's `_wrap` first removes a wrapper that
 * carries them, and the gate with it. And the previous `emit` is called on a stand-in whose only listener is ours: so
 * every other wrapper, applied before or after this one, runs first (span, extraction, context), and the interceptor
 * runs inside, in that context.
 */
export function interceptServers(intercept: Interceptor): () => void {
  const restores = new Map<EventEmitter, () => void>()
  const wrap = (prototype: EventEmitter): void => {
    if (!restores.has(prototype)) restores.set(prototype, replaceEmit(prototype, intercept, wrap))
  }
  serverPrototypes().forEach(wrap)
  return () => {
    for (const restore of restores.values()) restore()
  }
}

function serverPrototypes(): EventEmitter[] {
  // node:http2 does not export its server classes.
  const http2 = [createServer(), createSecureServer()].map((server) => Object.getPrototypeOf(server) as EventEmitter)
  return [HttpServer.prototype, HttpsServer.prototype, ...http2]
}

function replaceEmit(
  prototype: EventEmitter,
  intercept: Interceptor,
  wrap: (prototype: EventEmitter) => void,
): () => void {
  const inherited = !Object.hasOwn(prototype, 'emit')
  const previous = prototype.emit as Emit
  const baseEmit = EventEmitter.prototype.emit as Emit
  const standIns = createNotes<Map<string, StandIn>>()
  let active = true

  /** One for each server and event: making one takes as long as all the rest. */
  function standInFor(server: EventEmitter, event: string): EventEmitter {
    const known = standIns.get(server) ?? new Map<string, StandIn>()
    const made = known.get(event)
    if (made !== undefined && isUntouched(made, event)) return made.emitter
    const standIn = create(server, event)
    known.set(event, standIn)
    standIns.set(server, known)
    return standIn.emitter
  }

  function create(server: EventEmitter, event: string): StandIn {
    const listener = (...passed: unknown[]): void => {
      intercept(event, passed, () => void baseEmit.call(server, event, ...passed))
    }
    const events = { __proto__: null, [event]: listener }
    return { emitter: Object.create(server, { _events: { value: events } }) as EventEmitter, events, listener }
  }

  const emit: Emit = function (event, ...args) {
    // Streams can be listened to on the HTTP/2 session as well; its class shows itself with the first one.
    if (active && event === 'session') wrap(Object.getPrototypeOf(args[0]) as EventEmitter)
    if (!active || typeof event !== 'string' || !EVENTS.has(event) || this.listenerCount(event) === 0) {
      return previous.call(this, event, ...args)
    }
    return previous.call(standInFor(this, event), event, ...args)
  }
  Object.defineProperty(prototype, 'emit', { value: emit, configurable: true, writable: true })

  return () => {
    // A wrapper that came later keeps calling ours, which then only passes through.
    active = false
    if (prototype.emit !== emit) return
    if (inherited) Reflect.deleteProperty(prototype, 'emit')
    else prototype.emit = previous as EventEmitter['emit']
  }
}
