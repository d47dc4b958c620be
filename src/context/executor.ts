/** Task queues and pools: each task runs as the caller that submitted it. */

import { bind } from './bind.ts'
import { runWithoutCaller } from './without-caller.ts'

type Method = (this: unknown, ...args: unknown[]) => unknown

/** These methods find functions again by identity; and what an emitter calls is no task. */
const LISTENING = new Set<PropertyKey>([
  'on',
  'once',
  'off',
  'addListener',
  'removeListener',
  'prependListener',
  'prependOnceListener',
  'addEventListener',
  'removeEventListener',
])

/**
 * Returns a stand-in for `executor`, of the same type. Each function that is passed to one of its methods, or to itself
 * if it is a function, runs in the context in which it was passed, whenever it runs. It may be an argument, or a member
 * of a list that is one: `add(fn)`, `addAll(fns)`, `limit(fn, ...args)`, `limit.map(items, fn)`, `use(fn)`, `push(fn)`.
 *
 * What the executor does itself when it is called, it does without a caller: a connection that a pool opens is for all
 * callers. Its results are awaited as the caller, as ever. Listeners (`on`, `addEventListener`, …) are passed on as
 * they are, and functions in an object of options, too. Keep no reference to `executor` itself, or nothing is changed.
 *
 * @throws TypeError if `executor` is neither an object nor a function.
 */
export function wrapExecutor<E extends object>(executor: E): E {
  const isFunction = typeof executor === 'function'
  if (!isFunction && (typeof executor !== 'object' || executor === null)) {
    throw new TypeError('executor: expected an object or a function')
  }
  const methods = new WeakMap<Method, Method>()

  const call = (method: Method, self: unknown, args: readonly unknown[], isTask = true): unknown => {
    const result = isTask ? runTasks(method, self, args) : (Reflect.apply(method, self, args) as unknown)
    return result === executor ? wrapped : result
  }
  const methodOf = (method: Method, isTask: boolean): Method => {
    const known = methods.get(method)
    if (known !== undefined) return known
    const wrapping: Method = function (...args) {
      return call(method, this === wrapped ? executor : this, args, isTask)
    }
    methods.set(method, wrapping)
    return wrapping
  }

  // A proxy of `executor` would have to return its members that cannot be configured, as p-limit has them, unchanged.
  const target = isFunction ? (): void => undefined : {}
  const wrapped: E = new Proxy(target, {
    apply: (_, self, args) => call(executor as unknown as Method, self, args),
    get(_, key) {
      const value: unknown = Reflect.get(executor, key, executor)
      return typeof value === 'function' && key !== 'constructor'
        ? methodOf(value as Method, !LISTENING.has(key))
        : value
    },
    set: (_, key, value) => Reflect.set(executor, key, value, executor),
    has: (_, key) => Reflect.has(executor, key),
    deleteProperty: (_, key) => Reflect.deleteProperty(executor, key),
    getPrototypeOf: () => Reflect.getPrototypeOf(executor),
  }) as E
  return wrapped
}

function runTasks(method: Method, self: unknown, args: readonly unknown[]): unknown {
  const tasks = args.map(bindTask)
  return runWithoutCaller(() => Reflect.apply(method, self, tasks) as unknown)
}

function bindTask(argument: unknown): unknown {
  if (Array.isArray(argument)) return argument.some(isFunction) ? argument.map(bindFunction) : argument
  return bindFunction(argument)
}

function bindFunction(value: unknown): unknown {
  return isFunction(value) ? bind(value) : value
}

function isFunction(value: unknown): value is Method {
  return typeof value === 'function'
}
