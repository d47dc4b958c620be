/** What the adapters of all frameworks do with a request: admit it, then look at its scopes and roles. */

import { ownProperty } from '../../base/own-property.ts'
import type { NameOrAnyOf } from '../../token/requirements.ts'
import { copyRequired } from '../../token/requirements.ts'
import { isRole } from '../../token/roles.ts'
import { SCOPE_TOKEN } from '../../token/scopes.ts'
import type { ActiveRelay } from '../active-relay.ts'
import { activeRelay, recordAdapter } from '../active-relay.ts'
import type { Admission, AdmissionMode, AdmissionOptions, AdmissionRequest } from '../admitter.ts'

/** Which requests a middleware or hook admits. */
export interface Requirement {
  /** `undefined`: the default of the relay. */
  readonly mode: AdmissionMode | undefined
  /** What its scopes have to meet, all of it. */
  readonly scopes: readonly NameOrAnyOf[]
  /** What its roles have to meet, all of it. */
  readonly roles: readonly NameOrAnyOf[]
}

const MODES: readonly AdmissionMode[] = ['require', 'optional', 'report']

/**
 * What `authenticate` asks for.
 *
 * @throws TypeError if `mode` is another word: a misspelt one must not open the server.
 */
export function requirementOf(options: AdmissionOptions = {}): Requirement {
  const mode = ownProperty({ ...options }, 'mode') as AdmissionMode | undefined
  if (mode !== undefined && !MODES.includes(mode)) throw new TypeError('mode: expected require, optional or report')
  recordAdapter()
  return { mode, scopes: [], roles: [] }
}

/**
 * What `requireScope` asks for.
 *
 * @throws TypeError if there is no scope, or something that is none (RFC 6749 §3.3).
 */
export function requirementOfScopes(scopes: readonly NameOrAnyOf[]): Requirement {
  const copies = copyRequired(scopes, isScope)
  if (copies === undefined) throw new TypeError('scopes: expected one or more scopes')
  recordAdapter()
  return { mode: 'require', scopes: copies, roles: [] }
}

/**
 * What `requireRole` asks for.
 *
 * @throws TypeError if there is no role, or something that is none.
 */
export function requirementOfRoles(roles: readonly NameOrAnyOf[]): Requirement {
  const copies = copyRequired(roles, isRole)
  if (copies === undefined) throw new TypeError('roles: expected one or more roles')
  recordAdapter()
  return { mode: 'require', scopes: [], roles: copies }
}

function isScope(scope: unknown): boolean {
  return typeof scope === 'string' && SCOPE_TOKEN.test(scope)
}

/**
 * Decides by the token of this very request, never by the caller of the active context: a request may be made inside of
 * another one. What the gate or an adapter before has found out is not found out again.
 *
 * @throws Error if no relay is active.
 */
export function admit(request: AdmissionRequest, requirement: Requirement): Admission | Promise<Admission> {
  const relay = activeRelay()
  return checkPrivileges(relay.admit(request, { mode: requirement.mode }), requirement, relay)
}

/**
 * The same for what is no request, by the caller of the active context, which the gate or an adapter must have set.
 *
 * @throws Error if no relay is active.
 */
export function admitActive(requirement: Requirement): Admission | Promise<Admission> {
  const relay = activeRelay()
  return checkPrivileges(relay.admitActive({ mode: requirement.mode }), requirement, relay)
}

function checkPrivileges(
  admission: Admission | Promise<Admission>,
  { scopes, roles }: Requirement,
  relay: ActiveRelay,
): Admission | Promise<Admission> {
  if (scopes.length === 0 && roles.length === 0) return admission
  const check = (admitted: Admission): Admission => {
    if (!admitted.admitted) return admitted
    const { credential } = admitted
    const lacksScope = scopes.length === 0 ? undefined : relay.checkScopes(credential, scopes)
    return lacksScope ?? (roles.length === 0 ? undefined : relay.checkRoles(credential, roles)) ?? admitted
  }
  return admission instanceof Promise ? admission.then(check) : check(admission)
}
