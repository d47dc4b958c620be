/** The chain of actors in a token (RFC 8693 §4.1): who works for its subject, and who for them. */

import { own } from './own.ts'

/** Longest chain that is believed to be one. */
export const MAX_ACTORS = 16
const MAX_NAME_LENGTH = 64

/**
 * The names of the actors in `claims`, the current one first, as `tell` puts them; bounded, and fit for one line of text.
 * An actor without a name is `unknown`.
 */
export function actorsIn(claims: Readonly<Record<string, unknown>>, tell: (name: string) => string): readonly string[] {
  const names: string[] = []
  for (let actor = own(claims, 'act'); isObject(actor) && names.length < MAX_ACTORS; actor = own(actor, 'act')) {
    const name = own(actor, 'sub')
    names.push(typeof name === 'string' && name !== '' ? printable(tell(name)) : 'unknown')
  }
  return names
}

function printable(name: string): string {
  return name.slice(0, MAX_NAME_LENGTH).replaceAll(/[^\x20-\x7e]/g, '?')
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
