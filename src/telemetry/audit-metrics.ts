/** Measures the audit trail: what waits for the disk, and what could not be written. */

import { createCounter, createUpDownCounter } from './counter.ts'

const addFailures = createCounter('auth.audit.failures', {
  description: 'Records of which it is not sure that they are in the audit trail.',
  unit: '{record}',
})

const addBacklog = createUpDownCounter('auth.audit.backlog', {
  description: 'Records that are not acknowledged yet.',
  unit: '{record}',
})

/** Never throws. */
export function measureAuditFailure(): void {
  addFailures(1)
}

/** Never throws. */
export function measureAuditBacklog(change: 1 | -1): void {
  addBacklog(change)
}
