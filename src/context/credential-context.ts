/** The caller's credential as an entry of the OpenTelemetry context. */

import type { Context } from '@opentelemetry/api'
import { context, createContextKey } from '@opentelemetry/api'
import { mainGlobal } from '../base/main-realm.ts'
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
  const caller = callerOf(context)
  if (caller === undefined) return finderOfOtherCopy()?.(context)
  return credentialOf(caller)
}

/**
 * {@link getCredential} of the active context: the caller of the request that this code works for. If another copy of
 * this package has the active relay, possibly in another realm (each test file of Jest runs in one), it is asked.
 */
export function getActiveCredential(): VerifiedCredential | undefined {
  const caller = callerOf(context.active())
  if (caller === undefined) return finderOfOtherCopy()?.(undefined)
  return credentialOf(caller)
}

function credentialOf({ state }: Caller): VerifiedCredential | undefined {
  return state.status === 'verified' ? state.credential : undefined
}

/** What {@link getCredential} finds, or {@link getActiveCredential} if `ctx` is `undefined`. */
type FindCredential = (ctx: Context | undefined) => VerifiedCredential | undefined

const FINDER = Symbol.for('otel-token-relay.find-credential')
const registry = mainGlobal as { [FINDER]?: FindCredential | undefined }

/** The callers are those of this copy, until {@link stopSharingCredentials}. Called when its relay becomes active. */
export function shareCredentials(): void {
  registry[FINDER] = findCredential
}

export function stopSharingCredentials(): void {
  registry[FINDER] = undefined
}

function findCredential(ctx: Context | undefined): VerifiedCredential | undefined {
  const caller = callerOf(ctx ?? context.active())
  return caller === undefined ? undefined : credentialOf(caller)
}

/** Contexts differ from copy to copy: that of the active relay knows who the caller is. */
function finderOfOtherCopy(): FindCredential | undefined {
  const find = registry[FINDER]
  return find === findCredential ? undefined : find
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
