#!/usr/bin/env node
/** `npx otel-token-relay …`: the commands for operators. */

import '../base/node-version.ts'

import process from 'node:process'
import { parseArgs } from 'node:util'
import { verifyAudit } from './audit-verify.ts'

const USAGE = `usage: otel-token-relay audit verify [--key-file KEY] [--trail ID] FILE...

  Checks the files of audit trails and prints the id of each trail. Give the files of a trail from oldest to newest.
  With --trail, the files must be those of the trail with this id.
  Exit codes: 0 all trails are whole, 1 one is not (each finding names file and line), 2 one could not be checked.
`

void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code
})

async function main(args: readonly string[]): Promise<number> {
  const parsed = parse(args)
  if (parsed === undefined) return fail(USAGE)
  const { help, keyFile, trail, words } = parsed
  if (help) {
    process.stdout.write(USAGE)
    return 0
  }
  const [topic, command, ...files] = words
  if (topic !== 'audit' || command !== 'verify' || files.length === 0) return fail(USAGE)
  return verifyAudit({ files, keyFile, trail }, (line) => process.stdout.write(`${line}\n`)).catch((error: unknown) =>
    fail(`otel-token-relay: ${(error as Error).message}\n`),
  )
}

function fail(text: string): number {
  process.stderr.write(text)
  return 2
}

function parse(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { 'key-file': { type: 'string' }, trail: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    })
    return { help: values.help === true, keyFile: values['key-file'], trail: values.trail, words: positionals }
  } catch {
    return undefined
  }
}
