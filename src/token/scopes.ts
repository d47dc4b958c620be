/** Scopes: their syntax (RFC 6749 §3.3), how a token lists them, and which of them a token lacks. */

import { ownProperty } from '../base/own-property.ts'

/** One scope token. Its characters may stand in a challenge (RFC 6750 §3) and in a log. */
export const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** Returns the scopes of `required` that the token does not have. */
export function missingScopes(
  credential: { readonly scopes: readonly string[] },
  required: readonly string[],
): readonly string[] {
  return required.filter((scope) => !credential.scopes.includes(scope))
}

/** Returns the scopes that the claims called `names` list, as lists or separated by spaces, without duplicates. */
export function readScopes(claims: Readonly<Record<string, unknown>>, names: readonly string[]): string[] {
  const members = names.flatMap((name) => {
    const value = ownProperty(claims, name)
    return typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? (value as unknown[]) : []
  })
  return [...new Set(members.filter((member) => typeof member === 'string' && member !== ''))] as string[]
}
