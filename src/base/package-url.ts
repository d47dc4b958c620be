/** Where the code of this package is, for `createRequire`. */

import { join } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'

/** Bundlers that write CommonJS leave `import.meta` empty (esbuild): built-in modules are found from anywhere. */
export const packageUrl: string =
  (import.meta.url as string | undefined) ?? pathToFileURL(join(process.cwd(), 'bundle.cjs')).href
