/** Finds every copy of undici in the process: the built-in one behind `fetch`, and those installed from npm. */

import { watchModules } from './loaded-modules.ts'

// Where every copy that has been used keeps its default dispatcher, the built-in one included.
const GLOBAL_DISPATCHERS = [Symbol.for('undici.globalDispatcher.1'), Symbol.for('undici.globalDispatcher.2')]
// The class that all dispatchers extend, and the one of them that has a `dispatch` of its own.
const FILES = /[\\/](?:dispatcher-base|proxy-agent)(?:\.js)?$/

/** Calls `found` with a prototype that has `dispatch`, for each copy that is loaded or will be. Returns how to stop. */
export function watchUndiciCopies(found: (prototype: object) => void): () => void {
  loadBuiltIn()
  for (const key of GLOBAL_DISPATCHERS) {
    const dispatcher: unknown = Reflect.get(globalThis, key)
    if (typeof dispatcher === 'object' && dispatcher !== null) found(Object.getPrototypeOf(dispatcher) as object)
  }
  return watchModules(FILES, (exported) => report(exported, found))
}

/** Node loads its own undici when one of its globals is first read. */
function loadBuiltIn(): void {
  void globalThis.Headers
}

function report(exported: unknown, found: (prototype: object) => void): void {
  const prototype = typeof exported === 'function' ? (exported.prototype as unknown) : undefined
  if (typeof prototype === 'object' && prototype !== null) found(prototype)
}
