/** H10 H11 The audit trail: nothing that was acknowledged is lost, and nothing is changed without being found. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AuditHead } from '../../src/audit/line.ts'
import { encodeHeads } from '../../src/audit/line.ts'
import type { AuditTrail, AuditTrailOptions } from '../../src/audit/trail.ts'
import { openAuditTrail } from '../../src/audit/trail.ts'
import { verifyAuditTrail } from '../../src/audit/verify.ts'
import { waitFor } from '../support/patience.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'audit-'))
  file = join(folder, 'audit.jsonl')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const record = (id: number, attributes = {}) => ({
  timeMillis: Date.parse('2026-01-02T03:04:05.678Z'),
  event: 'auth.token.verified',
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  attributes: { id, ...attributes },
})
const opened = (options: Partial<AuditTrailOptions> = {}): AuditTrail =>
  openAuditTrail({ file, maxBytes: 1_000_000, key: undefined, ...options })

async function written(count: number, options: Partial<AuditTrailOptions> = {}): Promise<void> {
  const trail = opened(options)
  await Promise.all(Array.from({ length: count }, (_, id) => trail.append(record(id))))
  await trail.close()
}
const linesOf = (path = file): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1)
/** The files of the trail, the oldest first. */
const filesOf = (): string[] => [
  ...readdirSync(folder)
    .filter((name) => /\.\d{15}$/.test(name))
    .toSorted()
    .map((name) => join(folder, name)),
  ...(existsSync(file) ? [file] : []),
]
const lastOf = (lines: readonly string[]): Omit<AuditHead, 'first'> => JSON.parse(lines.at(-1) ?? '') as AuditHead
/** Refused by the disk, and not only because the last refusal was a moment ago. */
async function refusedAgain(trail: AuditTrail): Promise<unknown> {
  let cause: unknown
  const before = await trail.append(record(0)).catch((error: unknown) => error)
  await waitFor(async () => {
    const error = await trail.append(record(0)).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ name: 'AuditWriteError' })
    expect(error).not.toBe(before)
    cause = (error as Error).cause
  })
  return cause
}
/** The lines from number `count` on of a trail that nothing has happened to. */
async function linesOfAnother(count: number): Promise<readonly string[]> {
  const other = join(folder, 'other.jsonl')
  const trail = openAuditTrail({ file: other, maxBytes: 1_000_000, key: undefined })
  await Promise.all(Array.from({ length: count }, (_, id) => trail.append(record(id))))
  await trail.close()
  return linesOf(other).slice(count - 1)
}
const problems = async (key?: Buffer): Promise<readonly string[]> =>
  (await verifyAuditTrail([file], key)).findings.map(({ line, problem }) => `${line} ${problem}`)

