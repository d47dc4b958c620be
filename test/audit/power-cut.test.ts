/** What an audit trail has acknowledged survives a power cut at any moment, and faults of the disk: nothing else has to. */

import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readHeads, readLine } from '../../src/audit/line.ts'
import type { AuditTrail } from '../../src/audit/trail.ts'
import { openAuditTrail } from '../../src/audit/trail.ts'
import type { FakeDisk, Fault } from './fake-disk.ts'
import { createFakeDisk } from './fake-disk.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'audit-power-')))
  file = join(folder, 'audit.jsonl')
})
afterEach(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true, force: true })
})

const KEY = Buffer.from('a key of this test, which is long enough')
const open = (disk: FakeDisk, maxBytes = 1_000_000): AuditTrail =>
  openAuditTrail({ file, maxBytes, key: KEY, disk, lockWaitMillis: 0 })
const record = (id: number) => ({
  timeMillis: id,
  event: 'auth.token.verified',
  traceId: undefined,
  spanId: undefined,
  attributes: { id },
})
/** Nothing, or everything, or anything in between of what was not synced. */
const LEFT: readonly (readonly [string, () => number])[] = [
  ['nothing', () => 0],
  ['everything', () => 1],
  ['something', () => 0.5],
]

/** The lines of a trail in all of its files: they have to follow one another. */
function idsIn(disk: FakeDisk): readonly number[] {
  const files = disk.names().filter((name) => /jsonl(\.\d{15})?$/.test(name))
  const aside = files.filter((name) => name !== file).toSorted()
  const lines = [...aside, ...files.filter((name) => name === file)].flatMap((name) =>
    disk.textOf(name).split('\n').slice(0, -1),
  )
  let before: ReturnType<typeof readLine>
  return lines.map((line) => {
    before = readLine(line, before, KEY)
    expect(before).toBeDefined()
    return (JSON.parse(line) as { readonly attributes: { readonly id: number } }).attributes.id
  })
}

interface Acknowledged {
  readonly ids: number[]
}

/** Writes groups of records, and notes at once which of them are acknowledged. */
async function work(trail: AuditTrail, groups: readonly number[], { ids }: Acknowledged): Promise<void> {
  let id = ids.length === 0 ? 0 : Math.max(...ids) + 1_000
  for (const count of groups) {
    const appended = Array.from({ length: count }, () => {
      const own = id
      id += 1
      return trail.append(record(own)).then(
        () => void ids.push(own),
        () => undefined,
      )
    })
    await Promise.all(appended)
  }
}

/** Runs `groups` on a disk, and hands over what a power cut leaves after each operation, with what was acknowledged by then. */
async function atEachOperation(
  groups: readonly number[],
  maxBytes: number,
  look: (disk: FakeDisk, acknowledged: readonly number[], operation: string) => void,
): Promise<void> {
  const disk = createFakeDisk()
  const acknowledged: Acknowledged = { ids: [] }
  disk.fault = (operation) => {
    look(disk, [...acknowledged.ids], operation)
    return undefined
  }
  const trail = open(disk, maxBytes)
  await work(trail, groups, acknowledged)
  expect(acknowledged.ids).toHaveLength(groups.reduce((sum, count) => sum + count, 0))
  look(disk, acknowledged.ids, 'the end')
  await trail.close()
}

