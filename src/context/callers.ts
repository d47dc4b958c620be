/** Work and results of several callers in one place: kept apart, or done as the one caller that they have in common. */

import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { deleteCredential, getSlot, setSlot } from './credential-context.ts'
import { withKeptPlace } from './place.ts'
import { CredentialSlot } from './slot.ts'

/**
 * One `T` for each caller: for batchers and caches, which know nothing of callers, and would load a key with the token of
 * whoever asked for another one, or answer with what somebody else was allowed to see.
 *
 * Returns a function that returns that of the active context's caller, which `create` makes when it is first asked for. A
 * caller is one request, message, or call of `runAs` and `runWithToken`, not a person: it goes when that is over. All that
 * runs as nobody shares one, for good.
 *
 * @throws TypeError where `create` is not a function; the function that is returned throws what `create` throws.
 */
export function perCaller<T>(create: () => T): () => T {
  if (typeof create !== 'function') throw new TypeError('create: expected a function')
  const nobody = {}
  const made = new WeakMap<object, { readonly value: T }>()
  return () => {
    const owner = getSlot(context.active()) ?? nobody
    const known = made.get(owner) ?? { value: create() }
    made.set(owner, known)
    return known.value
  }
}

/**
 * Runs `fn` for all of `contexts`, which were active where its parts were asked for: as their caller, if it is the same
 * in all of them, the same token that is. As nobody, if none of them has one. Otherwise no token can be right: nothing is
 * forwarded then, with `ambiguous` as the reason. What `fn` returns is returned.
 *
 * The active context's own caller has no part in it; everything else of that context stays.
 */
export function runAsAll<T>(contexts: Iterable<Context>, fn: () => T): T {
  const active = context.active()
  const slots = Array.from(contexts, presentIn)
  const [first] = slots
  // Any of them will do, and one whose request goes on is of more use.
  const common = slots.every((slot) => isSameCaller(slot, first))
    ? (slots.find((slot) => slot?.ended === false) ?? first)
    : CredentialSlot.ambiguous()
  const ctx = common === undefined ? deleteCredential(active) : setSlot(active, common)
  return context.with(withKeptPlace(ctx, common), fn)
}

function presentIn(ctx: Context): CredentialSlot | undefined {
  const slot = getSlot(ctx)
  return slot?.state.status === 'absent' ? undefined : slot
}

/** One token is one credential, as long as it is remembered; two tokens of one subject may allow different things. */
function isSameCaller(a: CredentialSlot | undefined, b: CredentialSlot | undefined): boolean {
  if (a === b) return true
  const [one, other] = [a?.state, b?.state]
  return one?.status === 'verified' && other?.status === 'verified' && one.credential === other.credential
}
