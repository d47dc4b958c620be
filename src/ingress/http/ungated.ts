/** Finds out that servers hand out requests about which the relay is never asked: there is no gate, and no adapter. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { reportProblem } from '../../telemetry/log-entries.ts'
import { measureUngatedRequest } from '../../telemetry/metrics.ts'
import { hasAdapter } from '../active-relay.ts'

export interface UngatedOptions {
  readonly hasGate: () => boolean
  /** Whether the configuration says that there shall be no gate. */
  readonly isGateOff: boolean
  /** Hosts with their ports, of issuers and destinations: in a test they are often servers of the same process. */
  readonly others: ReadonlySet<string>
}

export interface UngatedWatch {
  /** Whether requests have passed that nothing has decided about, and the configuration does not say so. */
  isOpen(): boolean
  /** The application has the relay decide about a request by itself. */
  recordQuestion(): void
  stop(): void
}

const REQUESTS = 'http.server.request.start'
const STREAMS = 'http2.server.stream.start'

export function watchUngated({ hasGate, isGateOff, others }: UngatedOptions): UngatedWatch {
  let isAsked = false
  let hasPassed = false
  const isDecided = (): boolean => isAsked || hasGate() || hasAdapter()

  /** When it is over: an adapter may be asked about this very request. */
  function watch(authority: string | undefined, request: EventEmitter): void {
    if (isDecided()) stop()
    else if (!others.has(authority ?? '')) request.once('close', record)
  }
  function record(): void {
    if (isDecided()) return
    measureUngatedRequest()
    if (hasPassed) return
    hasPassed = true
    if (isGateOff) reportProblem({ message: MEANT })
    else reportProblem({ message: NOT_MEANT, severity: 'error' })
  }
  const onRequest = (message: unknown): void => {
    const { request, response } = message as { request: { headers: IncomingHttpHeaders }; response: EventEmitter }
    watch(request.headers.host, response)
  }
  const onStream = (message: unknown): void => {
    const { stream, headers } = message as { stream: EventEmitter; headers: IncomingHttpHeaders }
    watch(String(headers[':authority'] ?? headers.host), stream)
  }
  const stop = (): void => {
    unsubscribe(REQUESTS, onRequest)
    unsubscribe(STREAMS, onStream)
  }
  subscribe(REQUESTS, onRequest)
  subscribe(STREAMS, onStream)

  return {
    isOpen: () => hasPassed && !isGateOff && !isDecided(),
    recordQuestion() {
      isAsked = true
    },
    stop,
  }
}

const MEANT = 'ingress.mode is off, and no adapter is in use: requests are not verified'
const NOT_MEANT =
  'requests are NOT verified: there is no gate, and no adapter is in use. Put relay.instrumentation into the ' +
  "instrumentations of the SDK, or write ingress.mode: 'require'; if this service shall have no gate, write 'off'"
