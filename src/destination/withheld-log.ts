/** Says in the operator's log why a token was withheld, and what `destinations` would have to name. */

import type { Span } from '@opentelemetry/api'
import type { WithholdReason } from '../telemetry/events.ts'
import { spanAttributes } from '../telemetry/log-entries.ts'
import type { LogEntry, LogSeverity } from '../telemetry/log-record.ts'
import { deliversMessage } from '../telemetry/message-spans.ts'
import { operatorLog } from '../telemetry/operator-log.ts'
import type { Decision } from './decision.ts'
import { destinationOf } from './rules.ts'

type Withheld = Extract<Decision, { readonly verdict: 'withhold' }>

const REASONS: Readonly<Record<WithholdReason, string>> = {
  not_named: 'no entry of destinations names it',
  not_verified: "the caller's token is not verified",
  expired: "the caller's token has expired",
  revoked: "the caller's token was revoked",
  revocation_unavailable: 'the revocation list is unavailable or out of date',
  own_credential: 'the request has an Authorization of the application',
  unknown_destination: 'it is not known where the request goes',
  unix_socket: 'the connection is a Unix socket',
  proxied: 'a proxy would read the token',
  custom_connection: 'the connection of the client may lead elsewhere',
  headers_sent: 'its header section was complete before the relay saw it',
  unbound_dispatcher: 'the dispatcher was made before the relay, or is not undici: its caller is unknown',
  ambiguous: 'the work belongs to several callers',
  shared_response: 'a cache or deduplication may give the response to other callers',
  detached: "the caller's request was over; destinations[].detached is withhold",
  header_too_large: 'destinations[].maxHeaderBytes is exceeded',
  not_sealed: 'there is no key in sealing.keys to seal it with',
  no_room: 'the message has no room for another field',
  not_exchanged: 'the token to exchange it for is not there',
  report_only: 'egress.mode is report',
  audit_failed: 'the audit trail cannot be written',
}

/** What is usually meant to be so is logged once for each destination, and for no more destinations than these. */
const MAX_LOGGED_ONCE = 100

/** Writes a line for a decision if the log wants one. Never throws. */
export type LogWithheld = (decision: Withheld, span: Span | undefined) => void

export function createWithheldLog(): LogWithheld {
  const logged = new Set<string>()

  /** At a named destination it is a problem, each time; at others once, since the rule may be missing. */
  function severityOf({ reason, rule }: Withheld, to: string | undefined): LogSeverity {
    if (reason === 'report_only' || (reason === 'not_named' && to === undefined)) return 'info'
    if (rule !== undefined && reason !== 'own_credential') return 'warn'
    const name = `${reason} ${to ?? ''}`
    if (logged.has(name) || logged.size >= MAX_LOGGED_ONCE) return 'info'
    logged.add(name)
    return 'warn'
  }

  return (decision, span) => {
    if (operatorLog === undefined || (decision.reason === 'not_named' && deliversMessage(span))) return
    const to = decision.target === undefined ? undefined : destinationOf(decision.target)
    const severity = severityOf(decision, to)
    if (severity === 'warn' || operatorLog.hasDecisions) operatorLog.write(entryOf(decision, { to, severity, span }))
  }
}

interface Line {
  readonly to: string | undefined
  readonly severity: LogSeverity
  readonly span: Span | undefined
}

function entryOf({ reason, rule, subject }: Withheld, { to, severity, span }: Line): LogEntry {
  const place = to === undefined ? 'a destination that no rule can name' : `"${to}"`
  return {
    severity,
    event: 'auth.token.withheld',
    // Names of destinations are bounded: others are logged once.
    cause: `${reason} ${rule?.to ?? (severity === 'warn' ? to : '')}`,
    message: `withheld from ${place}: ${reason}, ${REASONS[reason]}`,
    attributes: () => ({
      'auth.decision.reason': reason,
      ...(rule === undefined ? {} : { 'auth.decision.rule': rule.to }),
      ...(to === undefined ? {} : { 'auth.decision.destination': to }),
      ...(subject === undefined
        ? {}
        : { 'auth.token.issuer': subject.issuer, 'auth.token.fingerprint': subject.fingerprint }),
      ...spanAttributes(span),
    }),
  }
}
