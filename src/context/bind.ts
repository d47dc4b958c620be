/** Keeps the caller with a function, or with the listeners of an emitter, until they are called. */

import type { EventEmitter } from 'node:events'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { isBound } from './bound-emitters.ts'
import { withBindSite } from './call-sites.ts'
import { callerOf } from './credential-context.ts'

interface AnyFunction {
  (this: unknown, ...args: unknown[]): unknown
  /** What a listener was made of. */
  listener?: unknown
}

/**
 * Returns `fn` bound to the current context, so it keeps the current caller and trace. Arguments, `this`, what is
 * returned or thrown, `length` and all other properties are those of `fn`; `new` is not bound. If there is no caller
 * now, `fn` runs without a caller.
 *
 * It does not keep the caller's request open: what it sends after that has ended is detached.
 *
 * @throws TypeError if `fn` is not a function.
 */
export function bind<F extends (...args: never[]) => unknown>(fn: F): F {
  if (typeof fn !== 'function') throw new TypeError('fn: expected a function')
  const ctx = captureContext()
  // OpenTelemetry's own `bind` binds nothing while no context manager is registered; one may be when `fn` is called.
  return new Proxy(fn, {
    apply: (target, self, args) => context.with(ctx, () => Reflect.apply(target, self, args) as unknown),
  })
}

/** The active context, for later. */
function captureContext(): Context {
  const active = context.active()
  return withBindSite(active, callerOf(active))
}

type Listen = (this: unknown, event: string | symbol, listener: AnyFunction) => unknown

/** The methods that add listeners: what they do, and whether a listener is removed when it is called. */
const METHODS = [
  ['on', 'on', false],
  ['addListener', 'addListener', false],
  ['prependListener', 'prependListener', false],
  ['once', 'on', true],
  ['prependOnceListener', 'prependListener', true],
] as const

const bound = new WeakSet<EventEmitter>()

/**
 * From now on every listener of `emitter` runs in the context in which it is added, instead of that of the code that
 * emits. `off`, `removeListener`, `once` and `listeners` work with the original functions. Listeners that are there
 * already are left alone. Returns `emitter`.
 *
 * OpenTelemetry's `context.bind` does something else: it runs all listeners in one context. An emitter that was bound
 * so, such as the request of an instrumented server, is from now on bound per listener.
 */
export function bindEmitter<E extends EventEmitter>(emitter: E): E {
  if (bound.has(emitter)) return emitter
  bound.add(emitter)
  const owner = isBound(emitter) ? (Object.getPrototypeOf(emitter) as EventEmitter) : emitter
  const methods = METHODS.map(([name, adds, isOnce]) => [name, listen(owner[adds] as Listen, isOnce)] as const)
  for (const [name, value] of methods)
    Object.defineProperty(emitter, name, { value, configurable: true, writable: true })
  return emitter
}

function listen(add: Listen, isOnce: boolean): Listen {
  return function (event, listener) {
    // What is no function is refused there.
    if (typeof listener !== 'function') return add.call(this, event, listener)
    const run = runLater(listener)
    const added = isOnce ? wrapOnceListener(run, this as EventEmitter, event) : run
    // By this name Node finds what a listener was made of, when it is to be removed or listed.
    added.listener = listener.listener ?? listener
    return add.call(this, event, added)
  }
}

/** What {@link bind} does, for a listener: without its properties, and in a tenth of the time. */
function runLater(listener: AnyFunction): AnyFunction {
  const ctx = captureContext()
  return function (...args) {
    return context.with(ctx, () => listener.apply(this, args))
  }
}

/** As the wrapper that Node makes: a nested `emit` must not call it a second time. */
function wrapOnceListener(run: AnyFunction, emitter: EventEmitter, event: string | symbol): AnyFunction {
  let called = false
  const once: AnyFunction = function (...args) {
    if (called) return undefined
    called = true
    emitter.removeListener(event, once)
    return run.apply(this, args)
  }
  return once
}
