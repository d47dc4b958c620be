/** Ends the process with one line if Node.js is too old. Entries import this first: nothing else has run by then. */

import { writeSync } from 'node:fs'
import process from 'node:process'

/** As `engines` of package.json says. */
const NEEDED_MAJOR = 22
const NEEDED_MINOR = 15

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < NEEDED_MAJOR || (major === NEEDED_MAJOR && minor < NEEDED_MINOR)) {
  writeSync(2, `otel-token-relay: needs Node.js ${NEEDED_MAJOR}.${NEEDED_MINOR} or later; this is ${process.version}\n`)
  process.exit(1)
}
