/** Reads the chain of actors of a token (RFC 8693 §4.1): the services that act for its subject. */

import { isObject, ownProperty } from '../base/own-property.ts'

/** Longest chain that is read; further actors are ignored. */
export const MAX_ACTORS = 16
const MAX_NAME_LENGTH = 64

/**
 * Returns the names of the actors in `claims` as `format` writes them, the current actor first. Names are bounded and
 * printable. An actor without a name is `unknown`.
 */
export function readActors(
  claims: Readonly<Record<string, unknown>>,
  format: (name: string) => string,
): readonly string[] {
  const names: string[] = []
  for (
    let actor = ownProperty(claims, 'act');
    isObject(actor) && names.length < MAX_ACTORS;
    actor = ownProperty(actor, 'act')
  ) {
    const name = ownProperty(actor, 'sub')
    names.push(typeof name === 'string' && name !== '' ? toPrintable(format(name)) : 'unknown')
  }
  return names
}

function toPrintable(name: string): string {
  return name.slice(0, MAX_NAME_LENGTH).replaceAll(/[^\x20-\x7e]/g, '?')
}
