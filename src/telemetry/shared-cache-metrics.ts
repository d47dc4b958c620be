/** Measures what a shared cache of exchanged tokens is good for. */

import type { TokenErrorCode } from '../token/errors.ts'
import { createCounter } from './counter.ts'

/**
 * `hit`: another process had asked already. `miss`: the issuer has to be asked. `unusable`: what was kept could not be
 * opened, or is not good any more. `unavailable`: the cache could not be asked, or could not keep a token.
 */
export type SharedCacheOutcome = 'hit' | 'miss' | 'unusable' | 'unavailable'

/** `issuer` is a configured one. */
export interface SharedCacheMeasurement {
  readonly issuer: string
  readonly outcome: SharedCacheOutcome
  /** Why what was kept is unusable. */
  readonly code?: TokenErrorCode | undefined
}

const addUses = createCounter('auth.exchange.cache', {
  description: 'Uses of the shared cache of exchanged tokens.',
  unit: '{use}',
})

/** Never throws. */
export function measureSharedCache({ issuer, outcome, code }: SharedCacheMeasurement): void {
  addUses(1, {
    'auth.token.issuer': issuer,
    'auth.exchange.cache.outcome': outcome,
    ...(code === undefined ? {} : { 'error.type': code }),
  })
}
