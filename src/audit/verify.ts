/** Finds every edit, cut, swap and drop in an audit trail, and names the line. */

import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { AuditHead } from './head.ts'
import { readHead } from './head.ts'
import type { AuditKey, AuditLine } from './line.ts'
import { MAX_LINE_BYTES, readLine } from './line.ts'

export type AuditProblem =
  | 'changed'
  | 'out_of_place'
  | 'beginning_missing'
  | 'end_missing'
  | 'head_missing'
  | 'head_differs'

export interface AuditFinding {
  readonly file: string
  /** From 1; one more than the file has where its end is missing. */
  readonly line: number
  readonly problem: AuditProblem
}

export interface AuditReport {
  /** Lines that are what their writer has written. */
  readonly lines: number
  /** Sequence of the first of them: above 1 where older files of the trail are elsewhere. 0 where there is none. */
  readonly first: number
  /** Whether a crash has left a part of a line behind, which was never acknowledged: no damage. */
  readonly torn: boolean
  /** At most 1000. */
  readonly findings: readonly AuditFinding[]
}

/** Most findings that are told: after an edit everything may be one. */
const MAX_FINDINGS = 1_000

/** `files` are those of one trail, the oldest first; the head lies beside them. Rejects where one cannot be read. */
export async function verifyAuditTrail(files: readonly string[], key: AuditKey): Promise<AuditReport> {
  const findings: AuditFinding[] = []
  // Before the lines: the trail may be written meanwhile.
  const head = await headOf(files.at(-1) ?? '', key)
  const chain = createChain(head, key)
  let [lines, first, torn] = [0, 0, false]
  let at = { file: '', number: 0, isNewest: false }

  function check(text: string): void {
    at.number += 1
    const { line, problems } = chain.check(text, at.isNewest && at.number === 1)
    for (const problem of problems) findings.push({ file: at.file, line: at.number, problem })
    if (line === undefined) return
    lines += 1
    first ||= line.sequence
  }

  for (const file of files) {
    at = { file, number: 0, isNewest: file === files.at(-1) && !PUT_ASIDE.test(file) }
    for await (const { text, isWhole } of linesOf(file)) {
      if (isWhole || !at.isNewest) check(text)
      else torn = true
      if (findings.length >= MAX_FINDINGS) return { lines, first, torn, findings: findings.slice(0, MAX_FINDINGS) }
    }
    if (chain.reached < announcedEnd(file)) findings.push({ file, line: at.number + 1, problem: 'end_missing' })
  }
  const problem = chain.end()
  if (problem !== undefined) findings.push({ file: at.file, line: at.number + 1, problem })
  return { lines, first, torn, findings }
}

interface Chain {
  /** Sequence of the last line so far. */
  readonly reached: number
  check(text: string, isFirstOfNewest: boolean): { line: AuditLine | undefined; problems: readonly AuditProblem[] }
  end(): AuditProblem | undefined
}

function createChain(head: AuditHead | undefined, key: AuditKey): Chain {
  let last: AuditLine | undefined
  /** Whether the line before this one was changed: its hash says nothing, its place does. */
  let isBlind = false

  function placeOf(text: string, line: AuditLine): AuditProblem | undefined {
    // A trail begins anywhere, where older files of it are elsewhere.
    const follows = last === undefined || (isBlind ? line.sequence === last.sequence + 1 : readLine(text, last, key))
    return follows ? undefined : 'out_of_place'
  }

  /** A file that is about to be put aside begins before the one that its head announces. */
  function beginsElsewhere(line: AuditLine): boolean {
    return head !== undefined && line.sequence !== head.first && head.first !== head.sequence + 1
  }

  return {
    get reached() {
      return last?.sequence ?? 0
    },
    check(text, isFirstOfNewest) {
      const line = readLine(text, undefined, key)
      if (line === undefined) {
        if (last !== undefined) last = { ...last, sequence: last.sequence + 1 }
        isBlind = true
        return { line, problems: ['changed'] }
      }
      const problems = [
        placeOf(text, line),
        isFirstOfNewest && beginsElsewhere(line) ? ('beginning_missing' as const) : undefined,
        line.sequence === head?.sequence && line.hash !== head.hash ? ('head_differs' as const) : undefined,
      ]
      last = line
      isBlind = false
      return { line, problems: problems.filter((problem) => problem !== undefined) }
    },
    end() {
      if (head === undefined) return 'head_missing'
      const isWhole = last === undefined ? head.first === head.sequence + 1 : last.sequence >= head.sequence
      return isWhole ? undefined : 'end_missing'
    },
  }
}

const PUT_ASIDE = /\.(\d{15})$/

/** A file that was put aside ends with the line that its name says. */
function announcedEnd(file: string): number {
  return Number(PUT_ASIDE.exec(file)?.[1] ?? 0)
}

/** The head is that of the newest file, whichever file is given. */
async function headOf(file: string, key: AuditKey): Promise<AuditHead | undefined> {
  return readFile(`${file.replace(PUT_ASIDE, '')}.head`, 'latin1').then(
    (text) => readHead(text, key),
    () => undefined,
  )
}

/** Line feeds end lines, and nothing else does: `node:readline` knows others. What follows the last one is a torn line. */
async function* linesOf(file: string): AsyncGenerator<{ readonly text: string; readonly isWhole: boolean }> {
  let rest = ''
  for await (const chunk of createReadStream(file, { encoding: 'latin1' }) as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const text of lines) yield { text, isWhole: true }
    // No line of ours: enough of it is kept to see that.
    if (rest.length > MAX_LINE_BYTES) rest = rest.slice(0, MAX_LINE_BYTES)
  }
  if (rest !== '') yield { text: rest, isWhole: false }
}
