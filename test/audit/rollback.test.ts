/** What a trail has acknowledged cannot be taken back without its key, nor can another trail take its place unnoticed. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeLine, GENESIS, HEAD_BYTES, readLine } from '../../src/audit/line.ts'
import type { AuditTrail } from '../../src/audit/trail.ts'
import { openAuditTrail } from '../../src/audit/trail.ts'
import { verifyAuditTrail } from '../../src/audit/verify.ts'

const KEY = Buffer.from('a key of this test, which is long enough')
let folder: string
let file: string
let trail: AuditTrail | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'audit-rollback-'))
  file = join(folder, 'audit.jsonl')
})
afterEach(async () => {
  await trail?.close()
  trail = undefined
  rmSync(folder, { recursive: true, force: true })
})

const record = (id: number) => ({
  timeMillis: id,
  event: 'auth.token.verified',
  traceId: undefined,
  spanId: undefined,
  attributes: { id },
})
const open = (path = file): AuditTrail => openAuditTrail({ file: path, maxBytes: 1_000_000, key: KEY })
const group = (count: number) => Promise.all(Array.from({ length: count }, (_, id) => trail?.append(record(id))))
const linesOf = (path = file): string[] => readFileSync(path, 'latin1').split('\n').slice(0, -1)
const problems = async (path = file, options = {}) =>
  (await verifyAuditTrail([path], KEY, options)).findings.map(({ line, problem }) => `${line} ${problem}`)
const DAMAGED = expect.objectContaining({ name: 'AuditDamageError' })

/** What lies on the disk while the trail is written: as a crash, or another process that can write, finds it. */
function copyOfRunning(): string {
  const copy = join(folder, 'copy.jsonl')
  for (const end of ['', '.head']) cpSync(`${file}${end}`, `${copy}${end}`)
  return copy
}
const headsOf = (path: string): string[] => {
  const text = readFileSync(`${path}.head`, 'latin1')
  return [text.slice(0, HEAD_BYTES), text.slice(HEAD_BYTES)]
}
const numberIn = (head = ''): number => Number(head.split(' ')[1])
const newestOf = (heads: readonly string[]): 0 | 1 => (numberIn(heads[1]) > numberIn(heads[0]) ? 1 : 0)

function writeHeads(path: string, heads: readonly string[]): void {
  writeFileSync(`${path}.head`, heads.join(''), 'latin1')
}
const cutTo = (path: string, count: number): void =>
  writeFileSync(
    path,
    linesOf(path)
      .slice(0, count)
      .map((line) => `${line}\n`)
      .join(''),
    'latin1',
  ) // prettier-ignore

describe('the newest group of a trail that is written [H20]', () => {
  it.each<readonly [string, (heads: string[], newest: 0 | 1) => void]>([
    ['blanked', (heads, newest) => heads.splice(newest, 1, '\0'.repeat(HEAD_BYTES))],
    ['overwritten by the older one', (heads, newest) => heads.splice(newest, 1, heads[1 - newest] ?? '')],
    ['exchanged with the older one', (heads) => heads.reverse()],
    ['changed in one digit', (heads, newest) => heads.splice(newest, 1, (heads[newest] ?? '').replace(/\d$/m, 'x'))],
    ['cut off', (heads, newest) => (newest === 1 ? heads.splice(1) : heads.splice(0, 1, ' '.repeat(HEAD_BYTES)))],
  ])('cannot be taken back by a head that was %s', async (_, tamper) => {
    for (const groups of [
      [5, 300],
      [5, 7, 300],
    ]) {
      trail = open()
      for (const count of groups) await group(count)
      const copy = copyOfRunning()
      const heads = headsOf(copy)
      const older = Math.min(...heads.map(numberIn))
      tamper(heads, newestOf(heads))
      writeHeads(copy, heads)
      for (const kept of [older, older + 1, older + 299]) {
        cutTo(copy, kept)
        expect(await problems(copy)).not.toEqual([])
        expect(() => open(copy)).toThrow(DAMAGED)
        expect(linesOf(copy)).toHaveLength(kept)
        cpSync(file, copy)
      }
      await trail.close()
      for (const end of ['', '.head']) rmSync(`${file}${end}`)
    }
  })

  it('survives the crash that has torn its head, and the head is whole again', async () => {
    for (const count of [1, 300]) {
      trail = open()
      await group(5)
      await group(count)
      const copy = copyOfRunning()
      const heads = headsOf(copy)
      const newest = newestOf(heads)
      heads[newest] = `${(heads[newest] ?? '').slice(0, 100)}${(heads[newest] ?? '').slice(100).replace(/\w/g, ' ')}`
      writeHeads(copy, heads)
      expect(await problems(copy)).toEqual([`${newest + 1} head_unreadable`])
      const again = open(copy)
      await again.append(record(0))
      await again.close()
      expect(linesOf(copy)).toHaveLength(count + 6)
      expect(await problems(copy)).toEqual([])
      await trail.close()
      for (const end of ['', '.head']) rmSync(`${file}${end}`)
    }
  })
})

