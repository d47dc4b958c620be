/** Sees every CommonJS module of the process: those that are loaded, and those that will be. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createRequire } from 'node:module'
import { packageUrl } from './package-url.ts'

const REQUIRE_END = 'tracing:module.require:end'

/**
 * Calls `found` with what the modules export whose file name, or the name they are required by, matches `files`: each
 * copy and version there is, more than once where it is required more than once. Returns how to stop.
 */
export function watchModules(files: RegExp, found: (exported: unknown) => void): () => void {
  const require = createRequire(packageUrl)
  const { cache } = require
  // In one text: a program with instrumentations has loaded two thousand files, and few of them match.
  const loaded = Object.keys(cache)
  if (new RegExp(files, 'm').test(loaded.join('\n'))) {
    for (const file of loaded) if (files.test(file)) found(cache[file]?.exports)
  }
  const onRequire = (message: unknown): void => {
    const { id, result } = message as { id?: unknown; result?: unknown }
    if (typeof id === 'string' && files.test(id)) found(result)
  }
  subscribe(REQUIRE_END, onRequire)
  return () => unsubscribe(REQUIRE_END, onRequire)
}
