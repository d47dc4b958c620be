/** Finds every copy of undici in the process: the built-in one behind `fetch`, and those installed from npm. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { allGlobals, mainGlobal } from '../../base/main-realm.ts'
import { isObject, symbolOf } from '../../base/own-property.ts'
import { packageUrl } from '../../base/package-url.ts'
import type { HandlerClass, Interceptors } from './handlers.ts'

/** Learns the parts of each copy. It may get the same part more than once. */
export interface UndiciObserver {
  /** A prototype that has `dispatch`, or the method that `dispatch` calls inside. */
  onDispatcher(prototype: object): void
  /** The class of a handler that undici makes for one request, around another. */
  onHandler(handlerClass: HandlerClass): void
  /** The class of a handler that gives a response to others than its caller. */
  onSharingHandler(handlerClass: HandlerClass): void
  /** The `interceptors` that a copy exports, and the prototype that has its `compose`. */
  onInterceptors(interceptors: Interceptors, prototype: object): void
}

// Where every copy that has been used keeps its default dispatcher, the built-in one included.
const GLOBAL_DISPATCHERS = [Symbol.for('undici.globalDispatcher.1'), Symbol.for('undici.globalDispatcher.2')]
// The files of classes that have `dispatch`, or the method that it calls inside.
const DISPATCHERS =
  /[\\/](?:dispatcher-base|[a-z0-9-]*agent|[a-z0-9-]*client|[a-z-]*pool(?:-base)?|dispatcher1-wrapper)(?:\.js)?$/
const HANDLERS =
  /[\\/]handler[\\/](?:retry-handler|redirect-handler|(?:un)?wrap-handler|RetryHandler|RedirectHandler)(?:\.js)?$/
const SHARING = /[\\/]handler[\\/](?:cache-handler|cache-revalidation-handler|deduplication-handler)(?:\.js)?$/
// The files that `index.js` loads after it has made the object of interceptors.
const AFTER_INTERCEPTORS = /^\.\/lib\/(?:cache|web)\//
const REQUIRE_END = 'tracing:module.require:end'

const require = createRequire(packageUrl)

/** Reports each copy to `observer` that is loaded or will be. Returns how to stop. */
export function watchUndiciCopies(observer: UndiciObserver): () => void {
  loadBuiltIn()
  for (const [file, module] of Object.entries(require.cache)) reportModule(file, module?.exports, observer)
  for (const { dispatcher } of globalDispatchers()) observer.onDispatcher(Object.getPrototypeOf(dispatcher) as object)
  const onRequire = (message: unknown): void => {
    const { id, parentFilename, result } = message as { id?: unknown; parentFilename?: unknown; result?: unknown }
    if (typeof id !== 'string' || typeof parentFilename !== 'string') return
    if (isRelevant(id)) reportModule(resolve(dirname(parentFilename), id), result, observer)
    if (AFTER_INTERCEPTORS.test(id)) reportInterceptors(parentFilename, observer)
  }
  subscribe(REQUIRE_END, onRequire)
  return () => unsubscribe(REQUIRE_END, onRequire)
}

function isRelevant(id: string): boolean {
  return DISPATCHERS.test(id) || HANDLERS.test(id) || SHARING.test(id)
}

/** A dispatcher that `fetch` and `request` use by default. */
export interface GlobalDispatcher {
  /** The global object that has it. */
  readonly owner: object
  readonly key: symbol
  readonly dispatcher: object
}

export function globalDispatchers(): readonly GlobalDispatcher[] {
  return allGlobals.flatMap((owner) =>
    GLOBAL_DISPATCHERS.flatMap((key) => {
      const dispatcher: unknown = Reflect.get(owner, key)
      return isObject(dispatcher) ? [{ owner, key, dispatcher }] : []
    }),
  )
}

/** Node loads its own undici when one of its globals is first read. */
function loadBuiltIn(): void {
  void Reflect.get(mainGlobal, 'Headers')
}

function reportModule(file: string, exported: unknown, observer: UndiciObserver): void {
  if (!isRelevant(file)) return
  for (const each of classesIn(exported)) reportClass(file, each, observer)
  const lib = file.search(/[\\/]lib[\\/](?:dispatcher[\\/])?[^\\/]+$/)
  if (lib !== -1) reportInterceptors(join(file.slice(0, lib), 'index.js'), observer)
}

/** Most modules of undici export a class, and some an object of them. */
function classesIn(exported: unknown): HandlerClass[] {
  const values = isObject(exported) ? Object.values(exported) : [exported]
  return values.filter((value) => typeof value === 'function' && isObject(value.prototype)) as HandlerClass[]
}

function reportClass(file: string, exported: HandlerClass, observer: UndiciObserver): void {
  const prototype = exported.prototype as object
  if (DISPATCHERS.test(file)) {
    if (Object.hasOwn(prototype, 'dispatch') || symbolOf(prototype, 'dispatch')) observer.onDispatcher(prototype)
  } else if (isInUndici(file)) {
    if (HANDLERS.test(file)) observer.onHandler(exported)
    else observer.onSharingHandler(exported)
  }
}

function reportInterceptors(index: string, observer: UndiciObserver): void {
  const exported = require.cache[index]?.exports as Record<string, unknown> | undefined
  const { interceptors, Dispatcher: dispatcherClass } = exported?.['buildConnector'] === undefined ? {} : exported
  if (!isObject(interceptors) || typeof dispatcherClass !== 'function') return
  observer.onInterceptors(interceptors as Interceptors, dispatcherClass.prototype as object)
}

/** Other packages have a `handler/retry-handler.js` too. A copy under another name is still called undici inside. */
function isInUndici(file: string): boolean {
  try {
    const manifest = readFileSync(join(dirname(file), '..', '..', 'package.json'), 'utf8')
    return (JSON.parse(manifest) as { name?: unknown }).name === 'undici'
  } catch {
    return false
  }
}
