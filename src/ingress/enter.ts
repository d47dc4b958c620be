/** Makes a request's own context the active one, for its handler and for all that is attached to it. */

import type { EventEmitter } from 'node:events'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { markOf } from '../context/bind.ts'
import { getSlot, setSlot } from '../context/credential-context.ts'
import type { CredentialSlot } from '../context/slot.ts'

/** Runs `fn`, and all that the application will attach to `emitters`, in a context that holds `slot`. */
export function enterSlot<T>(slot: CredentialSlot, emitters: readonly EventEmitter[], fn: () => T): T {
  const active = context.active()
  const entered = getSlot(active) === slot || (slot.state.status === 'absent' && getSlot(active) === undefined)
  if (entered) return fn()
  const ctx = setSlot(active, slot)
  for (const emitter of emitters) bindToRequest(ctx, emitter)
  return context.with(ctx, fn)
}

/** All of its listeners, from now on, wherever they are added. */
function bindToRequest(ctx: Context, emitter: EventEmitter): void {
  // Node resets `on` of an upgraded socket at its first call (`socketListenerWrap`), which would undo the binding.
  const ignore = (): void => undefined
  emitter.on('removeListener', ignore)
  emitter.off('removeListener', ignore)
  // An instrumentation may have bound the emitter to its own context without ours (a path it ignores, no propagator).
  // OpenTelemetry's context manager binds an emitter once only, unless this mark of it is gone.
  const mark = markOf(emitter)
  if (mark !== undefined) Reflect.deleteProperty(emitter, mark)
  context.bind(ctx, emitter)
}
