/** Tells a decision as an event. */

import type { AuthEvent, DestinationAttributes } from '../telemetry/auth-event.ts'
import type { Decision } from './decision.ts'
import type { Target } from './pattern.ts'

export function eventOf(decision: Decision): AuthEvent {
  return decision.verdict !== 'withhold'
    ? {
        name: decision.rule.seal === false ? 'auth.token.forwarded' : 'auth.token.sealed',
        credential: decision.credential,
        subject: decision.verdict === 'exchange' ? decision.subject : undefined,
        rule: decision.rule.to,
        destination: attributesOf(decision.target),
      }
    : {
        name: 'auth.token.withheld',
        reason: decision.reason,
        rule: decision.rule?.to,
        destination: decision.target === undefined ? undefined : attributesOf(decision.target),
        subject: decision.subject,
      }
}

export function attributesOf(target: Target): DestinationAttributes {
  return target.kind === 'network'
    ? { 'server.address': target.host, 'server.port': target.port }
    : { 'messaging.system': target.system, 'messaging.destination.name': target.name }
}
