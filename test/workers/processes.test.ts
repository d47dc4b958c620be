/** Child processes and cluster workers that share a sealing key run each task as its caller. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Program } from '../support/process.ts'
import { randomSecret } from '../support/sealing.ts'
import type { WorkerRig } from './rig.ts'
import { HONEST, startWorkerRig, WAYS } from './rig.ts'

const folder = mkdtempSync(join(tmpdir(), 'workers-'))
const secretFile = join(folder, 'secret')
let rig: WorkerRig
beforeAll(async () => {
  writeFileSync(secretFile, randomSecret())
  rig = await startWorkerRig(secretFile)
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await rig[Symbol.asyncDispose]()
})

const SEAL = 'ERR_TOKEN_SEAL'
const expected = { ...HONEST, copy: SEAL, other: SEAL, text: SEAL }

describe.each(WAYS)('with %s', (way) => {
  let program: Program
  beforeAll(() => {
    program = rig.start('processes.cjs', way)
  })
  afterAll(() => program[Symbol.asyncDispose]())

  it('a child works as the caller in its environment, once', async () => {
    const { handed, seen } = await program.report<{ handed: string; seen: unknown }>('environment')
    expect(seen).toEqual([[['caller-0', 'caller-0'], SEAL], null])
    expect(handed).toContain('Sealed ')
    expect(rig.leaks(handed)).toBe(false)
  })

  it('children work as the caller of each message', async () => {
    expect(await program.report('children')).toEqual(expected)
  })

  it('workers of a cluster work as the caller of each message', async () => {
    expect(await program.report('cluster')).toEqual(expected)
  })
})

it('a hand-over of one process does not open in another without a shared key', async () => {
  await using without = await startWorkerRig()
  await using program = without.start('processes.cjs', 'register')
  const { seen } = await program.report<{ seen: unknown }>('environment')
  expect(seen).toEqual([[SEAL, SEAL], null])
})
