/** Measures how tokens are verified. */

import type { TokenErrorCode } from '../token/errors.ts'
import { createCounter } from './counter.ts'
import { createHistogram, LATENCIES } from './histogram.ts'

export interface VerificationMeasurement {
  readonly outcome: 'verified' | 'rejected' | 'undecided'
  readonly code: TokenErrorCode | undefined
  /** How long it took; `undefined` where the token was remembered, and nobody had to wait. */
  readonly seconds: number | undefined
}

const addVerifications = createCounter('auth.verifications', {
  description: 'Verifications of tokens of requests and messages, and of those that the application has asked for.',
  unit: '{verification}',
})

const recordDuration = createHistogram('auth.verification.duration', {
  description: 'How long verifications of tokens took that were not remembered, fetching keys included.',
  boundaries: [0.000_1, 0.000_25, 0.000_5, ...LATENCIES],
})

/** Never throws. */
export function measureVerification({ outcome, code, seconds }: VerificationMeasurement): void {
  const attributes = {
    'auth.verification.outcome': outcome,
    ...(code === undefined ? {} : { 'error.type': code }),
  }
  addVerifications(1, { ...attributes, 'auth.verification.cached': seconds === undefined })
  if (seconds !== undefined) recordDuration(seconds, attributes)
}
