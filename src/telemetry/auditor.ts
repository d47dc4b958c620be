/** Who is told every auth event, sampled or not: the audit trail, where there is one. */

import type { Attributes, Span } from '@opentelemetry/api'
import type { AuthEvent } from './auth-event.ts'

/** Is told an event with the attributes that its span gets. Never throws, and does not wait. */
export type Auditor = (event: AuthEvent, attributes: Attributes, span: Span | undefined) => void

/** Of the one relay of this process; `undefined` where nobody audits, which costs one comparison per event. */
export let auditor: Auditor | undefined

export function setAuditor(next: Auditor | undefined): void {
  auditor = next
}
