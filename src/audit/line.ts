/** The lines of an audit trail, each bound to the one before it by a hash, and the head that says how far they go. */

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { ownProperty } from '../base/own-property.ts'

/** The record of one decision. It has no place for a token, a claim or a header value. */
export interface AuditRecord {
  /** Milliseconds since the epoch. */
  readonly timeMillis: number
  /** Name of the event: `auth.token.verified`. */
  readonly event: string
  /** Trace id of the span that the event is recorded on, if there is one. */
  readonly traceId: string | undefined
  readonly spanId: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
}

/** A line as its writer has written it. */
export interface AuditLine {
  /** From 1, without gaps, across all files of a trail. */
  readonly sequence: number
  readonly hash: string
}

/** A line as it was read from a file. */
export interface ReadLine extends AuditLine {
  /** Hash of the previous line. */
  readonly previous: string
  /** Id of its trail. */
  readonly trail: string
  /** Sequence of the last line of its group, which was written at once. */
  readonly group: number
}

/** Comes before the first line. */
export const GENESIS: AuditLine = { sequence: 0, hash: '0'.repeat(64) }

/** Key of the hashes. Without one, an attacker who can write the file can write another whole trail. */
export type AuditKey = Buffer | undefined

/** What the lines of one group share. */
export interface LineGroup {
  readonly trail: string
  /** Sequence of its last line, which shows whether lines of the group are missing. */
  readonly end: number
}

/** Longest line that is read: events are short. */
export const MAX_LINE_BYTES = 65_536

/** Encodes the line of `record` after `previous`, with its line feed. */
export function encodeLine(
  record: AuditRecord,
  previous: AuditLine,
  { trail, end }: LineGroup,
  key: AuditKey,
): { text: string; line: AuditLine } {
  const { timeMillis, event, traceId, spanId, attributes } = record
  const sequence = previous.sequence + 1
  const json = JSON.stringify({
    sequence,
    time: new Date(timeMillis).toISOString(),
    event,
    ...(traceId === undefined ? {} : { traceId, spanId }),
    attributes,
    trail,
    group: end,
    previous: previous.hash,
  })
  // Escaped, so that terminals and readers of lines see no control characters.
  const body = json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const hash = hashOf(body, key)
  // The hash comes last, since it is of everything before it.
  return { text: `${body.slice(0, -1)},"hash":"${hash}"}\n`, line: { sequence, hash } }
}

const LINE = /^[ -~]*,"hash":"([\da-f]{64})"\}$/

/**
 * Reads a line, given without its line feed. Returns `undefined` if a byte of it was changed, or it does not follow
 * `before`; if `before` is `undefined`, it may follow any line.
 */
export function readLine(text: string, before: AuditLine | undefined, key: AuditKey): ReadLine | undefined {
  const hash = LINE.exec(text)?.[1]
  if (hash === undefined) return undefined
  const body = `${text.slice(0, -HASH_LENGTH)}}`
  if (!timingSafeEqual(Buffer.from(hash), Buffer.from(hashOf(body, key)))) return undefined
  const line = lineOf(parse(body), hash)
  if (line === undefined) return undefined
  const follows = before === undefined || (line.sequence === before.sequence + 1 && line.previous === before.hash)
  return follows ? line : undefined
}

function lineOf(record: Readonly<Record<string, unknown>>, hash: string): ReadLine | undefined {
  const [sequence, previous, trail, group] = ['sequence', 'previous', 'trail', 'group'].map((name) =>
    ownProperty(record, name),
  )
  if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(group)) return undefined
  if (typeof previous !== 'string' || typeof trail !== 'string') return undefined
  return { sequence: sequence as number, hash, previous, trail, group: group as number }
}

/** How every line continues after its sequence: 0 stands for any digit. */
const BEGINNING = ',"time":"0000-00-00T00:00:00.000Z","event":"'

/** Whether `text` is what a crash can leave of the line after `previous`: its beginning, without a line feed. */
export function isBeginningOfLine(text: string, previous: AuditLine): boolean {
  const number = `{"sequence":${previous.sequence + 1}`
  const rest = text.slice(number.length, number.length + BEGINNING.length).replace(/\d/g, '0')
  const isBegun = number.startsWith(text) || (text.startsWith(number) && BEGINNING.startsWith(rest))
  return isBegun && text.length < MAX_LINE_BYTES && /^[ -~]*$/.test(text)
}

const HASH_LENGTH = ',"hash":""}'.length + 64

function parse(body: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(body) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}

function hashOf(text: string, key: AuditKey): string {
  return (key === undefined ? createHash('sha256') : createHmac('sha256', key)).update(text).digest('hex')
}

/** Shows whether a file has lost its end or its beginning, or was replaced by one of another trail. */
export interface AuditHead extends AuditLine {
  /** Id of the trail, which is random. */
  readonly trail: string
  /** Sequence of the first line of the newest file, which may not be written yet. */
  readonly first: number
}

/** Creates the head of a trail that has no line yet. */
export function newTrail(): AuditHead {
  return { ...GENESIS, trail: randomBytes(12).toString('hex'), first: 1 }
}

/** A head is written to one of two places in turn, so that if it is torn the one before it is still there. */
export const HEAD_BYTES = 256
export type HeadPlace = 0 | 1

/** Encodes a head for one of the two places. In the other place it is not valid. */
export function encodeHead({ trail, sequence, hash, first }: AuditHead, place: HeadPlace, key: AuditKey): string {
  const body = `${trail} ${sequence} ${hash} ${first}`
  return `${`${body} ${proofOf(body, place, key)}`.padEnd(HEAD_BYTES - 1)}\n`
}

/** Encodes a whole file with `head` in both places, so that it holds no older head. */
export function encodeHeads(head: AuditHead, key: AuditKey): string {
  return encodeHead(head, 0, key) + encodeHead(head, 1, key)
}

export interface ReadHeads {
  readonly newest: AuditHead
  /** The place that cannot be read, if there is one. */
  readonly torn: HeadPlace | undefined
}

/** Reads the file of heads; returns `undefined` if neither can be read, or they are of two trails. */
export function readHeads(text: string, key: AuditKey): ReadHeads | undefined {
  const [a, b] = [readHead(text, 0, key), readHead(text, 1, key)]
  if (a === undefined || b === undefined) {
    const newest = a ?? b
    return newest === undefined ? undefined : { newest, torn: a === undefined ? 0 : 1 }
  }
  if (a.trail !== b.trail) return undefined
  const isNewer = b.sequence - a.sequence || b.first - a.first
  return { newest: isNewer > 0 ? b : a, torn: undefined }
}

/** Whether the newest file was put aside, or was about to be when its writer crashed. */
export function isPutAside(head: AuditHead): boolean {
  return head.first === head.sequence + 1
}

function readHead(text: string, place: HeadPlace, key: AuditKey): AuditHead | undefined {
  const [trail = '', sequence = '', hash = '', first = '', proof] = text
    .slice(place * HEAD_BYTES, (place + 1) * HEAD_BYTES)
    .trim()
    .split(' ')
  const isWhole =
    /^\d{1,15}$/.test(sequence) &&
    /^\d{1,15}$/.test(first) &&
    proof === proofOf(`${trail} ${sequence} ${hash} ${first}`, place, key)
  return isWhole ? { trail, sequence: Number(sequence), hash, first: Number(first) } : undefined
}

function proofOf(body: string, place: HeadPlace, key: AuditKey): string {
  return hashOf(`head ${place} ${body}`, key)
}
