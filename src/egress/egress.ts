/** Installs the egress side: every HTTP and gRPC client of the process decides per hop, on the wire. */

import type { Context } from '@opentelemetry/api'
import type { Decide } from '../destination/decision.ts'
import { interceptGrpc } from './grpc-channel.ts'
import { interceptAgents } from './http-agent.ts'
import { guardSockets } from './socket-guard.ts'
import { interceptUndici } from './undici-request.ts'

export interface Egress {
  /** See `InjectObserver` of the propagator. */
  onInject(ctx: Context): boolean
  uninstall(): void
}

export function installEgress(decide: Decide): Egress {
  const unguardSockets = guardSockets()
  const restoreAgents = interceptAgents(decide)
  const undici = interceptUndici(decide)
  const restoreGrpc = interceptGrpc(decide)
  return {
    onInject: (ctx) => undici.onInject(ctx),
    uninstall() {
      restoreGrpc()
      undici.undo()
      restoreAgents()
      unguardSockets()
    },
  }
}
