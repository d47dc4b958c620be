/** What is found when a trail is opened: where it goes on, and what a crash has left behind its last whole line. */

import type { AuditHead } from './head.ts'
import { FIRST_HEAD } from './head.ts'
import type { AuditKey, AuditLine } from './line.ts'
import { readLine } from './line.ts'

export interface Recovered {
  readonly last: AuditLine
  /** Sequence of the first line of the file, whether it is there already or not. */
  readonly first: number
  /** Bytes of the file up to and with the last whole line: what follows was never acknowledged. */
  readonly wholeBytes: number
}

/** The trail is not what its writer has written: nothing may be appended to it, since that would hide the damage. */
export class AuditDamageError extends Error {
  override readonly name = 'AuditDamageError'

  constructor() {
    super('the audit trail is damaged: verify it, and move it away')
  }
}

/**
 * Reads the newest file of a trail. `head` says how far it was acknowledged: what is missing of that is damage, and what is
 * more is kept as far as it is whole. Only a trail that has never been opened has no head.
 *
 * @throws AuditDamageError where something that was acknowledged is not there any more, or this is no trail.
 */
export function recover(content: Buffer, head: AuditHead | undefined, key: AuditKey): Recovered {
  if (head === undefined && content.length > 0) throw new AuditDamageError()
  const acknowledged = head ?? FIRST_HEAD
  const lines = wholeLines(content, key)
  const [begin, last] = [lines[0], lines.at(-1)]
  if (begin === undefined || last === undefined) {
    // A new file, which nothing was acknowledged of yet.
    if (!isPutAside(acknowledged)) throw new AuditDamageError()
    return { last: acknowledged, first: acknowledged.first, wholeBytes: 0 }
  }
  const isBeginning = begin.sequence === acknowledged.first || isPutAside(acknowledged)
  if (!isBeginning || !holds(lines, acknowledged)) throw new AuditDamageError()
  return { last, first: begin.sequence, wholeBytes: last.end }
}

/** Whether the acknowledged line is among `lines`, or is the one before them in an older file. */
function holds(lines: readonly FoundLine[], { sequence, hash }: AuditLine): boolean {
  const [begin] = lines
  if (begin?.sequence === sequence + 1) return begin.previous === hash
  return lines.some((line) => line.sequence === sequence && line.hash === hash)
}

interface FoundLine extends AuditLine {
  readonly previous: string
  /** Where it ends in the file, its line feed included. */
  readonly end: number
}

function wholeLines(content: Buffer, key: AuditKey): readonly FoundLine[] {
  const lines: FoundLine[] = []
  let begin = 0
  for (let end = content.indexOf(LINE_FEED); end !== -1; end = content.indexOf(LINE_FEED, begin)) {
    const line = readLine(content.toString('latin1', begin, end), lines.at(-1), key)
    if (line === undefined) break
    begin = end + 1
    lines.push({ ...line, end: begin })
  }
  return lines
}

/** Whether the file that `head` is of was put aside, or was about to be when its writer crashed. */
function isPutAside(head: AuditHead): boolean {
  return head.first === head.sequence + 1
}

const LINE_FEED = 0x0a
