/** Work and results of several callers in one place: kept apart, or done as the one caller that they have in common. */

import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { withBindSite } from './call-sites.ts'
import { Caller } from './caller.ts'
import { ensureContextManager } from './context-manager.ts'
import { callerOf, deleteCredential, withCaller } from './credential-context.ts'

/**
 * Creates one batcher, cache or loader per caller: one for all callers would load a key with the token of another
 * caller, or return what another caller was allowed to see.
 *
 * Returns a function that returns the `T` of the active context's caller, and calls `create` for each caller once. A
 * caller is one request, message, or call of `runAs` and `runWithToken`, not a person: its `T` goes when that is over.
 * All work without a caller shares one `T`, for good.
 *
 * @throws TypeError if `create` is not a function; the function that is returned throws what `create` throws.
 */
export function perCaller<T>(create: () => T): () => T {
  if (typeof create !== 'function') throw new TypeError('create: expected a function')
  const withoutCaller = {}
  const made = new WeakMap<object, { readonly value: T }>()
  return () => {
    const owner = callerOf(context.active()) ?? withoutCaller
    const known = made.get(owner) ?? { value: create() }
    made.set(owner, known)
    return known.value
  }
}

/**
 * Runs `fn` for all of `contexts`, in which its parts were asked for: as their caller if all of them have the same
 * token, and without a caller if none has one. Otherwise no token can be right: nothing is forwarded then, and the
 * reason is `ambiguous`. Returns what `fn` returns.
 *
 * The active context's own caller has no part in it; everything else of that context stays.
 */
export function runAsAll<T>(contexts: Iterable<Context>, fn: () => T): T {
  ensureContextManager()
  const active = context.active()
  const callers = Array.from(contexts, presentIn)
  const [first] = callers
  // Any of them will do, and one whose request goes on is of more use.
  const common = callers.every((caller) => isSameCaller(caller, first))
    ? (callers.find((caller) => caller?.requestIsOver === false) ?? first)
    : Caller.ambiguous()
  const ctx = common === undefined ? deleteCredential(active) : withCaller(active, common)
  return context.with(withBindSite(ctx, common), fn)
}

function presentIn(ctx: Context): Caller | undefined {
  const caller = callerOf(ctx)
  return caller?.state.status === 'absent' ? undefined : caller
}

/** One token is one credential, as long as it is remembered; two tokens of one subject may allow different things. */
function isSameCaller(a: Caller | undefined, b: Caller | undefined): boolean {
  if (a === b) return true
  const [one, other] = [a?.state, b?.state]
  return one?.status === 'verified' && other?.status === 'verified' && one.credential === other.credential
}
