/**
 * `npm run test:mutation -- ingress [--only src/ingress/http/gate.ts] [--tests test/ingress/gate.test.ts]`: changes one thing at a
 * time in a folder of `src` and runs the nearest tests, in separate processes, so that programs that tests start have the
 * change as well. Takes hours: a tool for the desk, not for CI. The report of each part is
 * `reports/mutation/<part>.html` and `.json`.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'

const ROOT = join(import.meta.dirname, '..', '..')

/** Tests that hold a folder's promises and stand in another one. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  context: ['ingress/admission-table', 'egress/identity'],
  destination: ['egress', 'attacks'],
  propagation: ['messaging/consume'],
  telemetry: ['ingress/adapter-events'],
  token: ['verification'],
}

const { values, positionals } = parseArgs({
  options: { only: { type: 'string', multiple: true }, tests: { type: 'string', multiple: true } },
  allowPositionals: true,
})
const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
const parts = positionals.length > 0 ? positionals : folders.map(({ name }) => name)

/** Exits with the number of parts in which a change survived. */
process.exitCode = parts.filter((part) => !isStrong(part)).length

function isStrong(part: string): boolean {
  const tests = values.tests ?? [part, ...(ALSO[part] ?? [])].map((name) => `test/${name}`)
  const config = join(ROOT, 'reports', 'mutation', `${part}.config.json`)
  mkdirSync(join(ROOT, 'reports', 'mutation'), { recursive: true })
  writeFileSync(config, JSON.stringify(configOf(part, tests)))
  const { status } = spawnSync(join(ROOT, 'node_modules', '.bin', 'stryker'), ['run', config], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  return status === 0
}

function configOf(part: string, tests: readonly string[]): object {
  return {
    mutate: values.only ?? [`src/${part}/**/*.ts`],
    testRunner: 'command',
    commandRunner: { command: `npx vitest run --bail 1 --maxWorkers 1 ${tests.join(' ')}` },
    buildCommand: 'npm run --silent build -- --noCheck',
    // TypeScript 7 has no API that could read it.
    tsconfigFile: 'none.json',
    concurrency: 1,
    timeoutMS: 120_000,
    thresholds: { high: 100, low: 90, break: 90 },
    reporters: ['clear-text', 'progress-append-only', 'json', 'html'],
    jsonReporter: { fileName: `reports/mutation/${part}.json` },
    htmlReporter: { fileName: `reports/mutation/${part}.html` },
    ignorePatterns: ['dist', 'reports', 'benchmarks/results'],
    tempDirName: '.mutants',
    allowEmpty: true,
  }
}