describe('a trail', () => {
  it('holds each record as a line of JSON, in order, and continues at its end', async () => {
    await written(3)
    await written(2)
    const lines = linesOf().map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(lines.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5])
    expect(lines[0]).toMatchObject({
      time: '2026-01-02T03:04:05.678Z',
      event: 'auth.token.verified',
      attributes: { id: 0 },
      traceId: '0af7651916cd43dd8448eb211c80319c',
      previous: '0'.repeat(64),
    }) // prettier-ignore
    expect(await verifyAuditTrail([file], undefined)).toMatchObject({ lines: 5, first: 1, torn: false, findings: [] })
  })

  it('keeps what is written in a record within its line [H11]', async () => {
    const trail = opened()
    await trail.append(record(0, { text: 'a\n{"sequence":9}\r\u2028","hash":"x"}' }))
    await trail.append(record(1))
    await trail.close()
    expect(linesOf()).toHaveLength(2)
    expect(await problems()).toEqual([])
  })

  it('is put aside when it has become large, and verified across its files', async () => {
    const trail = opened({ maxBytes: 2_000 })
    for (let id = 0; id < 40; id += 1) await trail.append(record(id))
    await trail.close()
    expect(filesOf().length).toBeGreaterThan(3)
    expect(await verifyAuditTrail(filesOf(), undefined)).toMatchObject({ lines: 40, findings: [] })
    await written(1)
    expect(await verifyAuditTrail(filesOf(), undefined)).toMatchObject({ lines: 41, findings: [] })
    const [first = '', , ...others] = filesOf()
    expect((await verifyAuditTrail([first, ...others], undefined)).findings).toMatchObject([
      { problem: 'out_of_place' },
    ])
  })

  it('is not opened if it is damaged, or is no trail', async () => {
    await written(3)
    const whole = readFileSync(file)
    writeFileSync(file, whole.subarray(0, whole.length - 200))
    expect(() => opened()).toThrow(expect.objectContaining({ name: 'AuditDamageError' }))
    rmSync(`${file}.head`)
    writeFileSync(file, 'root:x:0:0\n')
    expect(() => opened()).toThrow(expect.objectContaining({ name: 'AuditDamageError' }))
    expect(readFileSync(file, 'utf8')).toBe('root:x:0:0\n')
  })

  it('is not opened if its newest file was emptied, removed, or has lost its beginning [H11]', async () => {
    await written(3)
    const whole = readFileSync(file, 'utf8')
    const second = whole.indexOf('\n') + 1
    for (const content of ['', whole.slice(second), `${whole.slice(0, second)}${whole.slice(0, second)}`]) {
      writeFileSync(file, content)
      expect(() => opened()).toThrow(expect.objectContaining({ name: 'AuditDamageError' }))
      expect(readFileSync(file, 'utf8')).toBe(content)
    }
    rmSync(file)
    expect(() => opened()).toThrow(expect.objectContaining({ name: 'AuditDamageError' }))
  })

  it('is no device and no pipe', () => {
    symlinkSync('/dev/full', file)
    expect(() => opened()).toThrow(expect.objectContaining({ name: 'AuditDamageError' }))
  })

  it('is not written on, then or ever, while something of another stands at its end [H11]', async () => {
    for (const foreign of ['x', 'a whole line\n', `{"sequence":2,"time":"now"`, `{"sequence":9,"time":"`, 'x\0\0']) {
      const trail = opened()
      await trail.append(record(0))
      appendFileSync(file, foreign)
      const content = readFileSync(file)
      await expect(trail.append(record(1))).rejects.toMatchObject({ cause: { name: 'AuditDamageError' } })
      // It has opened its files again by then, and would have cut away what was there.
      await refusedAgain(trail)
      await trail.close()
      expect(() => opened()).toThrow(expect.objectContaining({ name: 'AuditDamageError' }))
      expect(readFileSync(file)).toEqual(content)
      expect(await problems()).toEqual(['2 changed'])
      for (const name of readdirSync(folder)) rmSync(join(folder, name))
    }
  })

  it('refuses records once another has moved or removed its file, and writes its head again [H11]', async () => {
    const trail = opened()
    await trail.append(record(0))
    rmSync(`${file}.head`)
    await expect(trail.append(record(1))).rejects.toMatchObject({ name: 'AuditWriteError' })
    await waitFor(() => trail.append(record(1)))
    expect(await problems()).toEqual([])
    renameSync(file, `${file}.moved`)
    await expect(trail.append(record(2))).rejects.toMatchObject({ name: 'AuditWriteError' })
    await refusedAgain(trail)
    expect(existsSync(file)).toBe(false)
    writeFileSync(file, '')
    expect(await refusedAgain(trail)).toMatchObject({ name: 'AuditDamageError' })
    // Nor is a copy written on: what was acknowledged is in the other one.
    writeFileSync(file, readFileSync(`${file}.moved`))
    expect(await refusedAgain(trail)).toMatchObject({ name: 'AuditDamageError' })
    await trail.close()
    expect(readFileSync(file)).toEqual(readFileSync(`${file}.moved`))
  })

  it('refuses the next record once a copy stands in the place of its file [H11]', async () => {
    const trail = opened()
    await trail.append(record(0))
    renameSync(file, `${file}.moved`)
    writeFileSync(file, readFileSync(`${file}.moved`))
    await expect(trail.append(record(1))).rejects.toMatchObject({ cause: { name: 'AuditDamageError' } })
    await trail.close()
    expect(linesOf(`${file}.moved`)).toHaveLength(1)
    expect(linesOf()).toHaveLength(1)
  })

  it('is not written over one that was put aside before [H11]', async () => {
    const trail = opened({ maxBytes: 500 })
    const aside = `${file}.000000000000002`
    writeFileSync(aside, 'evidence')
    await trail.append(record(0))
    await trail.append(record(1))
    await expect(trail.append(record(2))).rejects.toMatchObject({ cause: { name: 'AuditDamageError' } })
    await trail.close()
    expect(readFileSync(aside, 'utf8')).toBe('evidence')
    expect(linesOf()).toHaveLength(2)
  })

  it('continues after it was killed between the head that announces a new file and the file [H10]', async () => {
    await written(3)
    writeFileSync(`${file}.head`, encodeHeads({ ...lastOf(linesOf()), first: 4 }, undefined))
    expect(await problems()).toEqual([])
    await written(2)
    expect(await problems()).toEqual([])
    expect(linesOf()).toHaveLength(5)
    // And after it was put aside.
    writeFileSync(`${file}.head`, encodeHeads({ ...lastOf(linesOf()), first: 6 }, undefined))
    renameSync(file, `${file}.000000000000005`)
    await written(1)
    expect(await verifyAuditTrail(filesOf(), undefined)).toMatchObject({ lines: 6, first: 1, findings: [] })
  })

  it('loses what was never acknowledged: a line that a crash has torn, anywhere', async () => {
    await written(3)
    const [next = ''] = await linesOfAnother(4)
    for (let length = 1; length <= next.length; length += 13) {
      for (const zeros of [0, 5]) {
        appendFileSync(file, `${next.slice(0, length)}${'\0'.repeat(zeros)}`)
        expect(await verifyAuditTrail([file], undefined)).toMatchObject({ lines: 3, torn: true, findings: [] })
        await written(0)
        expect(linesOf()).toHaveLength(3)
      }
    }
    appendFileSync(file, '\0\0\0\0')
    await written(1)
    expect(await verifyAuditTrail([file], undefined)).toMatchObject({ lines: 4, torn: false, findings: [] })
  })

  it('that cannot be written refuses its records, and takes them again when it can', async () => {
    const trail = opened()
    rmSync(folder, { recursive: true })
    await expect(trail.append(record(0))).rejects.toMatchObject({ name: 'AuditWriteError' })
    expect(trail.writable).toBe(false)
    await expect(trail.append(record(1))).rejects.toMatchObject({ name: 'AuditWriteError' })
    await trail.close()
  })
})

