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
  readonly spanId: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
}

/** A line that has been read, and is what its writer has written. */
export interface AuditLine {
  /** From 1, without gaps, across all files of a trail. */
  readonly sequence: number
  readonly hash: string
}

/** The same, as it stands in a file. */
export interface ReadLine extends AuditLine {
  /** Hash of the line before it. */
  readonly previous: string
}

/** Where a trail begins. */
export const GENESIS: AuditLine = { sequence: 0, hash: '0'.repeat(64) }

/** What lines are bound with. Without a key whoever can write the file can write another whole trail. */
export type AuditKey = Buffer | undefined

/** Longest line: events are short. What is longer is no line of ours. */
export const MAX_LINE_BYTES = 65_536

/** The line for `record` behind `previous`, its line feed included. */
export function encodeLine(record: AuditRecord, previous: AuditLine, key: AuditKey): { text: string; line: AuditLine } {
  const { timeMillis, event, traceId, spanId, attributes } = record
  const sequence = previous.sequence + 1
  const json = JSON.stringify({
    sequence,
    time: new Date(timeMillis).toISOString(),
    event,
    ...(traceId === undefined ? {} : { traceId, spanId }),
    attributes,
    previous: previous.hash,
  })
  // Nothing that a terminal, or a reader of lines, takes for something else.
  const body = json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const hash = hashOf(body, key)
  // The hash stands last, so that what it is of is everything before it.
  return { text: `${body.slice(0, -1)},"hash":"${hash}"}\n`, line: { sequence, hash } }
}

const LINE = /^[ -~]*,"hash":"([\da-f]{64})"\}$/

/**
 * The line that `text` is, without its line feed, where it follows `before`; of `undefined` it may follow whatever it
 * says. `undefined` where a byte of it was changed, or it is in another place than it was written for.
 */
export function readLine(text: string, before: AuditLine | undefined, key: AuditKey): ReadLine | undefined {
  const hash = LINE.exec(text)?.[1]
  if (hash === undefined) return undefined
  const body = `${text.slice(0, -HASH_LENGTH)}}`
  if (!timingSafeEqual(Buffer.from(hash), Buffer.from(hashOf(body, key)))) return undefined
  const record = parse(body)
  const [sequence, previous] = [own(record, 'sequence'), own(record, 'previous')]
  if (!Number.isSafeInteger(sequence) || typeof previous !== 'string') return undefined
  const follows = before === undefined || (sequence === before.sequence + 1 && previous === before.hash)
  return follows ? { sequence: sequence as number, hash, previous } : undefined
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