it('both heads of a closed trail are its newest, so that neither can be fallen back from', async () => {
  trail = open()
  await group(5)
  await group(300)
  await trail.close()
  expect(headsOf(file).map(numberIn)).toEqual([305, 305])
  const whole = headsOf(file)
  for (const place of [0, 1]) {
    writeHeads(file, whole.toSpliced(place, 1, ' '.repeat(HEAD_BYTES)))
    expect(await problems()).toEqual([`${place + 1} head_unreadable`])
    expect(() => open()).toThrow(DAMAGED)
  }
  writeHeads(file, whole)
  expect(await problems()).toEqual([])
})

describe('another trail of the same key [H20]', () => {
  it('does not pass for this one, as a whole or in parts', async () => {
    trail = open()
    await group(6)
    await trail.close()
    const other = join(folder, 'other.jsonl')
    const another = open(other)
    for (let id = 0; id < 6; id += 1) await another.append(record(id))
    await another.close()
    const { id } = trail
    expect(another.id).not.toBe(id)
    expect(await verifyAuditTrail([file], KEY, { trail: id })).toMatchObject({ trail: id, findings: [] })
    expect(await problems(other, { trail: id })).toEqual(['1 other_trail'])

    const [heads, foreign] = [headsOf(file), headsOf(other)]
    cpSync(other, file)
    expect(await problems()).toContain('1 other_trail')
    expect(() => open()).toThrow(DAMAGED)
    writeHeads(file, [foreign[0] ?? '', heads[1] ?? ''])
    expect(await problems()).toEqual(['7 head_missing'])
    expect(() => open()).toThrow(DAMAGED)
    writeHeads(file, foreign)
    expect(await problems()).toEqual([])
    expect(await problems(file, { trail: id })).toEqual(['1 other_trail'])
  })

  it('begins with another id after a trail was removed with its head', async () => {
    trail = open()
    await group(2)
    await trail.close()
    const { id } = trail
    for (const end of ['', '.head']) rmSync(`${file}${end}`)
    trail = open()
    expect(trail.id).not.toBe(id)
    await trail.close()
    expect(await problems(file, { trail: id })).toEqual(['1 other_trail'])
  })
})

it('a newest file that has lost its beginning is reported, whatever lines follow', async () => {
  trail = openAuditTrail({ file, maxBytes: 1_200, key: KEY })
  for (let id = 0; id < 7; id += 1) await trail.append(record(id))
  await trail.close()
  expect(linesOf().length).toBeGreaterThan(1)
  writeFileSync(
    file,
    linesOf()
      .slice(1)
      .map((line) => `${line}\n`)
      .join(''),
    'latin1',
  ) // prettier-ignore
  expect(await problems()).toEqual(['1 beginning_missing'])
})

it('without a key, a last line that was written anew is not the one that the head names', async () => {
  trail = openAuditTrail({ file, maxBytes: 1_000_000, key: undefined })
  await group(2)
  await trail.close()
  const [first = ''] = linesOf()
  const before = readLine(first, undefined, undefined)
  const forged = encodeLine(record(9), before ?? GENESIS, { trail: trail.id, end: 2 }, undefined).text
  writeFileSync(file, `${first}\n${forged}`, 'latin1')
  const { findings } = await verifyAuditTrail([file], undefined)
  expect(findings).toEqual([{ file, line: 2, problem: 'head_differs' }])
  expect(() => openAuditTrail({ file, maxBytes: 1_000_000, key: undefined })).toThrow(DAMAGED)
})
