/** Runs work that belongs to no caller: what it starts must not remember whose request it happened to be started in. */

import { context } from '@opentelemetry/api'
import { deleteCredential, getSlot } from './credential-context.ts'

/** Runs `fn` without the caller of the active context; everything else of it stays, the trace above all. */
export function runAsNobody<T>(fn: () => T): T {
  const active = context.active()
  return getSlot(active) === undefined ? fn() : context.with(deleteCredential(active), fn)
}
