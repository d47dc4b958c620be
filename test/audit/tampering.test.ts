/** H11 Whatever is done to a trail of several files, the first line that is not as it was is named. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openAuditTrail } from '../../src/audit/trail.ts'
import { verifyAuditTrail } from '../../src/audit/verify.ts'

const KEY = Buffer.from('a key of this test, which is long enough')
const folder = mkdtempSync(join(tmpdir(), 'audit-tampering-'))
let files: readonly string[]
let whole: readonly string[]
/** Good lines of another trail with the same key. */
let foreign: readonly string[]

async function written(name: string, count: number): Promise<readonly string[]> {
  const trail = openAuditTrail({ file: join(folder, name), maxBytes: 2_500, key: KEY })
  for (let id = 0; id < count; id += 1) {
    const attributes = { id, 'auth.token.fingerprint': '0123456789abcdef' }
    await trail.append({
      timeMillis: id,
      event: 'auth.token.verified',
      traceId: undefined,
      spanId: undefined,
      attributes,
    })
  }
  await trail.close()
  const aside = readdirSync(folder).filter((file) => file.startsWith(name) && /\.\d{15}$/.test(file))
  return [...aside.toSorted(), name].map((file) => join(folder, file))
}
const linesIn = (texts: readonly string[]): string[] => texts.flatMap((text) => text.split('\n').slice(0, -1))

beforeAll(async () => {
  files = await written('audit.jsonl', 30)
  whole = files.map((file) => readFileSync(file, 'latin1'))
  foreign = linesIn((await written('other.jsonl', 30)).map((file) => readFileSync(file, 'latin1')))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What may be done to the lines of a trail; `at` and `to` are positions in it. */
const DEEDS: Readonly<Record<string, (lines: string[], at: number, to: number) => void>> = {
  drop: (lines, at, to) => lines.splice(at, 1 + (to % 3)),
  swap: (lines, at, to) => lines.splice(at, 1, ...lines.splice(to, 1, lines[at] ?? '')),
  repeat: (lines, at, to) => lines.splice(to, 0, lines[at] ?? ''),
  insert: (lines, at) => lines.splice(at, 0, '{"sequence":1}'),
  cut: (lines, at) => lines.splice(at),
  exchange: (lines, at, to) => lines.splice(at, 1, foreign[to] ?? ''),
  empty: (lines, at) => lines.splice(at, 0, ''),
  edit(lines, at, to) {
    const bytes = Buffer.from(lines[at] ?? '', 'latin1')
    const place = (to * 7919) % bytes.length
    bytes.writeUInt8(bytes.readUInt8(place) ^ (1 << (to % 8)), place)
    lines[at] = bytes.toString('latin1')
  },
}

it('an edit, cut, swap, drop, repetition or insertion anywhere [H11]', async () => {
  const original = linesIn(whole)
  const position = fc.nat({ max: original.length - 1 })
  // The first line may be missing where older files are elsewhere: `first` tells that.
  const deed = fc.tuple(
    fc.constantFrom(...Object.keys(DEEDS)),
    position.filter((at) => at > 0),
    position.filter((to) => to > 0),
  )
  await fc.assert(
    fc.asyncProperty(deed, async ([name, at, to]) => {
      const lines = [...original]
      DEEDS[name]?.(lines, at, to)
      const changed = linesIn([lines.map((line) => `${line}\n`).join('')])
      const first = changed.findIndex((line, index) => line !== original[index])
      const expected = first === -1 ? changed.length : first
      fc.pre(expected < original.length)
      expect(await firstFinding(lines)).toBe(expected)
    }),
    { numRuns: 400 },
  )
})

/** The position of the first line that is complained about, where `lines` lie in the files of the trail as they did. */
async function firstFinding(lines: readonly string[]): Promise<number> {
  const sizes = whole.map((text) => text.split('\n').length - 1)
  let from = 0
  const begins = sizes.map((size, index) => {
    const begin = from
    from = index === sizes.length - 1 ? lines.length : from + size
    writeFileSync(
      files[index] ?? '',
      lines
        .slice(begin, from)
        .map((line) => `${line}\n`)
        .join(''),
      'latin1',
    )
    return begin
  })
  const { findings } = await verifyAuditTrail(files, KEY)
  const [finding] = findings
  return finding === undefined ? -1 : (begins[files.indexOf(finding.file)] ?? Number.NaN) + finding.line - 1
}
