/** Next.js: what it stores or renders for all callers is made without the token of any of them. */

import { context } from '@opentelemetry/api'
import { watchModules } from '../base/module-watcher.ts'
import { isObject } from '../base/own-property.ts'
import type { Patch, Undo } from '../base/patch-method.ts'
import { combineUndos, patchMethod } from '../base/patch-method.ts'
import { Caller } from '../context/caller.ts'
import { callerOf, withCaller } from '../context/credential-context.ts'
import { runInContext } from '../context/without-caller.ts'
import { markShared, markStorable, storableCallOf } from './undici/shared-responses.ts'

/** The modules that Next.js keeps outside of its bundles, since there must be one copy of each. */
const WORK = /(?:^|[\\/])(?:static-generation|work)-async-storage\.external(?:\.js)?$/
const WORK_UNIT = /(?:^|[\\/])work-unit-async-storage\.external(?:\.js)?$/

type Method = (this: unknown, ...args: unknown[]) => unknown
interface Storage {
  getStore(): unknown
}

/**
 * Lets `fetch` in Next.js carry a token only if its response goes to its caller alone. Next.js compares the fields that
 * the application has set, and never sees the token, so it would give the response for one caller to another.
 */
export function watchNextjs(): Undo {
  const patch = { isActive: true }
  const undos: Undo[] = []
  const units = new Set<object>()
  undos.push(
    watchModules(WORK_UNIT, (exported) => {
      const storage = isObject(exported) ? exported['workUnitAsyncStorage'] : undefined
      if (!isObject(storage) || units.has(storage)) return
      units.add(storage)
      undos.push(patchMethod<Method>(storage, 'run', (previous) => runForAll(previous, patch)))
    }),
    watchModules(WORK, () => {
      if (!isWatched()) undos.push(watchGlobalFetch(createWrapper(units, undos, patch)))
    }),
  )
  return () => {
    patch.isActive = false
    combineUndos(undos)()
  }
}

/** Runs what makes a cached result as all callers at once: none of their tokens can be right. */
function runForAll(run: Method, patch: Patch): Method {
  return function (unit, ...rest) {
    const work = (): unknown => run.call(this, unit, ...rest)
    const active = context.active()
    if (!patch.isActive || callerOf(active) === undefined || !isForAll(unit)) return work()
    return runInContext(markShared(withCaller(active, Caller.ambiguous())), work)
  }
}

/** Whether Next.js may keep the result of `unit`: anything but the answer to one request. */
function isForAll(unit: unknown): boolean {
  return isObject(unit) && unit['type'] !== 'request'
}

type WrapFetch = (fetch: unknown) => unknown

/** Whether the global `fetch` is watched already. */
function isWatched(): boolean {
  const get = Object.getOwnPropertyDescriptor(globalThis, 'fetch')?.get
  return get !== undefined && getters.has(get)
}
const getters = new WeakSet<object>()

/** Wraps the `fetch` of Next.js whenever it is set: at the first request, and in development more often. */
function watchGlobalFetch(wrap: WrapFetch): Undo {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'fetch')
  if (before?.configurable !== true) return () => undefined
  let current = wrap(globalThis.fetch)
  const get = (): unknown => current
  const set = (fetch: unknown): void => {
    current = wrap(fetch)
  }
  getters.add(get)
  const { enumerable = true } = before
  Object.defineProperty(globalThis, 'fetch', { configurable: true, enumerable, get, set })
  return () => {
    if (Object.getOwnPropertyDescriptor(globalThis, 'fetch')?.get !== get) return
    Object.defineProperty(globalThis, 'fetch', { configurable: true, enumerable, writable: true, value: current })
  }
}

function createWrapper(units: ReadonlySet<object>, undos: Undo[], patch: Patch): WrapFetch {
  const caches = new Map<object, boolean>()
  const wrapped = new WeakSet<object>()

  /** Finds out whether it can be seen that `cache` stores a response. */
  function canWatch(cache: object): boolean {
    const prototype = Object.getPrototypeOf(cache) as object
    const known = caches.get(prototype)
    if (known !== undefined) return known
    const canBeWatched = ['lock', 'set'].every((name) => typeof Reflect.get(prototype, name) === 'function')
    caches.set(prototype, canBeWatched)
    if (canBeWatched) undos.push(patchMethod(prototype, 'lock', noteLock), patchMethod(prototype, 'set', storeOwn))
    return canBeWatched
  }

  return (fetch) => {
    if (typeof fetch !== 'function' || Reflect.get(fetch, '__nextPatched') !== true || wrapped.has(fetch)) return fetch
    const holder = { fetch: fetch as Method }
    patchMethod<Method>(
      holder,
      'fetch',
      (previous) =>
        function (...args) {
          const active = context.active()
          if (!patch.isActive || callerOf(active) === undefined) return previous.apply(this, args)
          const cache = cacheOf(fetch)
          const mayBeStored = cache !== undefined && (units.size === 0 || !canWatch(cache))
          return context.with(markStorable(active, { mayBeStored, wasSent: false }), () => previous.apply(this, args))
        },
    )
    wrapped.add(holder.fetch)
    return holder.fetch
  }
}

/** The cache in which the `fetch` of Next.js stores responses. */
function cacheOf(fetch: object): object | undefined {
  const getStorage: unknown = Reflect.get(fetch, '__nextGetStaticStore')
  const storage = typeof getStorage === 'function' ? (getStorage as () => Storage | undefined)() : undefined
  const work = storage?.getStore()
  const cache = isObject(work) ? work['incrementalCache'] : undefined
  return isObject(cache) ? cache : undefined
}

/** Next.js locks the entry of each response that it may store, before it asks for the response. */
function noteLock(previous: Method): Method {
  return function (...args) {
    const call = storableCallOf(context.active())
    if (call !== undefined) call.mayBeStored = true
    return previous.apply(this, args)
  }
}

/**
 * React answers equal requests of one page with one response, whether both may be stored or not. Only a response is
 * stored that was asked for without a token.
 */
function storeOwn(previous: Method): Method {
  return function (...args) {
    const call = storableCallOf(context.active())
    return call !== undefined && !call.wasSent ? Promise.resolve() : previous.apply(this, args)
  }
}
