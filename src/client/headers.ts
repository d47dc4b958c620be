/** Header fields that an application adds to its calls. */

import * as z from 'zod'

/** Header fields by their names. */
export type HeaderFields = Readonly<Record<string, string>>

const NAME = /^[!#$%&'*+.^_`|~\w-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
/** These describe the connection or the body, and are not the application's to set (RFC 9110 §7.6.1, RFC 9112 §6). */
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

const PROBLEM = 'expected header fields, none of which describes the connection'

/** Neither names nor values are repeated in what is said about them: either may be a token that stands in the wrong place. */
export const headersSchema = z
  .custom<HeaderFields>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), PROBLEM)
  .refine((headers) => Object.entries(headers).every(isField), PROBLEM)

function isField([name, value]: readonly [string, unknown]): boolean {
  return NAME.test(name) && !RESERVED.includes(name.toLowerCase()) && typeof value === 'string' && VALUE.test(value)
}