describe('after a power cut [H18]', () => {
  it.each(
    LEFT,
  )('that leaves %s of what was not synced, all that was acknowledged is there, and the trail goes on', async (_, keep) => {
    const cuts: { disk: FakeDisk; acknowledged: readonly number[]; operation: string }[] = []
    await atEachOperation([1, 3, 1, 5, 2, 1, 1, 4], 1_500, (disk, acknowledged, operation) => {
      cuts.push({ disk: disk.afterPowerCut(keep), acknowledged, operation })
    })
    expect(cuts.length).toBeGreaterThan(50)
    rmSync(`${file}.lock`, { force: true })
    for (const { disk, acknowledged } of cuts) {
      const again = open(disk, 1_500)
      const more: Acknowledged = { ids: [...acknowledged] }
      await work(again, [2, 1], more)
      await again.close()
      expect(more.ids).toHaveLength(acknowledged.length + 3)
      expect(idsIn(disk)).toEqual(expect.arrayContaining(more.ids))
    }
  })

  it('the head names all that was acknowledged, so that a cut of it would be found', async () => {
    let heads = 0
    await atEachOperation([1, 3, 1, 5, 2], 1_500, (disk, acknowledged) => {
      if (acknowledged.length === 0) return
      const after = disk.afterPowerCut(() => 0)
      const read = readHeads(after.textOf(`${file}.head`), KEY)
      expect(read?.newest.sequence).toBeGreaterThanOrEqual(acknowledged.length)
      expect(read?.torn).toBeUndefined()
      heads += 1
    })
    expect(heads).toBeGreaterThan(10)
  })

  it('no head names a line that the disk does not have', async () => {
    let looks = 0
    await atEachOperation([1, 3, 1, 5, 2], 1_500, (disk, acknowledged) => {
      if (acknowledged.length === 0) return
      // The newest head that may have come to the disk, and the oldest lines.
      const head = disk.afterKill().textOf(`${file}.head`)
      const lines = idsIn(disk.afterPowerCut(() => 0)).length
      expect(readHeads(head, KEY)?.newest.sequence).toBeLessThanOrEqual(lines)
      looks += 1
    })
    expect(looks).toBeGreaterThan(10)
  })

  it('after a crash, no head names the whole lines that the crash has left, before the disk has them', async () => {
    const disk = createFakeDisk()
    const first = open(disk)
    const acknowledged: Acknowledged = { ids: [] }
    await work(first, [2], acknowledged)
    // Written and not synced: that is how a process that is killed leaves them.
    let isKilled = false
    disk.fault = (operation) => {
      isKilled ||= operation === 'sync audit.jsonl'
      return isKilled ? 'fail' : undefined
    }
    await work(first, [3], acknowledged)
    await first.close()
    expect(idsIn(disk)).toHaveLength(5)
    const cuts: FakeDisk[] = []
    disk.fault = () => {
      cuts.push(disk.afterPowerCut(() => 0))
      return undefined
    }
    const second = open(disk)
    await second.close()
    cuts.push(disk.afterPowerCut(() => 0))
    for (const cut of cuts) {
      const head = readHeads(cut.textOf(`${file}.head`), KEY)?.newest.sequence
      expect(head).toBeLessThanOrEqual(idsIn(cut).length)
      const third = open(cut)
      await third.close()
    }
    expect(idsIn(disk)).toHaveLength(5)
  })

  it('in the middle of the repair after another one, nothing is lost either', async () => {
    const disk = createFakeDisk()
    const acknowledged: Acknowledged = { ids: [] }
    const first = open(disk)
    await work(first, [3, 2], acknowledged)
    const cut: FakeDisk[] = []
    disk.fault = (operation) => {
      if (operation === 'sync audit.jsonl') cut.push(disk.afterKill())
      return operation === 'write audit.jsonl' ? 'short' : undefined
    }
    await work(first, [2], acknowledged)
    await first.close()
    const torn = cut[0]
    torn?.truncate(file, torn.textOf(file).length - 20)
    const states: FakeDisk[] = []
    if (torn !== undefined) {
      torn.fault = () => {
        for (const [, keep] of LEFT) states.push(torn.afterPowerCut(keep))
        return undefined
      }
      const again = open(torn)
      await work(again, [1], { ids: [99] })
      await again.close()
    }
    expect(states.length).toBeGreaterThan(20)
    for (const state of states) {
      const trail = open(state)
      await trail.close()
      expect(idsIn(state)).toEqual(expect.arrayContaining(acknowledged.ids.slice(0, 5)))
    }
  })

  it('at a moment of chance, after faults of chance, no acknowledged record is lost', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const faults = fc.array(
      fc.constantFrom('fail' as const, 'short' as const, ...Array<undefined>(8).fill(undefined)),
      {
        maxLength: 60,
      },
    )
    const groups = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 8 })
    const keeps = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(faults, groups, keeps, fc.nat(100), async (plan, sizes, kept, moment) => {
        rmSync(`${file}.lock`, { force: true })
        const disk = createFakeDisk()
        const acknowledged: Acknowledged = { ids: [] }
        const trail = open(disk, 1_200)
        let at = 0
        let cut: { disk: FakeDisk; ids: readonly number[] } | undefined
        disk.fault = () => {
          if (at === moment)
            cut = { disk: disk.afterPowerCut(() => kept[at++ % kept.length] ?? 0), ids: [...acknowledged.ids] }
          return plan[at++]
        }
        for (const size of sizes) {
          await work(trail, [size], acknowledged)
          // Past the pause after a failure.
          vi.advanceTimersByTime(2_000)
        }
        cut ??= { disk: disk.afterPowerCut(() => 0), ids: [...acknowledged.ids] }
        await trail.close()
        const again = open(cut.disk, 1_200)
        await again.append(record(9_999_999))
        await again.close()
        expect(idsIn(cut.disk)).toEqual(expect.arrayContaining([...cut.ids, 9_999_999]))
        expect(idsIn(disk)).toEqual(expect.arrayContaining(acknowledged.ids))
      }),
      { numRuns: 300 },
    )
  })
})

