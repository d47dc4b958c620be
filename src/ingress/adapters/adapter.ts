/** What the adapters of all frameworks do with a request: admit it, then look at its scopes. */

import { ownProperty } from '../../base/own-property.ts'
import { SCOPE_TOKEN } from '../../token/scopes.ts'
import type { ActiveRelay } from '../active-relay.ts'
import { activeRelay, recordAdapter } from '../active-relay.ts'
import type { Admission, AdmissionOptions, AdmissionRequest } from '../admitter.ts'

/** Which requests a middleware or hook admits. */
export interface Requirement {
  readonly mode: 'require' | 'optional'
  /** Scopes that all have to be there. */
  readonly scopes: readonly string[]
}

/**
 * What `authenticate` asks for.
 *
 * @throws TypeError if `mode` is another word: a misspelt one must not open the server.
 */
export function requirementOf(options: AdmissionOptions = {}): Requirement {
  const mode = ownProperty({ ...options }, 'mode') ?? 'require'
  if (mode !== 'require' && mode !== 'optional') throw new TypeError('mode: expected require or optional')
  recordAdapter()
  return { mode, scopes: [] }
}

/**
 * What `requireScope` asks for.
 *
 * @throws TypeError if there is no scope, or something that is none (RFC 6749 §3.3).
 */
export function requirementOfScopes(scopes: readonly string[]): Requirement {
  const valid = scopes.length > 0 && scopes.every((scope) => typeof scope === 'string' && SCOPE_TOKEN.test(scope))
  if (!valid) throw new TypeError('scopes: expected one or more scopes')
  recordAdapter()
  return { mode: 'require', scopes: [...scopes] }
}

/**
 * Decides by the token of this very request, never by the caller of the active context: a request may be made inside of
 * another one. What the gate or an adapter before has found out is not found out again.
 *
 * @throws Error if no relay is active.
 */
export function admit(request: AdmissionRequest, { mode, scopes }: Requirement): Admission | Promise<Admission> {
  const relay = activeRelay()
  return withScopes(relay.admit(request, { mode }), scopes, relay)
}

/**
 * The same for what is no request, by the caller of the active context, which the gate or an adapter must have set.
 *
 * @throws Error if no relay is active.
 */
export function admitActive({ mode, scopes }: Requirement): Admission | Promise<Admission> {
  const relay = activeRelay()
  return withScopes(relay.admitActive({ mode }), scopes, relay)
}

function withScopes(
  admission: Admission | Promise<Admission>,
  scopes: Requirement['scopes'],
  relay: ActiveRelay,
): Admission | Promise<Admission> {
  if (scopes.length === 0) return admission
  const check = (admitted: Admission): Admission =>
    admitted.admitted ? (relay.checkScopes(admitted.credential, scopes) ?? admitted) : admitted
  return admission instanceof Promise ? admission.then(check) : check(admission)
}
