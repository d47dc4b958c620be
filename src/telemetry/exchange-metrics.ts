/** Measures how tokens are got from issuers, exchanged and renewed. */

import type { TokenErrorCode } from '../token/errors.ts'
import { createCounter } from './counter.ts'
import { createHistogram, LATENCIES } from './histogram.ts'

/** `issuer` is a configured one. */
export interface ExchangeMeasurement {
  readonly issuer: string
  readonly kind: 'exchange' | 'renewal'
  /** Why there is no token; `undefined` where there is one. */
  readonly code: TokenErrorCode | undefined
  readonly seconds: number
}

const addExchanges = createCounter('auth.exchanges', {
  description: 'Questions to an issuer for a token, exchanged, renewed, or for the service itself.',
  unit: '{exchange}',
})

const recordDuration = createHistogram('auth.exchange.duration', {
  description: 'How long an issuer took to give a token, retries included.',
  boundaries: LATENCIES,
})

/** Never throws. */
export function measureExchange({ issuer, kind, code, seconds }: ExchangeMeasurement): void {
  const attributes = {
    'auth.token.issuer': issuer,
    'auth.exchange.kind': kind,
    'auth.exchange.outcome': code === undefined ? 'success' : 'failure',
    ...(code === undefined ? {} : { 'error.type': code }),
  }
  addExchanges(1, attributes)
  recordDuration(seconds, attributes)
}
