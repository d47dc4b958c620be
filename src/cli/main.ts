#!/usr/bin/env node
/** `npx otel-token-relay …`: the commands for operators. */

import '../base/node-version.ts'

import process from 'node:process'

// Loaded now: an older version of Node.js cannot even parse what the commands import.
const { runCommand } = await import('./commands.ts')
process.exitCode = await runCommand(process.argv.slice(2))
