/** Counts decisions about outgoing tokens. */

import type { WithholdReason } from './auth-event.ts'
import { createHistogram } from './histogram.ts'
import type { CountOne } from './tally.ts'
import { createTally } from './tally.ts'

/** `rule` is a configured one: nothing that comes from a request is repeated. */
export interface DecisionMeasurement {
  readonly verdict: 'forward' | 'exchange' | 'withhold'
  readonly reason: WithholdReason | undefined
  readonly rule: string | undefined
  /** When the token that is sent expires; `Infinity` where it does not. */
  readonly expiresAtMillis?: number
}

const decisions = createTally('auth.decisions', {
  description: "Decisions about the caller's token at outgoing requests.",
  unit: '{decision}',
})

const recordLifetime = createHistogram('auth.token.remaining_lifetime', {
  description: 'How long the tokens that were sent have left to live.',
  boundaries: [1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400],
})

/** By rule, and by reason or verdict: there are as many as are configured, times the reasons. */
const counters = new Map<string | undefined, Map<string, CountOne>>()

/** Never throws. */
export function measureDecision({ verdict, reason, rule, expiresAtMillis = Infinity }: DecisionMeasurement): void {
  const ofRule = counters.get(rule) ?? new Map<string, CountOne>()
  counters.set(rule, ofRule)
  const countOne = ofRule.get(reason ?? verdict) ?? counterOf(verdict, reason, rule)
  ofRule.set(reason ?? verdict, countOne)
  countOne()
  if (rule === undefined || expiresAtMillis === Infinity) return
  recordLifetime(Math.max(0, (expiresAtMillis - Date.now()) / 1000), { 'auth.decision.rule': rule })
}

function counterOf(
  verdict: DecisionMeasurement['verdict'],
  reason: WithholdReason | undefined,
  rule: string | undefined,
): CountOne {
  return decisions({
    'auth.decision.verdict': verdict,
    ...(reason === undefined ? {} : { 'auth.decision.reason': reason }),
    ...(rule === undefined ? {} : { 'auth.decision.rule': rule }),
  })
}
