/** The adapter for Koa: `authenticate()` for an application or router, and checks of scopes and roles for a route. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { context } from '@opentelemetry/api'
import type {} from 'koa'
import type { NameOrAnyOf } from '../../token/requirements.ts'
import type { VerifiedCredential } from '../../token/verified-credential.ts'
import type { AdmissionOptions } from '../admitter.ts'
import { bindBody } from '../http/bound-body.ts'
import { fieldsOf, incomingOf } from '../http/incoming.ts'
import type { Requirement } from './adapter.ts'
import { admit, requirementOf, requirementOfRoles, requirementOfScopes } from './adapter.ts'

declare module 'koa' {
  interface DefaultState {
    /** The caller, behind `authenticate()` or `requireScope()`. `undefined` if no caller is required. */
    credential?: VerifiedCredential | undefined
  }
}

/** What is used of a `Context` of Koa. */
export interface KoaContext {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly state: { credential?: VerifiedCredential | undefined }
  status: number
  body: unknown
  set(fields: Record<string, string>): void
}

/** Structurally a `Middleware` of Koa 3, without depending on a version of its types. */
export type KoaMiddleware = (ctx: KoaContext, next: () => Promise<unknown>) => Promise<void>

/**
 * Lets a request pass that has a valid token, and sets `ctx.state.credential`. What comes after runs as the caller,
 * body listeners and streams in `ctx.body` included. Others are answered 400, 401 or 503 (RFC 6750 §3), without running
 * anything. It says nothing of what the caller may do: see {@link requireScope}.
 *
 * Works with the gate in front, which has verified the token by then, and without. If no relay is active, Koa gets an
 * error and no request passes.
 *
 * @throws TypeError if `mode` is none of `require`, `optional` and `report`.
 */
export function authenticate(options?: AdmissionOptions): KoaMiddleware {
  return middlewareFor(requirementOf(options))
}

/**
 * Lets a caller pass whose token has all `scopes`, and one of those in `{ anyOf: […] }`; others are answered 403
 * with the scopes (RFC 6750 §3.1). Verifies the token as `authenticate()` does, unless that or the gate has done so.
 *
 * @throws TypeError if there is no scope, or something that is none.
 */
export function requireScope(...scopes: readonly NameOrAnyOf[]): KoaMiddleware {
  return middlewareFor(requirementOfScopes(scopes))
}

/**
 * Lets a caller pass whose token has all `roles`, and one of those in `{ anyOf: […] }`; others are answered 403,
 * without the roles. Roles are in the claims that `roleClaims` of the issuer names. Verifies the token as
 * `authenticate()` does, unless that or the gate has done so.
 *
 * @throws TypeError if there is no role, or something that is none.
 */
export function requireRole(...roles: readonly NameOrAnyOf[]): KoaMiddleware {
  return middlewareFor(requirementOfRoles(roles))
}

function middlewareFor(requirement: Requirement): KoaMiddleware {
  return async (ctx, next) => {
    const admission = await admit(incomingOf('request', [ctx.req, ctx.res]), requirement)
    if (!admission.admitted) {
      ctx.status = admission.answer.status
      ctx.body = admission.answer.body
      ctx.set(fieldsOf(admission.answer, ctx.req.headers))
      return
    }
    ctx.state.credential = admission.credential
    await admission.run(async () => {
      await next()
      // Koa reads it when all middleware has returned, outside of the caller's context.
      const body = bindBody(context.active(), ctx.body)
      if (body !== ctx.body) ctx.body = body
    })
  }
}
