/** Client by case: exactly these hops carry exactly this. `npm run conformance` writes `docs/reference/conformance.md`. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { OtelLine } from '../support/process.ts'
import { startProgram } from '../support/process.ts'
import type { Bench, Client, Mode } from './bench.ts'
import { startBench } from './bench.ts'
import type { Outcome } from './matrix.ts'
import { clientsOf, expectedOutcome, page, runMatrix } from './matrix.ts'

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'reference', 'conformance.md')
const MODES: readonly Mode[] = ['sampled', 'unsampled', 'no SDK']

let scratch: string
let bench: Bench
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'conformance-'))
  bench = await startBench(scratch)
})
afterAll(async () => {
  await bench[Symbol.asyncDispose]()
  rmSync(scratch, { recursive: true, force: true })
})

/** Some seconds, on a machine that does nothing else. */
const BUSY = 240_000

const outcomes = new Map<Mode, Outcome>()
let clients: readonly Client[] = []

async function tried(line: OtelLine, mode: Mode): Promise<Outcome> {
  await using program = bench.start(line, mode)
  clients = await clientsOf(program)
  return await runMatrix(bench, program)
}

it.each(MODES)('on otel-3 every client does what is expected of it: %s [F1, F7, F10, F11, F12]', {
  timeout: BUSY,
}, async (mode) => {
  outcomes.set(mode, await tried('otel-3', mode))
  expect(outcomes.get(mode)).toEqual(expectedOutcome(clients))
})

it('so it does on otel-2 [F1, F7, F10, F11, F12]', { timeout: BUSY }, async () => {
  expect(await tried('otel-2', 'sampled')).toEqual(expectedOutcome(clients))
})

it('the page in docs says what has happened', () => {
  const [sampled, ...others] = MODES.map((mode) => [mode, outcomes.get(mode) ?? new Map()] as const)
  const written = page(clients, sampled?.[1] ?? new Map(), new Map(others))
  if (process.env['WRITE_CONFORMANCE'] !== undefined) {
    writeFileSync(PAGE, written)
    process.stdout.write(written)
  }
  expect(readFileSync(PAGE, 'utf8')).toBe(written)
})

it('the matrix catches a build that copies the header', async () => {
  await using naive = startProgram('matrix.cjs', { preload: ['--require', './programs/naive.cjs'], env: bench.env })
  const outcome = await runMatrix(bench, naive, ({ name }) => name === 'fetch' || name === 'undici 6 Pool')
  expect(outcome.get('fetch')?.get('not allowed')).toBe('token')
  expect(outcome.get('fetch')?.get('redirect out and back')).toBe('token → token → token')
  expect(outcome.get('undici 6 Pool')?.get('pooled')).toContain('WRONG')
})
