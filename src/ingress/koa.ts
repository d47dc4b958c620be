/** The adapter for Koa: `authenticate()` for an application or router, `requireScope()` for a route. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { context } from '@opentelemetry/api'
import type {} from 'koa'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Requirement } from './adapter.ts'
import { admit, requirementOf, requirementOfScopes } from './adapter.ts'
import type { AdmissionOptions } from './admission.ts'
import { bindBody } from './bound-body.ts'
import { fieldsOf, incomingOf } from './incoming.ts'

declare module 'koa' {
  interface DefaultState {
    /** The caller, behind `authenticate()` or `requireScope()`. `undefined` where nobody has to be authenticated. */
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
 * Lets a request pass that has a valid token, and sets `ctx.state.credential`. What comes after runs as the caller, body
 * listeners and streams in `ctx.body` included. Others are answered 400, 401 or 503 (RFC 6750 §3), without running
 * anything. It says nothing of what the caller may do: see {@link requireScope}.
 *
 * Works with the gate in front, which has verified the token by then, and without. Where no relay is active, Koa gets an
 * error and nobody passes.
 *
 * @throws TypeError where `mode` is neither `require`, the default, nor `optional`.
 */
export function authenticate(options?: AdmissionOptions): KoaMiddleware {
  return middlewareFor(requirementOf(options))
}

/**
 * Lets a caller pass whose token has all `scopes`; others are answered 403 with the scopes (RFC 6750 §3.1). Verifies the
 * token as `authenticate()` does, unless that or the gate has done so.
 *
 * @throws TypeError where there is no scope, or something that is none.
 */
export function requireScope(...scopes: readonly string[]): KoaMiddleware {
  return middlewareFor(requirementOfScopes(scopes))
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
      // Koa reads it when all middleware has returned, and nobody is the caller any more.
      const body = bindBody(context.active(), ctx.body)
      if (body !== ctx.body) ctx.body = body
    })
  }
}
