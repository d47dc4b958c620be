#!/usr/bin/env node
/** `npx otel-token-relay …`: the commands for operators. */

import '../base/node-version.ts'

import process from 'node:process'

const MINIMUM = [22, 15] as const

/** An older version cannot even load the commands, and would say so with a syntax error. */
function isTooOld(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])
}

if (isTooOld()) {
  process.stderr.write(`otel-token-relay: needs Node.js ${MINIMUM.join('.')} or later, this is ${process.version}\n`)
  process.exitCode = 2
} else {
  const { runCommand } = await import('./commands.ts')
  process.exitCode = await runCommand(process.argv.slice(2))
}
