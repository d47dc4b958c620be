/** Where every auth event goes, sampled or not: the audit of the relay, if it has one. */

import type { Attributes, Span } from '@opentelemetry/api'
import type { AuthEvent } from './events.ts'

/** Receives an event with the attributes that its span gets. Never throws, and does not wait. */
export type AuditSink = (event: AuthEvent, attributes: Attributes, span: Span | undefined) => void

/** Of the one relay of this thread; without an audit each event costs one comparison. */
export let auditSink: AuditSink | undefined

export function setAuditSink(next: AuditSink | undefined): void {
  auditSink = next
}
