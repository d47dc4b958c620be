/** Counts what is sealed into messages, and opened out of them. */

import type { TokenErrorCode } from '../token/errors.ts'
import { createCounter } from './counter.ts'

export interface SealingMeasurement {
  readonly operation: 'seal' | 'open'
  /** Why an opening has failed. */
  readonly code?: TokenErrorCode | undefined
  readonly outcome: 'success' | 'failure'
}

const addOperations = createCounter('auth.sealing.operations', {
  description: 'Tokens that were sealed into messages, and opened out of them.',
  unit: '{operation}',
})

/** Never throws. */
export function measureSealing({ operation, outcome, code }: SealingMeasurement): void {
  addOperations(1, {
    'auth.sealing.operation': operation,
    'auth.sealing.outcome': outcome,
    ...(code === undefined ? {} : { 'error.type': code }),
  })
}
