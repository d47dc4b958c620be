/** Gates servers whose `emit` may bypass that of the prototypes: their own, a subclass's, an unknown wrapper. */

import { subscribe } from 'node:diagnostics_channel'
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { types } from 'node:util'
import { symbolOf } from '../../base/own-property.ts'
import { patchMethod } from '../../base/patch-method.ts'
import type { Interceptor } from '../active-relay.ts'

export type Emit = (this: EventEmitter, event: string | symbol, ...args: unknown[]) => boolean

type Events = ReadonlySet<string>

export interface UnseenOptions {
  /** The prototypes of servers. */
  readonly servers: readonly EventEmitter[]
  /** The prototype of the HTTP/2 sessions of servers. */
  readonly sessions: EventEmitter
  /** All prototypes whose `emit` was replaced, with the events that carry requests there. */
  readonly gated: ReadonlyMap<object, Events>
  /** What `emit` was replaced by. */
  readonly emits: ReadonlySet<unknown>
  readonly events: readonly [ofServers: Events, ofSessions: Events]
  readonly intercept: Interceptor
}

/** Looks at each server and session right before Node hands it a request, and gates its own `emit` if there is one. */
export function gateUnseenEmits({ servers, sessions, gated, emits, events, intercept }: UnseenOptions): void {
  const leading = new Set(emits)
  /** Remembered: a function goes on calling what it calls, and every request asks. */
  const leadsToOurs = (emit: unknown): boolean => {
    if (leading.has(emit)) return true
    if (!leadsTo(emits, emit)) return false
    leading.add(emit)
    return true
  }
  const gateUnseen = (emitter: EventEmitter, carrying: Events): void => {
    const owner = ownerOfEmit(emitter)
    const emit: unknown = Object.getOwnPropertyDescriptor(owner, 'emit')?.value
    if (owner === emitter ? isOurs(emit) : gated.has(owner) && leadsToOurs(emit)) return
    gateOwnEmit(emitter, carrying, intercept)
  }
  const [ofServers, ofSessions] = events
  const gateServer = (server: EventEmitter): void => gateUnseen(server, ofServers)
  watchRequests(gateServer)
  watchStreams(sessions, (session) => gateUnseen(session, ofSessions))
  for (const prototype of servers) watchCounts(prototype, gateServer)
}

/**
 * Set by every copy of this package on the `emit` that it gives to one server. Not enumerable, so no wrapper copies it.
 */
const IN_FRONT = Symbol.for('otel-token-relay.in-front')

function isOurs(emit: unknown): boolean {
  return typeof emit === 'function' && !types.isProxy(emit) && Object.hasOwn(emit, IN_FRONT)
}

/**
 * Intercepts `events` before the `emit` of this one emitter gets them: that may call a handler itself, or make a
 * listener of it for one call. If it goes on to the prototype, the request is met there again, behind the wrappers of
 * tracers.
 */
function gateOwnEmit(emitter: EventEmitter, events: ReadonlySet<string>, intercept: Interceptor): void {
  const { get, value: own, enumerable = false } = Object.getOwnPropertyDescriptor(emitter, 'emit') ?? {}
  const present = (): Emit =>
    (get?.call(emitter) ?? own ?? Reflect.get(Object.getPrototypeOf(emitter) as object, 'emit', emitter)) as Emit
  const emit: Emit = function (event, ...args) {
    if (typeof event !== 'string' || !events.has(event)) return present().call(this, event, ...args)
    intercept(event, args, () => void present().call(this, event, ...args))
    return true
  }
  Object.defineProperty(emit, IN_FRONT, { value: true })
  Object.defineProperty(emitter, 'emit', { value: emit, configurable: true, writable: true, enumerable })
}

/** By this name every copy of this package says what its `emit` calls. */
export const PREVIOUS = Symbol.for('otel-token-relay.previous')

/** Whether `emit` is one of `emits`, or a wrapper that says what it wraps, as those of OpenTelemetry's do. */
function leadsTo(emits: ReadonlySet<unknown>, emit: unknown): boolean {
  if (emits.has(emit)) return true
  if (typeof emit !== 'function' || types.isProxy(emit)) return false
  const memberOf = (name: string | symbol): unknown => Object.getOwnPropertyDescriptor(emit, name)?.value
  return leadsTo(emits, memberOf(PREVIOUS) ?? memberOf('__original'))
}

function ownerOfEmit(emitter: EventEmitter): object {
  let owner: object = emitter
  while (!Object.hasOwn(owner, 'emit')) owner = Object.getPrototypeOf(owner) as object
  return owner
}

/** Calls `look` right before Node emits a request of HTTP/1 on a server. */
function watchRequests(look: (server: EventEmitter) => void): void {
  subscribe('http.server.request.start', (message) => {
    const { server, socket } = message as { server: EventEmitter; socket: Duplex }
    try {
      look(server)
    } catch {
      socket.destroy()
    }
  })
}

type Update = (this: EventEmitter & { destroy(): unknown }, ...args: unknown[]) => unknown

/**
 * Calls `look` right before Node emits a stream of HTTP/2 on a session. Node.js 22 does not publish that yet, but
 * restarts the timer of a session for each header section that comes in, as every version does.
 */
function watchStreams(prototype: EventEmitter, look: (session: EventEmitter) => void): void {
  const update = symbolOf(Object.getPrototypeOf(prototype) as object, 'kUpdateTimer')
  if (update !== undefined) {
    patchMethod<Update>(
      prototype,
      update,
      (previous) =>
        function (...args) {
          destroyOnError(this, () => look(this))
          return previous.apply(this, args)
        },
    )
  }
  subscribe('http2.server.stream.start', (message) => {
    const { stream } = message as { stream: Duplex & { readonly session?: EventEmitter } }
    const { session } = stream
    if (session !== undefined) destroyOnError(stream, () => look(session))
  })
}

type Count = (this: EventEmitter, ...args: Parameters<EventEmitter['listenerCount']>) => number

/** Calls `look` when Node asks a server for listeners, as it does before it emits `upgrade` and `connect`. */
function watchCounts(prototype: EventEmitter, look: (server: EventEmitter) => void): void {
  patchMethod<Count>(
    prototype,
    'listenerCount',
    (previous) =>
      function (...args) {
        try {
          look(this)
        } catch {
          // Nothing that cannot be guarded is handed over: without listeners Node closes the socket.
          return 0
        }
        return previous.apply(this, args)
      },
  )
}

/** A request that cannot be guarded is not handed over. Nothing may be thrown into `diagnostics_channel`. */
function destroyOnError(connection: { destroy(): unknown }, look: () => void): void {
  try {
    look()
  } catch {
    connection.destroy()
  }
}
