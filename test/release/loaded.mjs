/** Prints how many bytes of modules it takes to import the file that the first argument names. */

import { statSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'

const sizes = new Map()
registerHooks({
  load(url, context, next) {
    if (url.startsWith('file:')) sizes.set(url, statSync(fileURLToPath(url)).size)
    return next(url, context)
  },
})
await import(pathToFileURL(process.argv[2]).href)
process.stdout.write(`${[...sizes.values()].reduce((sum, size) => sum + size, 0)}\n`, () => process.exit())
