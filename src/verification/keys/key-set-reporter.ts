/** Reports what happens to the keys of an issuer: as metrics, on the active span, and in OpenTelemetry's own log. */

import { diag, trace } from '@opentelemetry/api'
import { measureKeySet } from '../../telemetry/call-metrics.ts'
import { reportProblem } from '../../telemetry/log-entries.ts'
import { recordOnSpan } from '../../telemetry/record.ts'
import { DOCUMENT_CAUSES } from '../document-error.ts'
import type { KeySetEvent } from './key-set.ts'

/** `issuer` is the configured one: nothing that comes from a token or a key document is repeated. */
export function keySetReporter(issuer: string): (event: KeySetEvent) => void {
  const say = `keys of ${issuer}`
  let wasStale = false

  function report(event: KeySetEvent): void {
    switch (event.name) {
      case 'refreshed': {
        measureKeySet({ issuer, refresh: 'success', ageMillis: 0 })
        const dropped = Object.entries(event.keys.dropped).map(([reason, count]) => `${count} ${reason}`)
        if (dropped.length > 0) reportProblem({ message: `${say}: not used: ${dropped.join(', ')}` })
        wasStale = false
        return diag.debug(`otel-token-relay: ${say}: ${event.keys.size} fetched`)
      }
      case 'refresh_failed':
        measureKeySet({ issuer, refresh: 'failure', cause: event.cause, ageMillis: event.ageMillis })
        return reportProblem({
          message: `${say}: could not be fetched: ${DOCUMENT_CAUSES[event.cause]}`,
          severity: 'error',
          attributes: { 'auth.token.issuer': issuer, 'error.type': event.cause },
        })
      case 'stale':
        measureKeySet({ issuer, stale: true, ageMillis: event.ageMillis })
        recordOnSpan(trace.getActiveSpan(), { name: 'auth.key_set.stale', issuer, ageMillis: event.ageMillis })
        // Once per outage: each request of it has its own event.
        if (!wasStale) reportProblem({ message: `${say}: too old, used while the issuer cannot be reached` })
        wasStale = true
    }
  }
  return (event) => {
    try {
      report(event)
    } catch {
      // A broken logger must not break a verification.
    }
  }
}
