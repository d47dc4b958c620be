/** One line of an audit trail: a record, bound to the one before it by a hash. */

import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { own } from '../token/own.ts'

/** What is told of one decision. Nothing in it can hold a token, a claim or a header value. */
export interface AuditRecord {
  /** Milliseconds since the epoch. */
  readonly timeMillis: number
  /** Name of the event: `auth.token.verified`. */
  readonly event: string
  /** Of the span that the event is told on, where there is one. */
  readonly traceId: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
}

/** A line that has been read, and is what its writer has written. */
export interface AuditLine {
  /** From 1, without gaps, across all files of a trail. */
  readonly sequence: number
  readonly hash: string
}

/** Where a trail begins. */
export const GENESIS: AuditLine = { sequence: 0, hash: '0'.repeat(64) }

/** What lines are bound with. Without a key whoever can write the file can write another whole trail. */
export type AuditKey = Buffer | undefined

/** Longest line: events are short. What is longer is no line of ours. */
export const MAX_LINE_BYTES = 65_536

/** The line for `record` behind `previous`, its line feed included. */
export function encodeLine(record: AuditRecord, previous: AuditLine, key: AuditKey): { text: string; line: AuditLine } {
  const { timeMillis, event, traceId, attributes } = record
  const sequence = previous.sequence + 1
  const body = JSON.stringify({
    sequence,
    time: new Date(timeMillis).toISOString(),
    event,
    ...(traceId === undefined ? {} : { traceId }),
    attributes,
    previous: previous.hash,
  })
  const hash = hashOf(body, key)
  // The hash stands last, so that what it is of is everything before it.
  return { text: `${body.slice(0, -1)},"hash":"${hash}"}\n`, line: { sequence, hash } }
}

const HASH_MEMBER = /,"hash":"([\da-f]{64})"\}$/

/**
 * The line that `text` is, without its line feed, where it follows `previous`; of `undefined` it may follow whatever it
 * says. `undefined` where a byte of it was changed, or it is in another place than it was written for.
 */
export function readLine(text: string, previous: AuditLine | undefined, key: AuditKey): AuditLine | undefined {
  const hash = HASH_MEMBER.exec(text)?.[1]
  if (hash === undefined) return undefined
  const body = `${text.slice(0, -HASH_LENGTH)}}`
  if (!timingSafeEqual(Buffer.from(hash), Buffer.from(hashOf(body, key)))) return undefined
  const record = parse(body)
  const sequence = own(record, 'sequence')
  if (!Number.isSafeInteger(sequence)) return undefined
  const follows =
    previous === undefined || (sequence === previous.sequence + 1 && own(record, 'previous') === previous.hash)
  return follows ? { sequence: sequence as number, hash } : undefined
}

const HASH_LENGTH = ',"hash":""}'.length + 64

function parse(body: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(body) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}

export function hashOf(text: string, key: AuditKey): string {
  return (key === undefined ? createHash('sha256') : createHmac('sha256', key)).update(text).digest('hex')
}
