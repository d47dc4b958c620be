/** The adapter for Express: `authenticate()` for an application or router, checks of scopes and roles for a route. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { NameOrAnyOf } from '../../token/requirements.ts'
import type { VerifiedCredential } from '../../token/verified-credential.ts'
import type { Admission, AdmissionOptions } from '../admitter.ts'
import { incomingOf } from '../http/incoming.ts'
import type { Requirement } from './adapter.ts'
import { admit, requirementOf, requirementOfRoles, requirementOfScopes } from './adapter.ts'

declare global {
  // The names are those of Express.
  namespace Express {
    interface Request {
      /** The caller, behind `authenticate()` or `requireScope()`. `undefined` if no caller is required. */
      credential?: VerifiedCredential | undefined
    }
  }
}

/** Structurally a `RequestHandler` of Express 5, without depending on a version of its types. */
export type ExpressMiddleware = (
  request: IncomingMessage & { credential?: VerifiedCredential | undefined },
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void | Promise<void>

/**
 * Lets a request pass that has a valid token, and sets `request.credential`. What comes after runs as the caller, body
 * listeners included. Others are answered 400, 401 or 503 (RFC 6750 §3), without running anything. It says nothing of
 * what the caller may do: see {@link requireScope}.
 *
 * Works with the gate in front, which has verified the token by then, and without. If no relay is active, Express
 * gets an error and no request passes.
 *
 * @throws TypeError if `mode` is none of `require`, `optional` and `report`.
 */
export function authenticate(options?: AdmissionOptions): ExpressMiddleware {
  return middlewareFor(requirementOf(options))
}

/**
 * Lets a caller pass whose token has all `scopes`, and one of those in `{ anyOf: […] }`; others are answered 403
 * with the scopes (RFC 6750 §3.1). Verifies the token as `authenticate()` does, unless that or the gate has done so.
 *
 * @throws TypeError if there is no scope, or something that is none.
 */
export function requireScope(...scopes: readonly NameOrAnyOf[]): ExpressMiddleware {
  return middlewareFor(requirementOfScopes(scopes))
}

/**
 * Lets a caller pass whose token has all `roles`, and one of those in `{ anyOf: […] }`; others are answered 403,
 * without the roles. Roles are in the claims that `roleClaims` of the issuer names. Verifies the token as
 * `authenticate()` does, unless that or the gate has done so.
 *
 * @throws TypeError if there is no role, or something that is none.
 */
export function requireRole(...roles: readonly NameOrAnyOf[]): ExpressMiddleware {
  return middlewareFor(requirementOfRoles(roles))
}

function middlewareFor(requirement: Requirement): ExpressMiddleware {
  return (request, response, next) => {
    const incoming = incomingOf('request', [request, response])
    const finish = (admission: Admission): void => {
      if (admission.admitted) {
        request.credential = admission.credential
        admission.run(next)
      } else if (!incoming.isGone()) incoming.answer(admission.answer)
    }
    const admission = admit(incoming, requirement)
    // Express looks after promises: what an application throws in `next` takes the same way, waited for or not.
    return admission instanceof Promise ? admission.then(finish) : finish(admission)
  }
}
