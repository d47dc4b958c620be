/** Finds every edit, cut, swap and removal in what an audit trail has acknowledged, and names the line. */

import type { FileHandle } from 'node:fs/promises'
import type { AuditProblem } from './chain-check.ts'
import { ChainCheck } from './chain-check.ts'
import type { AuditKey } from './line.ts'
import { MAX_LINE_BYTES, readHeads } from './line.ts'
import type { ReadingDisk, Snapshot } from './snapshot.ts'
import { currentFileOf, PUT_ASIDE, realReadingDisk, takeSnapshot } from './snapshot.ts'

export type { AuditProblem } from './chain-check.ts'

interface AuditFinding {
  readonly file: string
  /** From 1; one more than the file has if its end is missing. Of a head: which of the two it is. */
  readonly line: number
  readonly problem: AuditProblem
}

export interface AuditReport {
  /** Id of the trail; `undefined` if neither a line nor the head can be read. */
  readonly trail: string | undefined
  /** Number of lines that are as their writer wrote them. */
  readonly lines: number
  /** Sequence of the first of them: above 1 if older files of the trail are elsewhere. 0 if there is none. */
  readonly first: number
  /** Whether a crash has left a part of a line. It was never acknowledged, so this is no damage. */
  readonly torn: boolean
  /** Files that were put aside after the last one given, because the trail is being written. They were checked, too. */
  readonly added: readonly string[]
  /** At most 1000. */
  readonly findings: readonly AuditFinding[]
}

export interface VerifyOptions {
  /** The id that the trail must have. */
  readonly trail?: string | undefined
  /** For tests of a trail that is being written. */
  readonly disk?: ReadingDisk
}

/** Most findings that are reported: after an edit every line may be one. */
const MAX_FINDINGS = 1_000

/** `files` are those of one trail, the oldest first; the head is beside them. Rejects if one cannot be read. */
export async function verifyAuditTrail(
  files: readonly string[],
  key: AuditKey,
  { trail, disk = realReadingDisk }: VerifyOptions = {},
): Promise<AuditReport> {
  const isWhole = (text: string | undefined) => text === undefined || isIntact(readHeads(text, key))
  // No `using`: Node.js 22 does not know it.
  const snapshot = await takeSnapshot(files, isWhole, disk)
  try {
    return await verifySnapshot(snapshot, key, trail, disk)
  } finally {
    await snapshot[Symbol.asyncDispose]()
  }
}

async function verifySnapshot(
  snapshot: Snapshot,
  key: AuditKey,
  trail: VerifyOptions['trail'],
  disk: ReadingDisk,
): Promise<AuditReport> {
  const heads = snapshot.head === undefined ? undefined : readHeads(snapshot.head, key)
  const check = new FileCheck(new ChainCheck(trail, heads?.newest, key))
  const newest = snapshot.files.at(-1) ?? ''
  const isDone = await checkFiles(snapshot, check, disk)
  if (isDone) check.endTrail(newest)
  if (heads?.torn !== undefined) check.report(`${currentFileOf(newest)}.head`, heads.torn + 1, 'head_unreadable')
  return { ...check.summary(), added: snapshot.added }
}

function isIntact(heads: ReturnType<typeof readHeads>): boolean {
  return heads !== undefined && heads.torn === undefined
}

/** Resolves with whether all of them were checked: not if there were too many findings. */
async function checkFiles({ files, newest }: Snapshot, check: FileCheck, disk: ReadingDisk): Promise<boolean> {
  for (const [index, path] of files.entries()) {
    const isNewest = index === files.length - 1
    const handle = isNewest ? newest : await disk.open(path)
    try {
      await checkFile(path, handle, isNewest && !PUT_ASIDE.test(path), check)
    } finally {
      if (!isNewest) await handle.close()
    }
    if (check.isFull) return false
  }
  return true
}

async function checkFile(path: string, handle: FileHandle, isNewest: boolean, check: FileCheck): Promise<void> {
  check.beginFile(path, isNewest)
  for await (const { text, isWhole } of linesOf(handle)) {
    if (isWhole || !isNewest) check.checkLine(text)
    else check.checkTornLine(text)
    if (check.isFull) return
  }
  check.endFile(announcedEnd(path))
}

/** Checks file after file, and collects the findings with their places. */
class FileCheck {
  readonly #chain: ChainCheck
  readonly #findings: AuditFinding[] = []
  #lines = 0
  #first = 0
  #isTorn = false
  #file = ''
  /** Number of the line in the file. */
  #number = 0
  #isNewest = false

  constructor(chain: ChainCheck) {
    this.#chain = chain
  }

  get isFull(): boolean {
    return this.#findings.length >= MAX_FINDINGS
  }

  beginFile(file: string, isNewest: boolean): void {
    this.#file = file
    this.#number = 0
    this.#isNewest = isNewest
  }

  checkLine(text: string): void {
    this.#number += 1
    const { line, problems } = this.#chain.check(text, this.#isNewest && this.#number === 1)
    for (const problem of problems) this.report(this.#file, this.#number, problem)
    if (line === undefined) return
    this.#lines += 1
    this.#first ||= line.sequence
  }

  /** Checks what follows the last line feed of the newest file. */
  checkTornLine(text: string): void {
    this.#number += 1
    if (this.#chain.canBeTorn(text)) this.#isTorn = true
    else this.report(this.#file, this.#number, 'changed')
  }

  /** `announced` is the sequence that the last line must have reached. */
  endFile(announced: number): void {
    if (this.#chain.reached < announced) this.report(this.#file, this.#number + 1, 'end_missing')
  }

  endTrail(newest: string): void {
    const problem = this.#chain.findProblemAtEnd()
    if (problem !== undefined) this.report(newest, this.#number + (this.#isTorn ? 0 : 1), problem)
  }

  report(file: string, line: number, problem: AuditProblem): void {
    this.#findings.push({ file, line, problem })
  }

  summary(): Omit<AuditReport, 'added'> {
    const findings = this.#findings.slice(0, MAX_FINDINGS)
    return { trail: this.#chain.trail, lines: this.#lines, first: this.#first, torn: this.#isTorn, findings }
  }
}

/** Returns the sequence of the last line of a file that was put aside, which is in its name. */
function announcedEnd(file: string): number {
  return Number(PUT_ASIDE.exec(file)?.[1] ?? 0)
}

/** Only line feeds end lines; `node:readline` knows others. What follows the last one is a torn line. */
async function* linesOf(handle: FileHandle): AsyncGenerator<{ readonly text: string; readonly isWhole: boolean }> {
  let rest = ''
  const stream = handle.createReadStream({ encoding: 'latin1', autoClose: false, start: 0 })
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const text of lines) yield { text, isWhole: true }
    // Too long to be a line: enough of it is kept to see that.
    if (rest.length > MAX_LINE_BYTES) rest = rest.slice(0, MAX_LINE_BYTES)
  }
  if (rest !== '') yield { text: rest, isWhole: false }
}
