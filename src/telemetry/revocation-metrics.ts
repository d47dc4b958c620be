/** Measures what is taken back, how soon this process hears of it, and how old its knowledge is. */

import type { RevocationKind, RevocationOutcome } from './auth-event.ts'
import { createCounter } from './counter.ts'
import { createGauge } from './gauge.ts'
import { createHistogram, LATENCIES } from './histogram.ts'

const addRevocations = createCounter('auth.revocations', {
  description: 'What this process has taken back: tokens, sessions and subjects.',
  unit: '{revocation}',
})

const recordLag = createHistogram('auth.revocation.lag', {
  description: 'How long after it was stored a revocation of another process was heard of here.',
  boundaries: LATENCIES,
})

const recordAge = createGauge('auth.revocation.age', {
  description: 'How old what is known of the shared revocation list is.',
  unit: 's',
})

/** Never throws. */
export function measureRevocation(kind: RevocationKind, outcome: RevocationOutcome): void {
  addRevocations(1, { 'auth.revocation.kind': kind, 'auth.revocation.outcome': outcome })
}

/** Never throws. What cannot be known, of a message that somebody else has published, is not measured. */
export function measureRevocationLag(seconds: number): void {
  if (Number.isFinite(seconds)) recordLag(seconds)
}

/** Never throws. */
export function measureRevocationAge(seconds: number): void {
  recordAge(seconds)
}
