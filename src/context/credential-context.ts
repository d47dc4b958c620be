/** The caller's credential as an entry of the OpenTelemetry context. */

import type { Context } from '@opentelemetry/api'
import { context, createContextKey } from '@opentelemetry/api'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { isVerifiedCredential } from '../token/verified-credential.ts'
import { withKeptPlace } from './place.ts'
import { CredentialSlot } from './slot.ts'

const SLOT = createContextKey('otel-token-relay credential')

/** The slot of `ctx`, whatever its state; values that this copy of the package did not put there are ignored. */
export function getSlot(ctx: Context): CredentialSlot | undefined {
  const slot = ctx.getValue(SLOT)
  return CredentialSlot.isSlot(slot) ? slot : undefined
}

export function setSlot(ctx: Context, slot: CredentialSlot): Context {
  return ctx.setValue(SLOT, slot)
}

/**
 * The verified credential in `context`, or `undefined` where there is none: nobody called, the caller was anonymous, or
 * the token has not been verified. It is returned after its expiry too (see `expiresAtMillis`); it is not forwarded then.
 */
export function getCredential(context: Context): VerifiedCredential | undefined {
  const state = getSlot(context)?.state
  return state?.status === 'verified' ? state.credential : undefined
}

/** {@link getCredential} of the active context: the caller of the request that this code works for. */
export function getActiveCredential(): VerifiedCredential | undefined {
  return getCredential(context.active())
}

/**
 * A copy of `context` that carries `credential`. It does not end with the request that the credential came from: it is
 * forwarded until it expires, also where `detached` is `withhold`.
 *
 * @throws TypeError where `credential` did not come from `relay.verify` or a context: look-alikes are refused.
 */
export function setCredential(context: Context, credential: VerifiedCredential): Context {
  if (!isVerifiedCredential(credential)) throw new TypeError('credential: expected one that the relay has verified')
  const slot = CredentialSlot.verified(credential)
  return withKeptPlace(setSlot(context, slot), slot)
}

/** A copy of `context` without a credential: work under it is nobody's, and forwards nothing. */
export function deleteCredential(context: Context): Context {
  return context.getValue(SLOT) === undefined ? context : context.deleteValue(SLOT)
}
