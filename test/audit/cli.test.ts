/** H11 `otel-token-relay audit verify`, as an operator runs it: the packed artifact, in a process of its own. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openAuditTrail } from '../../src/audit/trail.ts'

const KEY = 'a key of this test, which is long enough'
const PACKAGE = join(import.meta.dirname, '..', 'otel-3', 'node_modules', 'otel-token-relay')
let folder: string
let file: string
let keyFile: string
let id: string
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'audit-cli-'))
  file = join(folder, 'audit.jsonl')
  keyFile = join(folder, 'key')
  writeFileSync(keyFile, `${KEY}\n`)
  const trail = openAuditTrail({ file, maxBytes: 1_500, key: Buffer.from(KEY) })
  for (let id = 0; id < 20; id += 1) await trail.append(record(id))
  await trail.close()
  id = trail.id
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const record = (id: number) => ({
  timeMillis: Date.parse('2026-01-02T03:04:05Z'),
  event: 'auth.token.verified',
  traceId: undefined,
  spanId: undefined,
  attributes: { id },
})
/** The oldest first. */
const filesOf = (): string[] =>
  readdirSync(folder)
    .filter((name) => /^audit\.jsonl(\.\d+)?$/.test(name))
    .toSorted((a, b) => (b === 'audit.jsonl' ? -1 : a === 'audit.jsonl' ? 1 : a.localeCompare(b)))
    .map((name) => join(folder, name))

function run(...args: readonly string[]) {
  const { bin } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as {
    bin: Readonly<Record<string, string>>
  }
  const program = join(PACKAGE, bin['otel-token-relay'] ?? '')
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}
const verify = (...files: readonly string[]) => run('audit', 'verify', '--key-file', keyFile, ...files)

it('a whole trail is whole, over all of its files [H11]', () => {
  expect(filesOf().length).toBeGreaterThan(1)
  const { status, stdout } = verify(...filesOf())
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout: `trail ${id}: 20 lines are intact, the first of them is number 1; 0 findings\n`,
  })
})

it('an edit is named by file and line [H11]', () => {
  const [first = ''] = filesOf()
  writeFileSync(first, readFileSync(first, 'utf8').replace('"id":2', '"id":3'))
  const { status, stdout } = verify(...filesOf())
  expect(status).toBe(1)
  expect(stdout).toContain(`${first}:3: was changed, or was written with another key\n`)
})

it('so is a file that was left out, and one in the wrong place [H11]', () => {
  const [first = '', second = '', ...others] = filesOf()
  expect(others.length).toBeGreaterThan(1)
  expect(verify(first, ...others).stdout).toContain(`${others[0]}:1: does not follow the line before it`)
  expect(verify(second, first, ...others).stdout).toContain(`${first}:1: does not follow the line before it`)
  const { status, stdout } = verify(second, ...others)
  expect(status).toBe(0)
  expect(stdout).toContain('older files of this trail were not checked')
})

it('files that were put aside after they were listed are looked at as well [H11]', () => {
  const [first = '', second = '', ...others] = filesOf()
  const { status, stdout } = verify(first, others.at(-1) ?? '')
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('20 lines are intact') })
  expect(stdout).toContain(`${second} was renamed after the last given file, and was checked too\n`)
  rmSync(second)
  expect(verify(first, others.at(-1) ?? '').status).toBe(1)
})

it('a trail has an id, so that no other trail with the same key passes for it [H11]', async () => {
  const other = join(folder, 'other.jsonl')
  const trail = openAuditTrail({ file: other, maxBytes: 1_000_000, key: Buffer.from(KEY) })
  await trail.append(record(0))
  await trail.close()
  expect(verify(other).stdout).toContain(`trail ${trail.id}: 1 lines`)
  expect(verify('--trail', id, ...filesOf()).status).toBe(0)
  expect(verify('--trail', id, other)).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('belongs to another trail'),
  })
  // Several trails at once are looked at one by one, and none of them has to be a certain one.
  const both = verify(...filesOf(), other)
  expect(both.status).toBe(0)
  expect(both.stdout.split('\n').filter((line) => line.startsWith('trail '))).toHaveLength(2)
  expect(verify('--trail', id, ...filesOf(), other).status).toBe(2)
  writeFileSync(other, '')
  expect(verify(...filesOf(), other).status).toBe(1)
})

it('a missing end is named, and a trail of another key is no trail [H11]', () => {
  const newest = filesOf().at(-1) ?? ''
  const lines = readFileSync(newest, 'utf8').split('\n').slice(0, -1)
  writeFileSync(
    newest,
    lines
      .slice(0, -1)
      .map((line) => `${line}\n`)
      .join(''),
  )
  const { status, stdout } = verify(...filesOf())
  expect(status).toBe(1)
  expect(stdout).toContain(`${newest}:${lines.length}: is missing`)
  expect(run('audit', 'verify', ...filesOf()).status).toBe(1)
})

it.each<readonly [string, readonly string[]]>([
  ['nothing', []],
  ['no file', ['audit', 'verify']],
  ['another command', ['audit', 'repair', 'x']],
  ['another option', ['audit', 'verify', '--force', 'x']],
  ['a file that is not there', ['audit', 'verify', '/nowhere/audit.jsonl']],
  ['a key that is not there', ['audit', 'verify', '--key-file', '/nowhere/key', 'x']],
])('%s is a mistake: exit code 2, and nothing is said to be whole', (_, args) => {
  const { status, stdout, stderr } = run(...args)
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).not.toBe('')
})

it('help is no mistake', () => {
  expect(run('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('Usage: otel-token-relay') })
})
