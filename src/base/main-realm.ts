/** The realm in which Node.js itself works, for copies of this package that run in another one. */

import { runInThisContext } from 'node:vm'

/**
 * The global object of that realm: `globalThis`, unless this copy of the package runs in a `vm` context, as each test
 * file of Jest does. What is kept here under `Symbol.for` is known to all copies in this thread.
 */
export const mainGlobal = runInThisContext('globalThis') as object

/** The global objects that `fetch` and copies of undici may use. */
export const allGlobals: readonly object[] = [...new Set([mainGlobal, globalThis])]