describe('a disk that answers with an error [H18]', () => {
  /** Faults from the first operation of this name on, until it is asked to stop. */
  const failing =
    (name: string, kind: 'fail' | 'short' = 'fail'): Fault =>
    (operation) =>
      operation === name ? kind : undefined // prettier-ignore
  const OPERATIONS = ['write audit.jsonl', 'sync audit.jsonl', 'write audit.jsonl.head', 'sync audit.jsonl.head']

  it.each(
    OPERATIONS,
  )('%s: nothing is acknowledged, nothing that was is lost, and it goes on by itself', async (name) => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const disk = createFakeDisk()
    const trail = open(disk)
    const acknowledged: Acknowledged = { ids: [] }
    await work(trail, [2], acknowledged)
    disk.fault = failing(name)
    await work(trail, [3], acknowledged)
    expect(acknowledged.ids).toHaveLength(2)
    expect(trail.writable).toBe(false)
    // While it lasts, and while the disk cannot even be opened.
    for (const other of [
      'open audit.jsonl',
      'truncate audit.jsonl',
      'rename audit.jsonl.head.new',
      `sync ${folder.split('/').at(-1)}`,
      name,
    ]) {
      vi.advanceTimersByTime(2_000)
      disk.fault = failing(other)
      await work(trail, [1], acknowledged)
    }
    disk.fault = () => undefined
    vi.advanceTimersByTime(2_000)
    await work(trail, [2], acknowledged)
    expect(trail.writable).toBe(true)
    await trail.close()
    expect(idsIn(disk)).toEqual(expect.arrayContaining(acknowledged.ids))
    expect(acknowledged.ids.length).toBeGreaterThanOrEqual(4)
  })

  it.each<readonly [string, (disk: FakeDisk, before: number) => void]>([
    [
      'in the place of them',
      (disk, before) => {
        disk.truncate(file, before)
        disk.append(file, 'a line of another\n')
      },
    ],
    ['behind them', (disk) => disk.append(file, 'x')],
    [
      'in the middle of them',
      (disk, before) => {
        disk.truncate(file, before + 20)
        disk.append(file, 'a line of another\n')
      },
    ],
  ])('bytes of another %s are not cut away with those that could not be written', async (_, tamper) => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const disk = createFakeDisk()
    const trail = open(disk)
    const acknowledged: Acknowledged = { ids: [] }
    await work(trail, [2], acknowledged)
    const before = disk.textOf(file).length
    disk.fault = failing('sync audit.jsonl')
    await work(trail, [3], acknowledged)
    expect(disk.textOf(file).length).toBeGreaterThan(before)
    tamper(disk, before)
    const content = disk.textOf(file)
    disk.fault = () => undefined
    vi.advanceTimersByTime(2_000)
    await expect(trail.append(record(9))).rejects.toMatchObject({ cause: { name: 'AuditDamageError' } })
    await trail.close()
    expect(disk.textOf(file)).toBe(content)
  })

  it('a disk that takes only parts of what it is given gets all of it', async () => {
    const disk = createFakeDisk()
    disk.fault = (operation) => (operation.startsWith('write ') ? 'short' : undefined)
    const trail = open(disk, 1_500)
    const acknowledged: Acknowledged = { ids: [] }
    await work(trail, [1, 4, 4, 2], acknowledged)
    await trail.close()
    expect(acknowledged.ids).toHaveLength(11)
    expect(idsIn(disk)).toHaveLength(11)
  })
})

it('each group is on the disk before its head, and both before it is acknowledged', async () => {
  const disk = createFakeDisk()
  const trail = open(disk)
  await trail.append(record(0))
  disk.operations.length = 0
  await trail.append(record(1))
  disk.operations.push('acknowledged')
  expect(disk.operations).toEqual([
    'write audit.jsonl',
    'sync audit.jsonl',
    'write audit.jsonl.head',
    'sync audit.jsonl.head',
    'acknowledged',
  ])
  await trail.close()
})

it('a new file is in its folder before a record in it is acknowledged', async () => {
  const disk = createFakeDisk()
  const trail = open(disk, 500)
  for (let id = 0; id < 6; id += 1) {
    await trail.append(record(id))
    expect(
      disk
        .afterPowerCut(() => 0)
        .names()
        .toSorted(),
    ).toEqual(disk.names().toSorted()) // prettier-ignore
    expect(idsIn(disk.afterPowerCut(() => 0))).toHaveLength(id + 1)
  }
  await trail.close()
})
