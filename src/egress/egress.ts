/** Installs the egress side: every HTTP client of the process decides per hop, on the wire. */

import type { Context } from '@opentelemetry/api'
import type { Decide } from '../destination/decision.ts'
import type { Before } from './deferred-dispatch.ts'
import { interceptAgents } from './http-agent.ts'
import { guardSockets } from './socket-guard.ts'
import { interceptUndici } from './undici-request.ts'

export interface Egress {
  /** See `InjectObserver` of the propagator. */
  onInject(ctx: Context): boolean
  uninstall(): void
}

export function installEgress(decide: Decide, before: Before): Egress {
  const unguardSockets = guardSockets()
  const restoreAgents = interceptAgents(decide)
  const undici = interceptUndici(decide, before)
  return {
    onInject: (ctx) => undici.onInject(ctx),
    uninstall() {
      undici.undo()
      restoreAgents()
      unguardSockets()
    },
  }
}
