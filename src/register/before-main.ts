/** Runs a function after all preloaded modules and before the main module. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const REQUIRE_START = 'tracing:module.require:start'
const IMPORT_START = 'tracing:module.import:start'

/**
 * Calls `run` once: when Node.js starts to load the main module, or in the next turn of the event loop if there is
 * none.
 */
export function beforeMain(run: () => void): void {
  const main = mainFiles()
  const late = setImmediate(runOnce)

  function runOnce(): void {
    unsubscribe(REQUIRE_START, onRequire)
    unsubscribe(IMPORT_START, onImport)
    clearImmediate(late)
    run()
  }
  function onRequire(message: unknown): void {
    const { id } = message as { id?: unknown }
    if (typeof id === 'string' && main.includes(id)) runOnce()
  }
  function onImport(message: unknown): void {
    const { url } = message as { url?: unknown }
    const href = url instanceof URL ? url.href : url
    if (typeof href === 'string' && href.startsWith('file:') && main.includes(fileURLToPath(href))) runOnce()
  }
  subscribe(REQUIRE_START, onRequire)
  subscribe(IMPORT_START, onImport)
}

/** The path of the main module as it was given and as it is on disk; `node app` may mean `app.js`. */
function mainFiles(): readonly string[] {
  const named = process.argv[1]
  if (named === undefined) return []
  const candidates = [named, `${named}.js`, `${named}.mjs`, `${named}.cjs`]
  return [...new Set([...candidates, ...candidates.map(realPath)])]
}

function realPath(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return file
  }
}
