/** The head of an audit trail: how far it has been acknowledged, and where its newest file begins. */

import type { AuditKey, AuditLine } from './line.ts'
import { GENESIS, hashOf } from './line.ts'

/** It shows that a file has lost its end, or its beginning. */
export interface AuditHead extends AuditLine {
  /** Sequence of the first line of the newest file, whether it is there already or not. */
  readonly first: number
}

/** The head of a trail that has no line yet. */
export const FIRST_HEAD: AuditHead = { ...GENESIS, first: 1 }

/** Heads are written by turns into two places, so that one that was torn by a crash leaves the one before it. */
export const HEAD_BYTES = 256

/** What is written into one of the two places. */
export function encodeHead({ sequence, hash, first }: AuditHead, key: AuditKey): string {
  const body = `${sequence} ${hash} ${first}`
  return `${`${body} ${hashOf(`head ${body}`, key)}`.padEnd(HEAD_BYTES - 1)}\n`
}

/** The newest head in the file `text`, and which place has it; `undefined` where there is none that is whole. */
export function readHead(text: string, key: AuditKey): (AuditHead & { readonly place: number }) | undefined {
  const heads = [0, 1].flatMap((place) => {
    const head = readOne(text.slice(place * HEAD_BYTES, (place + 1) * HEAD_BYTES).trim(), key)
    return head === undefined ? [] : [{ ...head, place }]
  })
  return heads.toSorted((a, b) => b.sequence - a.sequence || b.first - a.first)[0]
}

function readOne(text: string, key: AuditKey): AuditHead | undefined {
  const [sequence = '', hash = '', first = '', proof] = text.split(' ')
  const isWhole =
    /^\d{1,15}$/.test(sequence) &&
    /^\d{1,15}$/.test(first) &&
    proof === hashOf(`head ${sequence} ${hash} ${first}`, key)
  return isWhole ? { sequence: Number(sequence), hash, first: Number(first) } : undefined
}
