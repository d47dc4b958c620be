/** Makes a request's own context the active one, for its handler and for all that is attached to it. */

import { EventEmitter } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { bindEmitter } from '../../context/bind.ts'
import { bindAnew, boundContextOf } from '../../context/bound-emitters.ts'
import type { Caller } from '../../context/caller.ts'
import { callerOf, withCaller } from '../../context/credential-context.ts'

/** Runs `fn`, and all that the application will attach to `emitters`, in a context that holds `caller`. */
export function runInCallerContext<T>(caller: Caller, emitters: readonly EventEmitter[], fn: () => T): T {
  const active = context.active()
  const ctx = bindToCaller(caller, emitters, active)
  return ctx === active ? fn() : context.with(ctx, fn)
}

/**
 * Has all that the application will attach to `emitters` run in a context that holds `caller`, and returns that one,
 * which is `active` if that does. Also if there is no caller, or the context is active already: on a pipelined
 * connection what a response emits is caused by the requests before it, and unbound listeners would run as their
 * callers.
 */
export function bindToCaller(caller: Caller, emitters: readonly EventEmitter[], active: Context): Context {
  const ctx = contextOf(caller, active)
  for (const emitter of emitters) {
    if (!isBoundAs(ctx, emitter)) bindAnew(ctx, emitter)
    if (emitter instanceof ServerResponse && emitter.socket === null) bindCallbacks(emitter)
  }
  const [request] = emitters
  if (request instanceof IncomingMessage) bindConnection(request, emitters)
  return ctx
}

/**
 * An instrumentation has usually bound request and response to the context that it has extracted. It may have bound
 * them to one without our caller, too (a path that it ignores, no propagator). An upgraded socket loses a binding with
 * its first listener, unless {@link bindAnew} has made it.
 */
function isBoundAs(ctx: Context, emitter: EventEmitter): boolean {
  if (!(emitter instanceof IncomingMessage || emitter instanceof ServerResponse)) return false
  const bound = boundContextOf(emitter)
  return bound === ctx || (bound !== undefined && callerOf(bound) === callerOf(ctx))
}

function contextOf(caller: Caller, active: Context): Context {
  const present = callerOf(active)
  const isEntered = present === caller || (caller.state.status === 'absent' && present === undefined)
  return isEntered ? active : withCaller(active, caller)
}

/** The socket of a request belongs to all that come over it: each listener runs in the context in which it is added. */
function bindConnection({ socket }: IncomingMessage, emitters: readonly EventEmitter[]): void {
  if (socket instanceof EventEmitter && !emitters.includes(socket)) bindEmitter(socket)
}

const withBoundCallbacks = new WeakSet<ServerResponse>()
const WITH_CALLBACK = ['write', 'end', 'writeContinue', 'writeProcessing', 'writeEarlyHints'] as const

/**
 * A response without a socket waits for those before it on its connection: when the last of them ends, as its caller,
 * what this one has written is sent, and called back.
 */
function bindCallbacks(response: ServerResponse): void {
  if (withBoundCallbacks.has(response)) return
  withBoundCallbacks.add(response)
  for (const name of WITH_CALLBACK) {
    const method = response[name] as (...args: unknown[]) => unknown
    const value = function (this: ServerResponse, ...args: unknown[]): unknown {
      const active = context.active()
      return method.apply(
        this,
        args.map((arg) => (typeof arg === 'function' ? context.bind(active, arg) : arg)),
      )
    }
    Object.defineProperty(response, name, { value, configurable: true, writable: true })
  }
}
