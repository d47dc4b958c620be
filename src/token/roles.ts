/** Roles: where a token has them, and which it has. */

import { ownProperty } from '../base/own-property.ts'

/** Names of members, from the claims inwards: `['realm_access', 'roles']`. */
export type ClaimPath = readonly string[]

/** A path with dots between its names. A name that is a URL, as custom claims of Auth0 have it, has dots itself. */
export const CLAIM_PATH = /^(?:.*:\/\/.*|[^.]+(?:\.[^.]+)*)$/

export function parseClaimPath(text: string): ClaimPath {
  return text.includes('://') ? [text] : text.split('.')
}

export function isRole(role: unknown): boolean {
  return typeof role === 'string' && role !== ''
}

/** Returns the roles at `paths`, without duplicates. A role may have spaces, so a text is one role. */
export function readRoles(claims: Readonly<Record<string, unknown>>, paths: readonly ClaimPath[]): string[] {
  return [...new Set(paths.flatMap((path) => rolesAt(claims, path)))]
}

/** Anything but a role, or a list of roles, means no role at all: the issuer did not mean what is read here. */
function rolesAt(claims: Readonly<Record<string, unknown>>, path: ClaimPath): readonly string[] {
  const value = path.reduce<unknown>(memberOf, claims)
  const roles: readonly unknown[] = Array.isArray(value) ? value : [value]
  return roles.every(isRole) ? (roles as readonly string[]) : []
}

function memberOf(owner: unknown, name: string): unknown {
  const isOwner = typeof owner === 'object' && owner !== null && !Array.isArray(owner)
  return isOwner ? ownProperty(owner as Record<string, unknown>, name) : undefined
}
