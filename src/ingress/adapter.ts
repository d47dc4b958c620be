/** What the adapters of all frameworks do with a request: admit it, then look at its scopes. */

import { own } from '../token/own.ts'
import { activeRelay } from './active-relay.ts'
import type { Admission, AdmissionOptions, AdmissionRequest } from './admission.ts'

/** Whom a middleware or hook lets pass. */
export interface Requirement {
  readonly mode: 'require' | 'optional'
  /** Scopes that all have to be there. */
  readonly scopes: readonly string[]
}

// RFC 6749 §3.3. It also keeps them within the character set of a challenge (RFC 6750 §3).
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/**
 * What `authenticate` asks for.
 *
 * @throws TypeError where `mode` is another word: a misspelt one must not let anybody in.
 */
export function requirementOf(options: AdmissionOptions = {}): Requirement {
  const mode = own({ ...options }, 'mode') ?? 'require'
  if (mode !== 'require' && mode !== 'optional') throw new TypeError('mode: expected require or optional')
  return { mode, scopes: [] }
}

/**
 * What `requireScope` asks for.
 *
 * @throws TypeError where there is no scope, or something that is none (RFC 6749 §3.3).
 */
export function requirementOfScopes(scopes: readonly string[]): Requirement {
  const valid = scopes.length > 0 && scopes.every((scope) => typeof scope === 'string' && SCOPE.test(scope))
  if (!valid) throw new TypeError('scopes: expected one or more scopes')
  return { mode: 'require', scopes: [...scopes] }
}

/**
 * Decides by the token of this very request, never by whoever is calling in the active context: a request may be made
 * inside of another one. What the gate or an adapter before has found out is not found out again.
 *
 * @throws Error where no relay is active.
 */
export function admit(request: AdmissionRequest, { mode, scopes }: Requirement): Admission | Promise<Admission> {
  const relay = activeRelay()
  const admission = relay.admit(request, { mode })
  if (scopes.length === 0) return admission
  const check = (admitted: Admission): Admission =>
    admitted.admitted ? (relay.checkScopes(admitted.credential, scopes) ?? admitted) : admitted
  return admission instanceof Promise ? admission.then(check) : check(admission)
}
