/** Counts decisions about outgoing tokens. */

import type { WithholdReason } from './auth-event.ts'
import { createCounter } from './counter.ts'
import { createHistogram } from './histogram.ts'

/** `rule` is a configured one: nothing that comes from a request is repeated. */
export interface DecisionMeasurement {
  readonly verdict: 'forward' | 'exchange' | 'withhold'
  readonly reason: WithholdReason | undefined
  readonly rule: string | undefined
  /** When the token that is sent expires; `Infinity` where it does not. */
  readonly expiresAtMillis?: number
}

const addDecisions = createCounter('auth.decisions', {
  description: "Decisions about the caller's token at outgoing requests.",
  unit: '{decision}',
})

const recordLifetime = createHistogram('auth.token.remaining_lifetime', {
  description: 'How long the tokens that were sent have left to live.',
  boundaries: [1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400],
})

/** Never throws. */
export function measureDecision({ verdict, reason, rule, expiresAtMillis = Infinity }: DecisionMeasurement): void {
  addDecisions(1, {
    'auth.decision.verdict': verdict,
    ...(reason === undefined ? {} : { 'auth.decision.reason': reason }),
    ...(rule === undefined ? {} : { 'auth.decision.rule': rule }),
  })
  if (rule === undefined || expiresAtMillis === Infinity) return
  recordLifetime(Math.max(0, (expiresAtMillis - Date.now()) / 1000), { 'auth.decision.rule': rule })
}
