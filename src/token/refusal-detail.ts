/** Why a token was refused, for the operator only: kept beside the error, which the application and clients may see. */

import { createObjectMetadata } from '../base/object-metadata.ts'

/** Holds configured values and kinds of what was found, and no value of a token. */
export interface RefusalDetail {
  /** Such as `typ is "JWT"`. */
  readonly found: string
  /** What the configuration says to it, such as `issuers[0].typ accepts "at+jwt"`. */
  readonly expected?: string | undefined
  /** What differs from one token to the next, such as `12 s ago`. */
  readonly note?: string | undefined
  /** The accepted issuer that the token names. Nothing proves yet that the token is of that issuer. */
  readonly issuer?: string | undefined
}

const details = createObjectMetadata<RefusalDetail>()

/** Returns `error`, of which {@link detailOf} knows `detail` from now on. */
export function withDetail<E extends object>(error: E, detail: RefusalDetail | undefined): E {
  if (detail !== undefined) details.set(error, detail)
  return error
}

export function detailOf(error: object): RefusalDetail | undefined {
  return details.get(error)
}

/** `found, expected (note)` on one line. */
export function textOf({ found, expected, note }: RefusalDetail): string {
  return `${found}${expected === undefined ? '' : `, ${expected}`}${note === undefined ? '' : ` (${note})`}`
}

/** More would make a line that is not read. */
const MAX_QUOTED = 5

/** Configured values, in quotes. */
export function quote(values: readonly string[]): string {
  const shown = values.slice(0, MAX_QUOTED).map((value) => `"${value}"`)
  const more = values.length - shown.length
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(', ')
}
