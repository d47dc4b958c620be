/** Finds every copy of undici in the process: the built-in one behind `fetch`, and those installed from npm. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createRequire } from 'node:module'

// Where every copy that has been used keeps its default dispatcher, the built-in one included.
const GLOBAL_DISPATCHERS = [Symbol.for('undici.globalDispatcher.1'), Symbol.for('undici.globalDispatcher.2')]
// The class that all dispatchers extend, and the one of them that has a `dispatch` of its own.
const FILES = /[\\/](?:dispatcher-base|proxy-agent)(?:\.js)?$/
const REQUIRE_END = 'tracing:module.require:end'

/** Calls `found` with a prototype that has `dispatch`, for each copy that is loaded or will be. Returns how to stop. */
export function watchUndiciCopies(found: (prototype: object) => void): () => void {
  const require = createRequire(import.meta.url)
  loadBuiltIn()
  for (const key of GLOBAL_DISPATCHERS) {
    const dispatcher: unknown = Reflect.get(globalThis, key)
    if (typeof dispatcher === 'object' && dispatcher !== null) found(Object.getPrototypeOf(dispatcher) as object)
  }
  for (const [file, module] of Object.entries(require.cache)) {
    if (FILES.test(file)) report(module?.exports, found)
  }
  const onRequire = (message: unknown): void => {
    const { id, result } = message as { id?: unknown; result?: unknown }
    if (typeof id === 'string' && FILES.test(id)) report(result, found)
  }
  subscribe(REQUIRE_END, onRequire)
  return () => unsubscribe(REQUIRE_END, onRequire)
}

/** Node loads its own undici when one of its globals is first read. */
function loadBuiltIn(): void {
  void globalThis.Headers
}

function report(exported: unknown, found: (prototype: object) => void): void {
  const prototype = typeof exported === 'function' ? (exported.prototype as unknown) : undefined
  if (typeof prototype === 'object' && prototype !== null) found(prototype)
}
