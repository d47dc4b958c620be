/** Counts decisions about outgoing tokens. */

import type { Counter, MeterProvider } from '@opentelemetry/api'
import { metrics } from '@opentelemetry/api'
import type { WithholdReason } from './auth-event.ts'

/** `rule` is a configured one: nothing that comes from a request is repeated. */
export interface DecisionMeasurement {
  readonly verdict: 'forward' | 'exchange' | 'withhold'
  readonly reason: WithholdReason | undefined
  readonly rule: string | undefined
}

let counted: { readonly provider: MeterProvider; readonly decisions: Counter } | undefined

/** Never throws: a broken meter must not break a request. */
export function measureDecision({ verdict, reason, rule }: DecisionMeasurement): void {
  try {
    currentCounter().add(1, {
      'auth.decision.verdict': verdict,
      ...(reason === undefined ? {} : { 'auth.decision.reason': reason }),
      ...(rule === undefined ? {} : { 'auth.decision.rule': rule }),
    })
  } catch {
    // Nothing to measure with.
  }
}

/** The API has no proxy for meters: those of a provider that comes later have to be asked for again. */
function currentCounter(): Counter {
  const provider = metrics.getMeterProvider()
  if (counted?.provider === provider) return counted.decisions
  const decisions = provider.getMeter('otel-token-relay').createCounter('auth.decisions', {
    description: "Decisions about the caller's token at outgoing requests.",
    unit: '{decision}',
  })
  counted = { provider, decisions }
  return decisions
}
