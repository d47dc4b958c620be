/**
 * `npm run test:matrix -- [--node 22,24,26] [folder …]`: the tests that need nothing but Node, with each version of Node
 * from the registry's `node` package. Ends with exit code 1 if any of them fails.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, relative } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'

const ROOT = join(import.meta.dirname, '..', '..')
const CACHE = join(ROOT, 'node_modules', '.cache', 'node-matrix')
/** Those that start brokers and other servers, and those that run programs with the Node of the repository. */
const LEFT_OUT = ['deploy', 'docs', 'examples', 'interop', 'messaging', 'redis']
/** The parts of a run: tests that are named after a line, and all others, which run on the current one. */
const LINES = ['otel-3', 'otel-2', 'no line'] as const

interface Count {
  readonly passed: number
  readonly failed: number
}

interface Run {
  readonly version: string
  readonly counts: ReadonlyMap<string, Count>
  readonly failures: readonly string[]
}

/** The part of Vitest's JSON report that is read here. */
interface VitestReport {
  readonly testResults: readonly {
    readonly name: string
    readonly message: string
    readonly status: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages?: readonly string[]
    }[]
  }[]
}

/** Installs `node@major` with the ordinary npm client, once, and returns its binary. */
function nodeOf(major: string): string {
  const folder = join(CACHE, major)
  const binary = join(folder, 'node_modules', 'node', 'bin', 'node')
  if (existsSync(binary)) return binary
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  // The binary comes with the package's own install script, and with no other.
  const manifest = { private: true, allowScripts: { node: true } }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', `node@${major}`], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (!existsSync(binary)) throw new Error(`node@${major} was installed without its binary`)
  return binary
}

function run(major: string, folders: readonly string[]): Run {
  const binary = nodeOf(major)
  const version = execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim()
  const output = join(CACHE, `${major}.json`)
  rmSync(output, { force: true })
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  const args = [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${output}`]
  process.stdout.write(`\n${version}\n`)
  const { status } = spawnSync(binary, [...args, ...folders.map((folder) => `test/${folder}/`)], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    // Programs and `npm pack` take the same Node.
    env: { ...process.env, PATH: [dirname(binary), process.env['PATH']].join(delimiter) },
  })
  return { version, ...summarize(output, status) }
}

function summarize(output: string, status: number | null): Pick<Run, 'counts' | 'failures'> {
  if (!existsSync(output)) return { counts: new Map(), failures: [`vitest ended with ${status} and without a report`] }
  const { testResults } = JSON.parse(readFileSync(output, 'utf8')) as VitestReport
  const outcomes = testResults.flatMap(outcomesOf)
  const counts = new Map(LINES.map((line) => [line, countOf(outcomes.filter((each) => each.line === line))]))
  const failures = outcomes.flatMap(({ failure }) => (failure === undefined ? [] : [failure]))
  return { counts, failures: status === 0 || failures.length > 0 ? failures : [`vitest ended with ${status}`] }
}

interface Outcome {
  readonly line: (typeof LINES)[number]
  readonly status: string
  readonly failure: string | undefined
}

/** The tests of one file; a file that could not be loaded counts as one that failed. */
function outcomesOf({ name, message, status, assertionResults }: VitestReport['testResults'][number]): Outcome[] {
  const file = relative(ROOT, name)
  if (assertionResults.length === 0) {
    return status === 'failed' ? [{ line: 'no line', status, failure: `${file}: ${message}` }] : []
  }
  return assertionResults.map(({ fullName, status, failureMessages }) => ({
    line: LINES.find((line) => fullName.includes(line)) ?? 'no line',
    status,
    failure: status === 'failed' ? `${file}: ${fullName}\n  ${failureMessages?.[0]?.split('\n')[0]}` : undefined,
  }))
}

function countOf(outcomes: readonly Outcome[]): Count {
  const times = (status: string): number => outcomes.filter((each) => each.status === status).length
  return { passed: times('passed'), failed: times('failed') }
}

/** Every folder of tests that needs nothing but Node. */
function foldersOf(): readonly string[] {
  const tests = join(ROOT, 'test')
  const folders = readdirSync(tests, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return folders
    .map(({ name }) => name)
    .filter(
      (name) => !LEFT_OUT.includes(name) && readdirSync(join(tests, name)).some((file) => file.endsWith('.test.ts')),
    )
}

const { values, positionals } = parseArgs({
  options: { node: { type: 'string', default: '22,24,26' } },
  allowPositionals: true,
})
const folders = positionals.length === 0 ? foldersOf() : positionals
const runs = values.node.split(',').map((major) => run(major, folders))

const cell = ({ passed, failed }: Count): string =>
  failed === 0 ? `${passed} passed` : `${failed} of ${passed + failed} failed`
console.table(
  Object.fromEntries(
    runs.map(({ version, counts }) => [
      version,
      Object.fromEntries([...counts].map(([line, count]) => [line, cell(count)])),
    ]),
  ),
)
for (const { version, failures } of runs) for (const failure of failures) console.log(`${version} ${failure}`)
process.exitCode = runs.every(({ failures }) => failures.length === 0) ? 0 : 1
