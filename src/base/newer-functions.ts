/** Functions that older versions of Node.js lack: imported by name, no module could be linked there. */

import crypto from 'node:crypto'
import util from 'node:util'

// The line that says which version is needed is written once all modules are linked.
export const { hash } = crypto
export const { getCallSites } = util
