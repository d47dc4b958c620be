/** Reads and cleans the `authorization` entry of carriers that applications own and reuse. */

import { createObjectMetadata } from '../base/object-metadata.ts'

/** The one field that this package reads and writes. */
export const AUTHORIZATION = 'authorization'

/** What we wrote into a carrier, by carrier: applications send the same message or metadata object again. */
const written = createObjectMetadata<string | undefined>()

/** A carrier with entries instead of properties: a `Map`, or `Headers`. */
interface Entries {
  entries(): Iterable<readonly [unknown, unknown]>
  delete(name: unknown): unknown
}

/** Metadata of gRPC: lists of values behind methods, names in lower case. */
interface Metadata {
  get(name: string): readonly unknown[]
  remove(name: string): void
}

export function isCarrier(carrier: unknown): carrier is object {
  return typeof carrier === 'object' && carrier !== null
}

/** Whether the carrier holds a credential that the application put there itself. */
export function hasOwnCredential(carrier: object): boolean {
  return credentials(carrier).some(([, value]) => value !== undefined && textOf(value) !== written.get(carrier))
}

/** Carriers that have passed through `inject` of this package. */
const seen = createObjectMetadata<true>()

export function markSeen(carrier: object): void {
  seen.set(carrier, true)
}

export function isSeen(carrier: object): boolean {
  return seen.get(carrier) === true
}

export function rememberWritten(carrier: object, value: string): void {
  written.set(carrier, value)
}

/**
 * Removes what an earlier call wrote, so that yesterday's token does not leave with today's message. In a message that
 * was `copied` from another one the other's token is stale, too: it was sealed for that.
 */
export function removeStale(carrier: object, copied: boolean): void {
  const ours = written.get(carrier)
  if (ours === undefined && !copied) return
  if (ours !== undefined) written.set(carrier, undefined)
  for (const [name, value] of credentials(carrier)) {
    const text = textOf(value)
    if (text !== ours && !(copied && isSealed(text))) continue
    if (hasEntries(carrier)) carrier.delete(name)
    else if (isMetadata(carrier)) carrier.remove(name)
    else Reflect.deleteProperty(carrier, name)
  }
}

/** Whether `field` has the scheme of sealed tokens. */
export function isSealed(field: unknown): field is string {
  return typeof field === 'string' && /^sealed\b/i.test(field)
}

function credentials(carrier: object): (readonly [string, unknown])[] {
  if (isMetadata(carrier)) return carrier.get(AUTHORIZATION).map((value) => [AUTHORIZATION, value] as const)
  const entries = hasEntries(carrier) ? [...carrier.entries()] : Object.entries(carrier)
  return entries
    .map(([name, value]) => [String(name), value] as const)
    .filter(([name]) => name.toLowerCase() === AUTHORIZATION)
}

function hasEntries(carrier: object): carrier is Entries {
  const { entries, delete: remove } = carrier as Partial<Entries>
  return typeof entries === 'function' && typeof remove === 'function'
}

/** By its shape: every copy of grpc-js has another class. */
export function isMetadata(carrier: object): carrier is Metadata {
  // Only gRPC metadata has `getMap`, so other carriers are not read further.
  if (typeof (carrier as { getMap?: unknown }).getMap !== 'function') return false
  const { get, remove } = carrier as Partial<Metadata>
  return typeof get === 'function' && typeof remove === 'function'
}

/** Setters wrap what they are given: Kafka clients in bytes, SQS in an attribute. */
export function textOf(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString()
  return isCarrier(value) && 'StringValue' in value ? value.StringValue : value
}
