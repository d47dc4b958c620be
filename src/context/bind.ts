/** Keeps the caller with a function, or with the listeners of an emitter, whoever calls them later. */

import type { EventEmitter } from 'node:events'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { getSlot } from './credential-context.ts'
import { withKeptPlace } from './place.ts'

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown

/**
 * A function that runs `fn` in the context that is active now: as its caller, and in its trace. Arguments, `this`, what
 * is returned or thrown, `length` and all other properties are those of `fn`; `new` is not bound. Where nobody is calling
 * now, `fn` runs as nobody.
 *
 * It does not keep the caller's request open: what it sends after that has ended is detached.
 *
 * @throws TypeError where `fn` is not a function.
 */
export function bind<F extends (...args: never[]) => unknown>(fn: F): F {
  if (typeof fn !== 'function') throw new TypeError('fn: expected a function')
  const ctx = keptContext()
  // OpenTelemetry's own `bind` binds nothing while no context manager is registered; one may be when `fn` is called.
  return new Proxy(fn, {
    apply: (target, self, args) => context.with(ctx, () => Reflect.apply(target, self, args) as unknown),
  })
}

/** The active context, for later. */
function keptContext(): Context {
  const active = context.active()
  return withKeptPlace(active, getSlot(active))
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
 * Has every listener that is added to `emitter` from now on run in the context in which it is added, instead of that of
 * whoever emits. `off`, `removeListener`, `once` and `listeners` work with the original functions. Listeners that are
 * there already are left alone. Returns `emitter`.
 *
 * OpenTelemetry's `context.bind` does something else: it runs all listeners in one context. An emitter that was bound so,
 * such as the request of an instrumented server, is from now on bound per listener.
 */
export function bindEmitter<E extends EventEmitter>(emitter: E): E {
  if (bound.has(emitter)) return emitter
  bound.add(emitter)
  const owner = markOf(emitter) === undefined ? emitter : (Object.getPrototypeOf(emitter) as EventEmitter)
  const methods = METHODS.map(([name, adds, isOnce]) => [name, listen(owner[adds] as Listen, isOnce)] as const)
  for (const [name, value] of methods)
    Object.defineProperty(emitter, name, { value, configurable: true, writable: true })
  return emitter
}

function listen(add: Listen, isOnce: boolean): Listen {
  return function (event, listener) {
    // What is no function is refused there.
    if (typeof listener !== 'function') return add.call(this, event, listener)
    const run = bind(listener)
    const added = isOnce ? calledOnce(run, this as EventEmitter, event) : calledAsOften(run)
    // By this name Node finds what a listener was made of, when it is to be removed or listed.
    Reflect.set(added, 'listener', Reflect.get(listener, 'listener') ?? listener)
    return add.call(this, event, added)
  }
}

function calledAsOften(run: AnyFunction): AnyFunction {
  return function (...args) {
    return run.apply(this, args)
  }
}

/** As the wrapper that Node makes: a nested `emit` must not call it a second time. */
function calledOnce(run: AnyFunction, emitter: EventEmitter, event: string | symbol): AnyFunction {
  let called = false
  const once: AnyFunction = function (...args) {
    if (called) return undefined
    called = true
    emitter.removeListener(event, once)
    return run.apply(this, args)
  }
  return once
}

/** OpenTelemetry's context manager puts it on emitters that it has bound; it binds one once only, while this is there. */
export function markOf(emitter: EventEmitter): symbol | undefined {
  return Object.getOwnPropertySymbols(emitter).find(({ description }) => description === 'OtListeners')
}
