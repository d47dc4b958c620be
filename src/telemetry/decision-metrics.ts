/** Counts decisions about outgoing tokens. */

import type { WithholdReason } from './auth-event.ts'
import { createCounter } from './counter.ts'

/** `rule` is a configured one: nothing that comes from a request is repeated. */
export interface DecisionMeasurement {
  readonly verdict: 'forward' | 'exchange' | 'withhold'
  readonly reason: WithholdReason | undefined
  readonly rule: string | undefined
}

const addDecisions = createCounter('auth.decisions', {
  description: "Decisions about the caller's token at outgoing requests.",
  unit: '{decision}',
})

/** Never throws. */
export function measureDecision({ verdict, reason, rule }: DecisionMeasurement): void {
  addDecisions(1, {
    'auth.decision.verdict': verdict,
    ...(reason === undefined ? {} : { 'auth.decision.reason': reason }),
    ...(rule === undefined ? {} : { 'auth.decision.rule': rule }),
  })
}
