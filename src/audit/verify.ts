/** Finds every edit, cut, swap and drop in an audit trail, and names the line. */

import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { readHead } from './head.ts'
import type { AuditKey, AuditLine } from './line.ts'
import { readLine } from './line.ts'

export interface AuditFinding {
  readonly file: string
  /** From 1; one more than the file has where its end is missing. */
  readonly line: number
  readonly problem: 'changed' | 'out_of_place' | 'end_missing' | 'head_missing'
}

export interface AuditReport {
  /** Lines that are what their writer has written. */
  readonly lines: number
  readonly findings: readonly AuditFinding[]
}

/** Most findings that are told: after an edit everything may be one. */
const MAX_FINDINGS = 1_000

/** `files` are those of one trail, the oldest first; the head lies beside them. Rejects where one cannot be read. */
export async function verifyAuditTrail(files: readonly string[], key: AuditKey): Promise<AuditReport> {
  const findings: AuditFinding[] = []
  const find = (finding: AuditFinding): void => void (findings.length < MAX_FINDINGS && findings.push(finding))
  let last: AuditLine | undefined
  /** Whether the line before this one was changed: its hash says nothing, its place does. */
  let isBlind = false
  let [lines, number, file] = [0, 0, '']

  function check(text: string): void {
    const line = readLine(text, undefined, key)
    if (line === undefined) {
      find({ file, line: number, problem: 'changed' })
      if (last !== undefined) last = { ...last, sequence: last.sequence + 1 }
      isBlind = true
      return
    }
    // A trail begins anywhere, where older files of it are elsewhere.
    const follows = last === undefined || (isBlind ? line.sequence === last.sequence + 1 : readLine(text, last, key))
    if (!follows) find({ file, line: number, problem: 'out_of_place' })
    lines += 1
    last = line
    isBlind = false
  }

  for (file of files) {
    number = 0
    for await (const text of linesOf(file)) {
      number += 1
      check(text)
    }
  }
  const head = await readFile(`${file.replace(PUT_ASIDE, '')}.head`, 'latin1')
    .then((text) => readHead(text, key))
    .catch(() => undefined)
  if (head === undefined) find({ file, line: number + 1, problem: 'head_missing' })
  else if ((last?.sequence ?? 0) < head.sequence) find({ file, line: number + 1, problem: 'end_missing' })
  return { lines, findings }
}

const PUT_ASIDE = /\.\d{15}$/

/** Line feeds end lines, and nothing else does: `node:readline` knows others. What follows the last one is a torn line. */
async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of createReadStream(file, { encoding: 'utf8' }) as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}
