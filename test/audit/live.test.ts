/** A trail that is written and put aside while it is verified is whole, wherever its writer comes in between. */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ReadingDisk } from '../../src/audit/snapshot.ts'
import { realReadingDisk } from '../../src/audit/snapshot.ts'
import type { AuditTrail } from '../../src/audit/trail.ts'
import { openAuditTrail } from '../../src/audit/trail.ts'
import { verifyAuditTrail } from '../../src/audit/verify.ts'

const KEY = Buffer.from('a key of this test, which is long enough')
let folder: string
let file: string
let trail: AuditTrail
let written = 0
beforeEach(() => {
  written = 0
  folder = mkdtempSync(join(tmpdir(), 'audit-live-'))
  file = join(folder, 'audit.jsonl')
  trail = openAuditTrail({ file, maxBytes: 1_000, key: KEY })
})
afterEach(async () => {
  await trail.close()
  rmSync(folder, { recursive: true, force: true })
})

async function append(count: number): Promise<void> {
  for (let id = 0; id < count; id += 1) {
    written += 1
    const attributes = { id }
    await trail.append({
      timeMillis: id,
      event: 'auth.token.verified',
      traceId: undefined,
      spanId: undefined,
      attributes,
    })
  }
}
const filesOf = (): readonly string[] => [
  ...readdirSync(folder)
    .filter((name) => /\.\d{15}$/.test(name))
    .toSorted()
    .map((name) => join(folder, name)),
  file,
]

/** The file system, on which `meanwhile` happens before the step number `at`. */
function interrupted(at: number, meanwhile: () => Promise<void>): ReadingDisk & { readonly steps: number } {
  let steps = 0
  async function step<T>(run: () => Promise<T>): Promise<T> {
    steps += 1
    if (steps === at) await meanwhile()
    return run()
  }
  return {
    get steps() {
      return steps
    },
    open: (path) => step(() => realReadingDisk.open(path)),
    inodeOf: (path) => step(() => realReadingDisk.inodeOf(path)),
    readText: (path) => step(() => realReadingDisk.readText(path)),
    list: (path) => step(() => realReadingDisk.list(path)),
  }
}

it.each([1, 3, 4, 9])('%i records that come in between give no false alarm', async (count) => {
  await append(8)
  for (const files of [() => filesOf().slice(-3), () => [file]]) {
    let isBetween = true
    for (let at = 1; isBetween; at += 1) {
      const given = files()
      const before = written
      const disk = interrupted(at, () => append(count))
      const { findings, lines, first } = await verifyAuditTrail(given, KEY, { disk })
      expect(findings).toEqual([])
      // From the beginning of what was given to the end of what was acknowledged by then.
      if (given.length > 1) expect(first + lines).toBeGreaterThan(before)
      isBetween = at <= disk.steps
    }
  }
})

it('records that come in between again and again give no false alarm', async () => {
  await append(8)
  const given = filesOf()
  let steps = 0
  async function busy<T>(run: () => Promise<T>): Promise<T> {
    steps += 1
    if (steps < 40) await append(3)
    return run()
  }
  const disk: ReadingDisk = {
    open: (path) => busy(() => realReadingDisk.open(path)),
    inodeOf: (path) => busy(() => realReadingDisk.inodeOf(path)),
    readText: (path) => busy(() => realReadingDisk.readText(path)),
    list: (path) => busy(() => realReadingDisk.list(path)),
  }
  expect(await verifyAuditTrail(given, KEY, { disk })).toMatchObject({ first: 1, findings: [] })
})

it('a writer that never rests gives no false alarm', async () => {
  let isDone = false
  const writing = (async () => {
    while (!isDone) await append(1)
  })()
  for (let run = 0; run < 30; run += 1) {
    const given = filesOf()
    await append(2)
    expect((await verifyAuditTrail(given, KEY)).findings).toEqual([])
  }
  isDone = true
  await writing
})

it('but a file that another has put in the place of the newest is an alarm', async () => {
  await append(9)
  const given = filesOf()
  const disk = interrupted(2, async () => {
    rmSync(file)
    writeFileSync(file, '')
  })
  expect((await verifyAuditTrail(given, KEY, { disk })).findings).not.toEqual([])
})
