/** Option schemas that several parts of the client share: header fields, time-outs, functions. */

import * as v from 'valibot'
import { isObject } from '../base/own-property.ts'
import { integer } from '../base/schema.ts'

/** Header fields by name. */
export type HeaderFields = Readonly<Record<string, string>>

const NAME = /^[!#$%&'*+.^_`|~\w-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
/**
 * These fields describe the connection or the body, so the application may not set them (RFC 9110 §7.6.1, RFC 9112 §6).
 */
const RESERVED: readonly string[] = [
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

const FIELDS = 'expected header fields, none of which describes the connection'

/** The problem quotes neither names nor values: either may be a token in the wrong place. */
export const headersSchema = v.pipe(
  v.custom<HeaderFields>((value) => isObject(value) && !Array.isArray(value), FIELDS),
  v.check((headers) => Object.entries(headers).every(isField), FIELDS),
)

function isField([name, value]: readonly [string, unknown]): boolean {
  return NAME.test(name) && !RESERVED.includes(name.toLowerCase()) && typeof value === 'string' && VALUE.test(value)
}

const MILLIS = 'expected 1 to 2147483647 whole milliseconds'

/** A time that `setTimeout` can wait for: it would fire at once for a longer one. */
export const timeoutMillis = integer(MILLIS, 1, 2_147_483_647)

/** A function of type `T`; its parameters are not checked. */
export const aFunction = <T>() => v.custom<T>((value) => typeof value === 'function', 'expected a function')
