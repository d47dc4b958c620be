/** Installs egress: every HTTP and gRPC client of the process decides for each hop, when it is written. */

import type { Context } from '@opentelemetry/api'
import { combineUndos } from '../base/patch-method.ts'
import { openSocketsWithoutCaller } from '../context/isolation/callerless-sockets.ts'
import { separateDataLoaders } from '../context/isolation/data-loader.ts'
import { detachSharedWork } from '../context/isolation/detached-work.ts'
import type { Decide } from '../destination/decision.ts'
import { interceptGrpc } from './grpc/channel.ts'
import { interceptAgents } from './http/agent.ts'
import { interceptHttp2 } from './http/http2.ts'
import { watchNextjs } from './nextjs.ts'
import { watchRejectedAnswers } from './rejected-answers.ts'
import { rememberSessions } from './sockets/certificates.ts'
import { watchNameAnswers } from './sockets/name-answers.ts'
import type { BeforeDispatch } from './undici/delay.ts'
import { interceptUndici } from './undici/request.ts'

export interface Egress {
  /** See `InjectObserver` of the propagator. */
  onInject(ctx: Context): boolean
  uninstall(): void
}

export function installEgress(decide: Decide, before: BeforeDispatch): Egress {
  const isolation = [
    openSocketsWithoutCaller(rememberSessions),
    detachSharedWork(),
    separateDataLoaders(),
    watchNameAnswers(),
  ]
  const node = [interceptAgents(decide), interceptHttp2(decide)]
  const undici = interceptUndici(decide, before)
  const uninstall = combineUndos([
    ...isolation,
    ...node,
    () => undici.undo(),
    interceptGrpc(decide),
    watchNextjs(),
    watchRejectedAnswers((request) => undici.ruleOf(request)),
  ])
  return {
    onInject: (ctx) => undici.onInject(ctx),
    uninstall,
  }
}
