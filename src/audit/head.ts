/** The head of an audit trail: how far it has been acknowledged. It shows that a file has lost its end. */

import type { AuditKey, AuditLine } from './line.ts'
import { hashOf } from './line.ts'

/** Heads are written by turns into two places, so that one that was torn by a crash leaves the one before it. */
export const HEAD_BYTES = 256

/** What is written into one of the two places. */
export function encodeHead(line: AuditLine, key: AuditKey): string {
  const body = `${line.sequence} ${line.hash}`
  return `${`${body} ${hashOf(`head ${body}`, key)}`.padEnd(HEAD_BYTES - 1)}\n`
}

/** The newest head in the file `text`; `undefined` where there is none that is whole. */
export function readHead(text: string, key: AuditKey): AuditLine | undefined {
  const heads = [0, HEAD_BYTES]
    .map((at) => readOne(text.slice(at, at + HEAD_BYTES).trim(), key))
    .filter((head) => head !== undefined)
  return heads.toSorted((a, b) => b.sequence - a.sequence)[0]
}

function readOne(text: string, key: AuditKey): AuditLine | undefined {
  const [sequence = '', hash = '', proof] = text.split(' ')
  const isWhole = /^\d{1,15}$/.test(sequence) && proof === hashOf(`head ${sequence} ${hash}`, key)
  return isWhole ? { sequence: Number(sequence), hash } : undefined
}
