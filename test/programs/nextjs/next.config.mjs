import { join } from 'node:path'

/** Packages are found in folders above this one. */
const root = join(import.meta.dirname, ...process.env.ROOT.split('/'))

export default { turbopack: { root }, outputFileTracingRoot: root }
