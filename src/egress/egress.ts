/** Installs the egress side: every HTTP and gRPC client of the process decides per hop, on the wire. */

import type { Context } from '@opentelemetry/api'
import type { Decide } from '../destination/decision.ts'
import { guardDataLoaders } from './data-loader.ts'
import type { Before } from './deferred-dispatch.ts'
import { watchAnswers } from './downstream.ts'
import { interceptGrpc } from './grpc-channel.ts'
import { interceptAgents } from './http-agent.ts'
import { interceptHttp2 } from './http2-session.ts'
import { guardSockets } from './socket-guard.ts'
import { interceptUndici } from './undici-request.ts'
import { guardWork } from './work-guard.ts'

export interface Egress {
  /** See `InjectObserver` of the propagator. */
  onInject(ctx: Context): boolean
  uninstall(): void
}

export function installEgress(decide: Decide, before: Before): Egress {
  const unguardSockets = guardSockets()
  const unguardWork = guardWork()
  const unguardDataLoaders = guardDataLoaders()
  const restoreAgents = interceptAgents(decide)
  const restoreHttp2 = interceptHttp2(decide)
  const undici = interceptUndici(decide, before)
  const restoreGrpc = interceptGrpc(decide)
  const stopWatching = watchAnswers()
  return {
    onInject: (ctx) => undici.onInject(ctx),
    uninstall() {
      stopWatching()
      restoreGrpc()
      undici.undo()
      restoreHttp2()
      restoreAgents()
      unguardDataLoaders()
      unguardWork()
      unguardSockets()
    },
  }
}
