/** With `register`, threads, clusters and child processes have an audit trail each, and let no caller in unrecorded. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { TestIssuer } from '../support/issuer.ts'
import { startIssuer } from '../support/issuer.ts'
import { waitFor } from '../support/patience.ts'
import { startProgram } from '../support/process.ts'

const PACKAGE = join(import.meta.dirname, '..', 'otel-3', 'node_modules', 'otel-token-relay')
const REGISTER = ['--require', 'otel-token-relay/register']
const ALL = ['main', 'thread 1', 'thread 2', 'cluster 1', 'cluster 2', 'fork', 'thread of fork', 'spawn']

let issuer: TestIssuer
let folder: string
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer[Symbol.asyncDispose]())
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'audit-workers-'))
  writeFileSync(join(folder, 'key'), 'a key of this test, which is long enough')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const environment = () => ({
  TOKEN_RELAY_ISSUER: issuer.issuer,
  TOKEN_RELAY_AUDIENCE: 'user-service',
  TOKEN_RELAY_AUDIT_FILE: join(folder, 'audit.jsonl'),
  TOKEN_RELAY_AUDIT_KEY_FILE: join(folder, 'key'),
  TOKEN_RELAY_AUDIT_ON_FAILURE: 'block',
})
const trailsIn = (): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .toSorted()
const recordsIn = (): number =>
  trailsIn().reduce((count, name) => count + readFileSync(join(folder, name), 'utf8').split('\n').length - 1, 0)

async function statusOf(port: number): Promise<number> {
  const headers = { authorization: `Bearer ${await issuer.token()}` }
  return (await fetch(`http://127.0.0.1:${port}/`, { headers })).status
}

it('each starts, and has recorded a caller before it lets them in [H10]', async () => {
  let names: readonly string[] = []
  for (const run of [1, 2]) {
    await using program = startProgram('audited-workers.cjs', { preload: REGISTER, env: environment() })
    for (const name of ALL) {
      const port = await program.report<number>(name)
      const before = recordsIn()
      expect(await statusOf(port)).toBe(200)
      expect([name, recordsIn()]).toEqual([name, before + 1])
    }
    await waitFor(() => expect(program.stdout()).toContain('logged by a thread'))
    await program.stop()
    names = trailsIn()
    // One more thread than those that serve: that of pino.
    if (run === 1) expect(names).toHaveLength(ALL.length + 1)
  }
  // After a restart they go on with the trails that are there. Two that start at once may both leave a number out.
  expect(names.length).toBeLessThan(2 * ALL.length)
  expect(names[0]).toBe('audit.jsonl')
  expect(names.slice(1).every((name) => /^audit\.worker-\d+\.jsonl$/.test(name))).toBe(true)

  const tool = join(PACKAGE, 'dist', 'cli', 'main.js')
  const files = names.map((name) => join(folder, name))
  const args = [tool, 'audit', 'verify', '--key-file', join(folder, 'key'), ...files]
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  expect({ status, stdout }).toMatchObject({ status: 0 })
  expect(stdout.match(/^trail [\da-f]{24}: \d+ lines/gm)).toHaveLength(names.length)
})

it('one whose trail fails lets no caller in, and the others do [H10]', async () => {
  await using program = startProgram('audited-workers.cjs', { preload: REGISTER, env: environment() })
  const [main, thread] = [await program.report<number>('main'), await program.report<number>('thread 1')]
  expect([await statusOf(main), await statusOf(thread)]).toEqual([200, 200])
  const own = trailsIn().find((name) => name !== 'audit.jsonl' && readFileSync(join(folder, name)).length > 0)
  rmSync(join(folder, own ?? ''))
  expect([await statusOf(main), await statusOf(thread)]).toEqual([200, 503])
  await program.stop()
})

it('another program with the same file does not start', async () => {
  await using first = startProgram('audited-workers.cjs', { preload: REGISTER, env: environment() })
  await first.report('main')
  const second = startProgram('audited-workers.cjs', { preload: REGISTER, env: environment() })
  expect(await second.ended).toBe(1)
  expect(second.stderr()).toContain('TOKEN_RELAY_AUDIT_FILE: another relay writes it: each needs its own file')
  await first.stop()
})

it('a worker of a damaged trail does not start', async () => {
  writeFileSync(join(folder, 'audit.worker-1.jsonl'), 'no trail\n')
  await using program = startProgram('audited-workers.cjs', { preload: REGISTER, env: environment() })
  await waitFor(() => expect(program.stderr()).toContain('is no audit trail'))
  await program.stop()
  expect(readFileSync(join(folder, 'audit.worker-1.jsonl'), 'utf8')).toBe('no trail\n')
})
