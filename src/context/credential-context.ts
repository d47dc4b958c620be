/** The caller's credential as an entry of the OpenTelemetry context. */

import type { Context } from '@opentelemetry/api'
import { context, createContextKey } from '@opentelemetry/api'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { isVerifiedCredential } from '../token/verified-credential.ts'
import { withBindSite } from './call-sites.ts'
import { Caller } from './caller.ts'

const CALLER = createContextKey('otel-token-relay credential')

/** The caller of `ctx`, whatever its state; values that this copy of the package did not put there are ignored. */
export function callerOf(ctx: Context): Caller | undefined {
  const caller = ctx.getValue(CALLER)
  return Caller.isCaller(caller) ? caller : undefined
}

export function withCaller(ctx: Context, caller: Caller): Context {
  return ctx.setValue(CALLER, caller)
}

/**
 * The verified credential in `context`; `undefined` if there is none: there is no caller, the caller has no token, or
 * the token is not verified. It is returned after its expiry too (see `expiresAtMillis`), but not forwarded then.
 */
export function getCredential(context: Context): VerifiedCredential | undefined {
  const state = callerOf(context)?.state
  return state?.status === 'verified' ? state.credential : undefined
}

/** {@link getCredential} of the active context: the caller of the request that this code works for. */
export function getActiveCredential(): VerifiedCredential | undefined {
  return getCredential(context.active())
}

/**
 * A copy of `context` that carries `credential`. It does not end with the request that the credential came from: it is
 * forwarded until it expires, even if `detached` is `withhold`.
 *
 * @throws TypeError if `credential` did not come from `relay.verify` or a context: look-alikes are refused.
 */
export function setCredential(context: Context, credential: VerifiedCredential): Context {
  if (!isVerifiedCredential(credential)) throw new TypeError('credential: expected one that the relay has verified')
  const caller = Caller.verified(credential)
  return withBindSite(withCaller(context, caller), caller)
}

/** A copy of `context` without a credential: work under it has no caller, and forwards nothing. */
export function deleteCredential(context: Context): Context {
  return context.getValue(CALLER) === undefined ? context : context.deleteValue(CALLER)
}
