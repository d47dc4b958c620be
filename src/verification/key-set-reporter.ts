/** Tells OpenTelemetry's diagnostics logger what happens to the keys of an issuer. */

import { diag } from '@opentelemetry/api'
import type { KeySetEvent } from './key-set.ts'

/** `issuer` is the configured one: nothing that comes from a token or a key document is repeated. */
export function keySetReporter(issuer: string): (event: KeySetEvent) => void {
  const say = `otel-token-relay: keys of ${issuer}`
  return (event) => {
    switch (event.name) {
      case 'refreshed': {
        const dropped = Object.entries(event.keys.dropped).map(([reason, count]) => `${count} ${reason}`)
        if (dropped.length > 0) diag.warn(`${say}: not used: ${dropped.join(', ')}`)
        return diag.debug(`${say}: ${event.keys.size} fetched`)
      }
      case 'refresh_failed':
        return diag.warn(`${say}: could not be fetched`)
      case 'stale':
        return diag.debug(
          `${say}: ${Math.round(event.ageMillis / 1000)} s old, used while the issuer cannot be reached`,
        )
    }
  }
}
