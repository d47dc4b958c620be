/** Runs a function in another context than the active one: in a given context, or without the caller. */

import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { callerOf, deleteCredential } from './credential-context.ts'

/**
 * Runs `fn` without the caller of the active context; the rest of that context stays, the trace above all. For work
 * that belongs to no caller: what it starts must not remember in whose request it happened to be started.
 */
export function runWithoutCaller<T>(fn: () => T): T {
  const active = context.active()
  return callerOf(active) === undefined ? fn() : context.with(deleteCredential(active), fn)
}

/** Whether the active context has a caller. */
export function hasCaller(): boolean {
  return callerOf(context.active()) !== undefined
}

/** `context.with`, which costs more than to see that `ctx` is the active context already, as it often is. */
export function runInContext<T>(ctx: Context, fn: () => T): T {
  return context.active() === ctx ? fn() : context.with(ctx, fn)
}
