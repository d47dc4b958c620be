/** The adapter for Hono: `authenticate()` for an application or path, and checks of scopes and roles for a route. */

import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type {} from 'hono'
import type { NameOrAnyOf } from '../../token/requirements.ts'
import type { VerifiedCredential } from '../../token/verified-credential.ts'
import { activeRelay } from '../active-relay.ts'
import type { AdmissionOptions, AdmissionRequest } from '../admitter.ts'
import { fieldsOf, incomingOf } from '../http/incoming.ts'
import type { Requirement } from './adapter.ts'
import { admit, requirementOf, requirementOfRoles, requirementOfScopes } from './adapter.ts'

declare module 'hono' {
  interface ContextVariableMap {
    /** The caller, behind `authenticate()` or `requireScope()`. `undefined` if no caller is required. */
    credential: VerifiedCredential | undefined
  }
}

/** What is used of a `Context` of Hono. */
export interface HonoContext {
  readonly env: unknown
  readonly req: { readonly raw: Request }
  set(name: 'credential', credential: VerifiedCredential | undefined): void
  body(content: string, status: 400 | 401 | 403 | 503, fields: Record<string, string>): Response
}

/** Structurally a `MiddlewareHandler` of Hono 4, without depending on a version of its types. */
export type HonoMiddleware = (c: HonoContext, next: () => Promise<void>) => Promise<Response | undefined>

/**
 * Lets a request pass that has a valid token, and sets `c.var.credential`. What comes after runs as the caller. Others
 * are answered 400, 401 or 503 (RFC 6750 §3), without running anything. It says nothing of what the caller may do: see
 * {@link requireScope}.
 *
 * Works with the gate in front, which has verified the token by then, and without, also without a server
 * (`app.request`, `app.fetch`). If no relay is active, Hono gets an error and no request passes. Without the gate,
 * `pull` of a `ReadableStream` is called by the server without a caller; the helpers of `hono/streaming` run as the
 * caller.
 *
 * @throws TypeError if `mode` is none of `require`, `optional` and `report`.
 */
export function authenticate(options?: AdmissionOptions): HonoMiddleware {
  return middlewareFor(requirementOf(options))
}

/**
 * Lets a caller pass whose token has all `scopes`, and one of those in `{ anyOf: […] }`; others are answered 403
 * with the scopes (RFC 6750 §3.1). Verifies the token as `authenticate()` does, unless that or the gate has done so.
 *
 * @throws TypeError if there is no scope, or something that is none.
 */
export function requireScope(...scopes: readonly NameOrAnyOf[]): HonoMiddleware {
  return middlewareFor(requirementOfScopes(scopes))
}

/**
 * Lets a caller pass whose token has all `roles`, and one of those in `{ anyOf: […] }`; others are answered 403,
 * without the roles. Roles are in the claims that `roleClaims` of the issuer names. Verifies the token as
 * `authenticate()` does, unless that or the gate has done so.
 *
 * @throws TypeError if there is no role, or something that is none.
 */
export function requireRole(...roles: readonly NameOrAnyOf[]): HonoMiddleware {
  return middlewareFor(requirementOfRoles(roles))
}

function middlewareFor(requirement: Requirement): HonoMiddleware {
  return async (c, next) => {
    const request = requestOf(c)
    const admission = await admit(request, requirement)
    if (!admission.admitted) {
      const { answer } = admission
      return c.body(answer.body, answer.status as 401, fieldsOf(answer, request.headers))
    }
    c.set('credential', admission.credential)
    await admission.run(next)
    return undefined
  }
}

/** The request of Node if there is one, because the gate knows it. */
function requestOf({ env, req }: HonoContext): AdmissionRequest {
  const { incoming, outgoing } = (env ?? {}) as { readonly incoming?: unknown; readonly outgoing?: unknown }
  const { headers } = req.raw
  const { tokenField } = activeRelay()
  const isNode = incoming instanceof EventEmitter && outgoing instanceof EventEmitter
  return isNode && presentsSame(incoming as IncomingMessage, headers, tokenField)
    ? incomingOf('request', [incoming, outgoing])
    : { headers: fieldsFrom(headers, tokenField) }
}

/** A request made with `app.request(…, c.env)` has the environment of another one, and another token. */
function presentsSame(incoming: IncomingMessage, headers: Headers, field: string): boolean {
  const { rawHeaders } = incoming
  const lines = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === field)
  const joined = lines.length === 0 ? null : lines.join(', ')
  // Node joins the lines of most fields, and keeps the first of `Authorization`.
  const [shown] = field === 'authorization' ? lines : [joined ?? undefined]
  return joined === headers.get(field) && shown === incoming.headers[field]
}

const known = new WeakMap<Headers, AdmissionRequest['headers']>()

/** The same object for the same request. Two lines are one with a comma here, and no token. */
function fieldsFrom(headers: Headers, field: string): AdmissionRequest['headers'] {
  const value = headers.get(field) ?? undefined
  const fields = known.get(headers)
  if (fields !== undefined && fields[field] === value) return fields
  const fresh = value === undefined ? {} : { [field]: value }
  known.set(headers, fresh)
  return fresh
}
