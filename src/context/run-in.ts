/** `context.with` for contexts that are the active one already, more often than not. */

import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'

/** To enter a context costs more than to see that one is in it. */
export function runIn<T>(ctx: Context, fn: () => T): T {
  return context.active() === ctx ? fn() : context.with(ctx, fn)
}
