/** Stands between every server of the process and its listeners, and asks the active relay about each request. */

import { EventEmitter } from 'node:events'
import { Server as HttpServer } from 'node:http'
import http2, { createSecureServer, createServer } from 'node:http2'
import { Server as HttpsServer } from 'node:https'
import { Duplex } from 'node:stream'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import { answerFor } from '../../token/challenge.ts'
import { UndecidedError } from '../../token/errors.ts'
import { findActiveRelay, isGated } from '../active-relay.ts'
import { hasPassed } from './gate.ts'
import { incomingOf, refuseRequest } from './incoming.ts'
import type { Emit } from './unseen-emits.ts'
import { gateUnseenEmits, PREVIOUS } from './unseen-emits.ts'

// Every event with which Node hands over a request that the application is to answer.
const SERVER_EVENTS: ReadonlySet<string> = new Set([
  'request',
  'checkContinue',
  'checkExpectation',
  'upgrade',
  'connect',
  'stream',
])

// A session has events of the same names that mean something else: `connect` is its own connection.
const SESSION_EVENTS: ReadonlySet<string> = new Set(['stream'])

type Observer = (event: string, args: readonly unknown[]) => void

let isInstalled = false
let asksRelay = false
const observers: Observer[] = []

/**
 * From now on the active relay decides about every request of every server of this thread, those that exist included.
 */
export function interceptRequests(): void {
  asksRelay = true
  install()
}

/** Calls `observe` for every request that passes, right before its listeners. */
export function observeRequests(observe: Observer): void {
  observers.push(observe)
  install()
}

function withObservers(event: string, args: readonly unknown[], proceed: () => void): () => void {
  return () => {
    for (const observe of observers) observe(event, args)
    proceed()
  }
}

/**
 * Lets the request `proceed` to its listeners if the active relay says so. Without a relay, a gated process refuses it.
 */
function interceptRequest(event: string, args: readonly unknown[], proceed: () => void): void {
  const pass = observers.length === 0 ? proceed : withObservers(event, args, proceed)
  if (!asksRelay) return pass()
  const relay = findActiveRelay()
  if (relay !== undefined) return relay.intercept === undefined ? pass() : relay.intercept(event, args, pass)
  const incoming = incomingOf(event, args)
  if (!isGated() || hasPassed(incoming)) return pass()
  refuseRequest(event, incoming, answerFor(new UndecidedError('ERR_TOKEN_UNDECIDED')))
}

/**
 * Replaces `emit` on the prototypes of servers and of HTTP/2 sessions. It stays for the life of the process.
 *
 * Two things look odd and are not. There are no shimmer markers: OpenTelemetry's `_wrap` first removes a wrapper that
 * carries them, and the gate with it; `patchMethod` would copy them. And the previous `emit` is called on a stand-in
 * whose only listener is ours: so every other wrapper, applied before or after this one, runs first (span, extraction,
 * context), and the relay is asked inside, in that context.
 */
function install(): void {
  if (isInstalled) return
  isInstalled = true
  const servers = serverPrototypes()
  const sessions = sessionPrototype()
  const gated = new Map<object, ReadonlySet<string>>([[sessions, SESSION_EVENTS]])
  for (const prototype of servers) gated.set(prototype, SERVER_EVENTS)
  const emits = new Set<unknown>()
  for (const [prototype, events] of gated) emits.add(replaceEmit(prototype as EventEmitter, events))
  const events = [SERVER_EVENTS, SESSION_EVENTS] as const
  gateUnseenEmits({ servers, sessions, gated, emits, events, intercept: interceptRequest })
}

function serverPrototypes(): EventEmitter[] {
  // node:http2 does not export its server classes.
  const http2 = [createServer(), createSecureServer()].map((server) => Object.getPrototypeOf(server) as EventEmitter)
  return [HttpServer.prototype, HttpsServer.prototype, ...http2]
}

/** node:http2 does not export it. It must be there before any session is: streams can be listened to on a session. */
function sessionPrototype(): EventEmitter {
  // Not imported by name: older versions of Node.js lack it, and are to read which version is needed.
  const session = http2.performServerHandshake(new Duplex({ read: () => undefined, write: (_, __, done) => done() }))
  session.destroy()
  return Object.getPrototypeOf(session) as EventEmitter
}

interface StandIn {
  readonly emitter: EventEmitter
  readonly events: Readonly<Record<string, unknown>>
  readonly listener: unknown
}

/** A listener that is added to a stand-in, or taken away from it, counts for one emission. */
function isUntouched({ events, listener }: StandIn, event: string): boolean {
  return events[event] === listener
}

function replaceEmit(prototype: EventEmitter, gated: ReadonlySet<string>): Emit {
  const previous = prototype.emit as Emit
  const { emit: baseEmit, listenerCount } = EventEmitter.prototype
  const standIns = createObjectMetadata<Map<string, StandIn>>()

  /** One for each server and event: making one takes as long as all the rest. */
  function standInFor(server: EventEmitter, event: string): EventEmitter {
    const known = standIns.get(server) ?? new Map<string, StandIn>()
    const made = known.get(event)
    if (made !== undefined && isUntouched(made, event)) return made.emitter
    const standIn = createStandIn(server, event)
    known.set(event, standIn)
    standIns.set(server, known)
    return standIn.emitter
  }

  function createStandIn(server: EventEmitter, event: string): StandIn {
    const listener = (...passed: unknown[]): void => {
      interceptRequest(event, passed, () => void baseEmit.call(server, event, ...passed))
    }
    const events = { __proto__: null, [event]: listener }
    return { emitter: Object.create(server, { _events: { value: events } }) as EventEmitter, events, listener }
  }

  const emit: Emit = function (event, ...args) {
    if (typeof event !== 'string' || !gated.has(event) || listenerCount.call(this, event) === 0) {
      return previous.call(this, event, ...args)
    }
    return previous.call(standInFor(this, event), event, ...args)
  }
  Object.defineProperty(emit, PREVIOUS, { value: previous })
  Object.defineProperty(prototype, 'emit', { value: emit, configurable: true, writable: true })
  return emit
}
