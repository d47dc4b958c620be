/** Measures how tokens are verified. */

import type { TokenErrorCode } from '../token/errors.ts'
import { createHistogram, LATENCIES } from './histogram.ts'
import type { CountOne } from './tally.ts'
import { createTally } from './tally.ts'

export interface VerificationMeasurement {
  readonly outcome: 'verified' | 'rejected' | 'undecided'
  readonly code: TokenErrorCode | undefined
  /** How long it took; `undefined` where the token was remembered, and nobody had to wait. */
  readonly seconds: number | undefined
}

const verifications = createTally('auth.verifications', {
  description: 'Verifications of tokens of requests and messages, and of those that the application has asked for.',
  unit: '{verification}',
})

const recordDuration = createHistogram('auth.verification.duration', {
  description: 'How long verifications of tokens took that were not remembered, fetching keys included.',
  boundaries: [0.000_1, 0.000_25, 0.000_5, ...LATENCIES],
})

/** By outcome or code; those of remembered tokens apart. */
const counters = { remembered: new Map<string, CountOne>(), decided: new Map<string, CountOne>() }

/** Never throws. */
export function measureVerification({ outcome, code, seconds }: VerificationMeasurement): void {
  const ofKind = seconds === undefined ? counters.remembered : counters.decided
  let countOne = ofKind.get(code ?? outcome)
  if (countOne === undefined) {
    countOne = verifications({ ...attributesOf(outcome, code), 'auth.verification.cached': seconds === undefined })
    ofKind.set(code ?? outcome, countOne)
  }
  countOne()
  if (seconds !== undefined) recordDuration(seconds, attributesOf(outcome, code))
}

function attributesOf(outcome: VerificationMeasurement['outcome'], code: TokenErrorCode | undefined) {
  return { 'auth.verification.outcome': outcome, ...(code === undefined ? {} : { 'error.type': code }) }
}