describe('verification names the line of [H11]', () => {
  const edits: readonly (readonly [string, (lines: string[]) => void, readonly string[]])[] = [
    ['an edit', (lines) => lines.splice(2, 1, (lines[2] ?? '').replace('"id":2', '"id":7')), ['3 changed']],
    ['a drop', (lines) => lines.splice(2, 1), ['3 out_of_place']],
    [
      'a swap',
      (lines) => lines.splice(2, 2, lines[3] ?? '', lines[2] ?? ''),
      ['3 out_of_place', '4 out_of_place', '5 out_of_place'],
    ],
    ['a repetition', (lines) => lines.splice(2, 0, lines[1] ?? ''), ['3 out_of_place']],
    ['an insertion', (lines) => lines.splice(2, 0, '{}'), ['3 changed', '4 out_of_place']],
    ['a cut end', (lines) => lines.splice(4), ['5 end_missing']],
    ['an emptied file', (lines) => lines.splice(0), ['1 end_missing']],
    ['a cut beginning', (lines) => lines.splice(0, 2), ['1 beginning_missing']],
  ]
  it.each(edits)('%s', async (_, edit, expected) => {
    await written(6)
    const lines = linesOf()
    edit(lines)
    writeFileSync(file, lines.map((line) => `${line}\n`).join(''))
    expect(await problems()).toEqual(expected)
  })

  it('any flipped bit', async () => {
    await written(3)
    const whole = readFileSync(file)
    for (let at = 0; at < whole.length; at += 3) {
      const flipped = Buffer.from(whole)
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at)
      writeFileSync(file, flipped)
      expect(await problems()).not.toEqual([])
    }
  })

  it('a whole trail that was written without the key', async () => {
    await written(3)
    expect(await problems(Buffer.from('a key that the forger does not have'))).not.toEqual([])
  })

  it('a missing head', async () => {
    await written(3)
    rmSync(`${file}.head`)
    expect(await problems()).toEqual(['4 head_missing'])
  })
})

it('no acknowledged record is lost, wherever its writer is killed [H10]', async () => {
  let before = 0
  for (let kill = 0; kill < 12; kill += 1) {
    const acknowledged = await killedAfter(1 + kill * 37)
    const { lines, findings } = await verifyAuditTrail(filesOf(), undefined)
    // A line that was torn, or that nobody was told of, is no damage. It goes when the trail is opened again.
    expect(findings).toEqual([])
    await written(0)
    const repaired = await verifyAuditTrail(filesOf(), undefined)
    expect(repaired.findings).toEqual([])
    expect(repaired.lines).toBeGreaterThanOrEqual(before + acknowledged)
    expect(repaired.lines).toBe(lines)
    before = repaired.lines
  }
})

it('a disk that is full in the middle of a line takes nothing of what was acknowledged, and leaves no damage [H10]', async () => {
  const writer = join(import.meta.dirname, 'writer.ts')
  const limited = spawn('bash', ['-c', `ulimit -f 24; exec "$0" "$@"`, process.execPath, writer, file, '1000000'])
  const ended = once(limited, 'exit')
  let acknowledged = 0
  for await (const line of createInterface({ input: limited.stdout })) if (line !== 'open') acknowledged += 1
  await ended
  expect(acknowledged).toBeGreaterThan(10)
  const { lines, findings } = await verifyAuditTrail([file], undefined)
  expect({ findings, isThere: lines >= acknowledged }).toEqual({ findings: [], isThere: true })
  await written(1)
  expect(await problems()).toEqual([])
})

/** Kills the writer as soon as it has acknowledged `count` records, and returns how many it had. */
async function killedAfter(count: number): Promise<number> {
  const writer = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), file, '20000'])
  const ended = once(writer, 'exit')
  let acknowledged = 0
  for await (const line of createInterface({ input: writer.stdout })) {
    if (line === 'open') continue
    acknowledged += 1
    if (acknowledged === count) writer.kill('SIGKILL')
  }
  await ended
  return acknowledged
}
