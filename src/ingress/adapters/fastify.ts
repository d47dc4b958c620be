/** The adapter for Fastify: a plugin for an instance, and `requireScope()` and `requireRole()` for a route. */

import type { IncomingMessage } from 'node:http'
import type {} from 'fastify'
import type { NameOrAnyOf } from '../../token/requirements.ts'
import type { VerifiedCredential } from '../../token/verified-credential.ts'
import type { Admission, AdmissionOptions } from '../admitter.ts'
import { fieldsOf, incomingOf } from '../http/incoming.ts'
import type { Requirement } from './adapter.ts'
import { admit, requirementOf, requirementOfRoles, requirementOfScopes } from './adapter.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller, behind `fastifyTokenRelay` or `requireScope()`. `undefined` if no caller is required. */
    credential: VerifiedCredential | undefined
  }
}

/** What is used of a `FastifyRequest`. */
export interface FastifyRequestLike {
  readonly raw: Pick<IncomingMessage, 'headers' | 'rawHeaders'>
  credential: VerifiedCredential | undefined
}

/** What is used of a `FastifyReply`. */
export interface FastifyReplyLike {
  readonly raw: unknown
  readonly sent: boolean
  code(status: number): unknown
  headers(fields: Record<string, string>): unknown
  send(body: Buffer): unknown
}

/** What is used of a `FastifyInstance`. */
export interface FastifyInstanceLike {
  decorateRequest(name: 'credential'): unknown
  addHook(name: 'onRequest', hook: FastifyHook): unknown
}

/** Structurally an `onRequest` hook of Fastify 5, without depending on a version of its types. */
export type FastifyHook = (request: FastifyRequestLike, reply: FastifyReplyLike, done: (error?: Error) => void) => void

/** Structurally a plugin of Fastify 5. */
export type FastifyTokenRelay = (instance: FastifyInstanceLike, options: AdmissionOptions) => Promise<void>

/**
 * The plugin: `await app.register(fastifyTokenRelay, { mode: 'require' })`. Lets a request pass that has a valid token,
 * and sets `request.credential`. What comes after runs as the caller. Others are answered 400, 401 or 503 (RFC 6750
 * §3), without running anything. It says nothing of what the caller may do: see {@link requireScope}.
 *
 * It is not encapsulated: it protects the instance that it is registered with, and those inside of it that are
 * registered later. Register it first. Works with the gate in front, which has verified the token by then, and without,
 * also without a server (`app.inject`). If no relay is active, Fastify gets an error and no request passes.
 *
 * Fails to load with a TypeError if `mode` is none of `require`, `optional` and `report`.
 */
export const fastifyTokenRelay: FastifyTokenRelay = Object.assign<FastifyTokenRelay, object>(
  async (instance, options) => {
    instance.addHook('onRequest', hookFor(requirementOf(options)))
    instance.decorateRequest('credential')
  },
  {
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: 'otel-token-relay',
    [Symbol.for('plugin-meta')]: { fastify: '5.x', name: 'otel-token-relay' },
  },
)

/**
 * The hook of {@link fastifyTokenRelay} for some routes only: `onRequest: authenticate()`.
 *
 * @throws TypeError if `mode` is none of `require`, `optional` and `report`.
 */
export function authenticate(options?: AdmissionOptions): FastifyHook {
  return hookFor(requirementOf(options))
}

/**
 * A hook for `onRequest` of a route. Lets a caller pass whose token has all `scopes`, and one of those in
 * `{ anyOf: […] }`; others are answered 403 with the scopes (RFC 6750 §3.1). Verifies the token as the plugin does,
 * unless that or the gate has done so.
 *
 * @throws TypeError if there is no scope, or something that is none.
 */
export function requireScope(...scopes: readonly NameOrAnyOf[]): FastifyHook {
  return hookFor(requirementOfScopes(scopes))
}

/**
 * A hook for `onRequest` of a route. Lets a caller pass whose token has all `roles`, and one of those in
 * `{ anyOf: […] }`; others are answered 403, without the roles. Roles are in the claims that `roleClaims` of the issuer
 * names. Verifies the token as the plugin does, unless that or the gate has done so.
 *
 * @throws TypeError if there is no role, or something that is none.
 */
export function requireRole(...roles: readonly NameOrAnyOf[]): FastifyHook {
  return hookFor(requirementOfRoles(roles))
}

function hookFor(requirement: Requirement): FastifyHook {
  return (request, reply, done) => {
    const finish = (admission: Admission): void => {
      if (admission.admitted) {
        request.credential = admission.credential
        admission.run(done)
      } else if (!reply.sent) {
        reply.code(admission.answer.status)
        reply.headers(fieldsOf(admission.answer, request.raw.headers))
        // Fastify would add a charset to the type of a text.
        reply.send(Buffer.from(admission.answer.body))
      }
    }
    const admission = admit(incomingOf('request', [request.raw, reply.raw]), requirement)
    if (admission instanceof Promise) void admission.then(finish)
    else finish(admission)
  }
}
