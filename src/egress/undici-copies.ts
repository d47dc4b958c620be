/** Finds every copy of undici in the process: the built-in one behind `fetch`, and those installed from npm. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'

/** What is done with the parts of a copy. Each may be told the same one more than once. */
export interface UndiciObserver {
  /** A prototype that has `dispatch`. */
  onDispatcher(prototype: object): void
  /** The class of a handler that undici makes for one request and dispatches again by itself. */
  onHandler(handlerClass: object): void
  /** The object that a copy exports as `interceptors`. */
  onInterceptors(interceptors: object): void
}

// Where every copy that has been used keeps its default dispatcher, the built-in one included.
const GLOBAL_DISPATCHERS = [Symbol.for('undici.globalDispatcher.1'), Symbol.for('undici.globalDispatcher.2')]
// The class that all dispatchers extend, and the one of them that has a `dispatch` of its own.
const DISPATCHERS = /[\\/](?:dispatcher-base|proxy-agent)(?:\.js)?$/
const HANDLERS =
  /[\\/]handler[\\/](?:retry-handler|redirect-handler|unwrap-handler|RetryHandler|RedirectHandler)(?:\.js)?$/
// What `index.js` loads after it has made the object of interceptors.
const AFTER_INTERCEPTORS = /^\.\/lib\/(?:cache|web)\//
const REQUIRE_END = 'tracing:module.require:end'

const require = createRequire(import.meta.url)

/** Tells `observer` of each copy that is loaded or will be. Returns how to stop. */
export function watchUndiciCopies(observer: UndiciObserver): () => void {
  loadBuiltIn()
  for (const key of GLOBAL_DISPATCHERS) {
    const dispatcher: unknown = Reflect.get(globalThis, key)
    if (typeof dispatcher === 'object' && dispatcher !== null) {
      observer.onDispatcher(Object.getPrototypeOf(dispatcher) as object)
    }
  }
  for (const [file, module] of Object.entries(require.cache)) report(file, module?.exports, observer)
  const onRequire = (message: unknown): void => {
    const { id, parentFilename, result } = message as { id?: unknown; parentFilename?: unknown; result?: unknown }
    if (typeof id !== 'string' || typeof parentFilename !== 'string') return
    if (DISPATCHERS.test(id) || HANDLERS.test(id)) report(resolve(dirname(parentFilename), id), result, observer)
    if (AFTER_INTERCEPTORS.test(id)) reportInterceptors(parentFilename, observer)
  }
  subscribe(REQUIRE_END, onRequire)
  return () => unsubscribe(REQUIRE_END, onRequire)
}

/** Node loads its own undici when one of its globals is first read. */
function loadBuiltIn(): void {
  void globalThis.Headers
}

function report(file: string, exported: unknown, observer: UndiciObserver): void {
  if (typeof exported !== 'function') return
  if (HANDLERS.test(file) && isInUndici(file)) observer.onHandler(exported)
  if (!DISPATCHERS.test(file)) return
  const prototype = exported.prototype as unknown
  if (typeof prototype === 'object' && prototype !== null) observer.onDispatcher(prototype)
  const lib = file.search(/[\\/]lib[\\/](?:dispatcher[\\/])?[^\\/]+$/)
  if (lib !== -1) reportInterceptors(join(file.slice(0, lib), 'index.js'), observer)
}

function reportInterceptors(index: string, observer: UndiciObserver): void {
  const exported = require.cache[index]?.exports as { interceptors?: unknown; buildConnector?: unknown } | undefined
  const interceptors = exported?.buildConnector === undefined ? undefined : exported.interceptors
  if (typeof interceptors === 'object' && interceptors !== null) observer.onInterceptors(interceptors)
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
