/** Counts tokens that were forwarded, and that the destination did not accept. */

import { createCounter } from './counter.ts'

const addRejections = createCounter('auth.downstream.rejections', {
  description: 'Answers 401 of destinations that a token was forwarded to: meant for another audience, or revoked.',
  unit: '{response}',
})

/** `rule` is a configured one. Never throws. */
export function measureDownstreamRejection(rule: string): void {
  addRejections(1, { 'auth.decision.rule': rule })
}
