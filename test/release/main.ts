/** `npm run release:check`: walks through what must hold before a version is published; `-- --tag v1.2.3` for a release. */

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { VERSION } from '../../src/version.ts'
import { ROOT, readDocument } from '../docs/markdown.ts'
import type { Lock, Packed } from './checks.ts'
import { changelogProblems, fileProblems, licenceProblems, sizeProblems, versionProblems } from './checks.ts'

const { tag } = parseArgs({ options: { tag: { type: 'string' } } }).values

const manifest = JSON.parse(readDocument('package.json')) as {
  readonly version: string
  readonly bin: Readonly<Record<string, string>>
  readonly exports: object
}
const lock = JSON.parse(readDocument('package-lock.json')) as Lock

const json = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' })
const [packed] = JSON.parse(json) as [Packed]

/** The paths in `value`, at any depth. */
function pathsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value.replace(/^\.\//, '')]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(pathsIn) : []
}

/** What a process reads when it preloads `register`, dependencies included. */
function registerBytes(): number {
  const env = { ...process.env, TOKEN_RELAY_ISSUER: 'https://id.example.com', TOKEN_RELAY_AUDIENCE: 'a' }
  const program = join(import.meta.dirname, 'loaded.mjs')
  const register = join(ROOT, 'dist', 'register', 'index.js')
  const output = execFileSync(process.execPath, [program, register], {
    cwd: ROOT,
    env: { ...env, TOKEN_RELAY_LOG: 'off', OTEL_SDK_DISABLED: 'true' },
    encoding: 'utf8',
  })
  return Number(output)
}

const sizes = { packed: packed.size, unpacked: packed.unpackedSize, register: registerBytes() }
const versions = { manifest: manifest.version, source: VERSION, lock: lock.packages['']?.version, tag }
const steps: readonly (readonly [string, readonly string[]])[] = [
  [`version ${manifest.version}`, versionProblems(versions)],
  ['changelog', changelogProblems(readDocument('CHANGELOG.md'), manifest.version, tag !== undefined)],
  [
    `${packed.files.length} packed files`,
    fileProblems(packed, [...pathsIn(manifest.exports), ...pathsIn(manifest.bin)]),
  ],
  [`bytes: ${JSON.stringify(sizes)}`, sizeProblems(sizes)],
  ['licences', licenceProblems(lock)],
]
for (const [title, problems] of steps) {
  process.stdout.write(`${problems.length === 0 ? '✓' : '✗'} ${title}\n`)
  for (const problem of problems) process.stdout.write(`  ${problem}\n`)
  if (problems.length > 0) process.exitCode = 1
}
