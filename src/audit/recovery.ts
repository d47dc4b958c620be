/** Finds where an existing trail continues, and what a crash has left after its last whole line. */

import type { AuditHead, AuditKey, AuditLine, ReadHeads, ReadLine } from './line.ts'
import { isBeginningOfLine, isPutAside, readLine } from './line.ts'

/** Where a trail continues. */
export interface Recovered {
  readonly trail: string
  readonly last: AuditLine
  /** Sequence of the first line of the newest file, which may not be written yet. */
  readonly first: number
  /** Length of that file up to the end of its last whole line. */
  readonly bytes: number
  /** The part of a line that a crash has left after them, which was never acknowledged. */
  readonly torn: Buffer
}

/** The trail is not as its writer left it. Nothing may be appended to it, since that would hide the damage. */
export class AuditDamageError extends Error {
  override readonly name = 'AuditDamageError'

  constructor() {
    super('the audit trail is damaged: verify it, and move it away')
  }
}

/**
 * Reads the newest file of a trail. The head says how far it was acknowledged: a missing acknowledged line is damage,
 * and whole lines after it are kept.
 *
 * @throws AuditDamageError if an acknowledged line is missing, or the file holds anything that the writer of this trail
 * cannot have left.
 */
export function recover(content: Buffer, { newest: head, torn: tornHead }: ReadHeads, key: AuditKey): Recovered {
  const { trail } = head
  const lines = wholeLines(content, trail, key)
  const last: AuditLine = lines.at(-1) ?? head
  const bytes = lines.at(-1)?.end ?? 0
  const torn = content.subarray(bytes)
  const isWhole =
    (lines[0] === undefined ? isPutAside(head) : beginsAtHead(lines[0], head) && includesAcknowledged(lines, head)) &&
    (tornHead === undefined || hasGroupAfter(lines, head)) &&
    isTornLine(torn, last)
  if (!isWhole) throw new AuditDamageError()
  return { trail, last, first: lines[0]?.sequence ?? head.first, bytes, torn }
}

function beginsAtHead(line: AuditLine, head: AuditHead): boolean {
  return line.sequence === head.first || isPutAside(head)
}

/** Whether the acknowledged line is one of `lines`, or the one before them in an older file. */
function includesAcknowledged(lines: readonly FoundLine[], { sequence, hash }: AuditLine): boolean {
  const [begin] = lines
  if (begin?.sequence === sequence + 1) return begin.previous === hash
  return lines.some((line) => line.sequence === sequence && line.hash === hash)
}

/**
 * Whether all lines of the group after `head` are there. A crash tears a head only while it is written, and the disk
 * has the whole group by then. If it has not, the head was destroyed on purpose, to withdraw what it had acknowledged.
 */
function hasGroupAfter(lines: readonly FoundLine[], head: AuditHead): boolean {
  const next = lines.find(({ sequence }) => sequence === head.sequence + 1)
  const last = lines.at(-1)
  return next !== undefined && last !== undefined && next.group <= last.sequence
}

/**
 * Whether a crash can have left `torn` after `last`: the beginning of a line, and zeros that the disk had not filled
 * yet.
 */
export function isTornLine(torn: Buffer, last: AuditLine): boolean {
  return isBeginningOfLine(torn.toString('latin1').replace(/\0+$/, ''), last)
}

interface FoundLine extends ReadLine {
  /** Its end in the file, with its line feed. */
  readonly end: number
}

function wholeLines(content: Buffer, trail: string, key: AuditKey): readonly FoundLine[] {
  const lines: FoundLine[] = []
  let begin = 0
  for (let end = content.indexOf(LINE_FEED); end !== -1; end = content.indexOf(LINE_FEED, begin)) {
    const line = readLine(content.toString('latin1', begin, end), lines.at(-1), key)
    if (line?.trail !== trail) break
    begin = end + 1
    lines.push({ ...line, end: begin })
  }
  return lines
}

const LINE_FEED = 0x0a
