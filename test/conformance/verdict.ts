/** What a request carried, in a word. */

import type { Arrival } from './places.ts'

/** `token`: one `Authorization` line, with this caller's token. `own`: one, with the application's own credential. */
export type Verdict = 'token' | 'own' | 'none' | 'WRONG'

/** A credential that the application sets itself. */
export const OWN = 'Basic dTpw'

export function verdictOf({ authorization }: Arrival, token: string): Verdict {
  if (authorization.length === 0) return 'none'
  if (authorization.length > 1) return 'WRONG'
  if (authorization[0] === `Bearer ${token}`) return 'token'
  return authorization[0] === OWN ? 'own' : 'WRONG'
}

/** The verdicts of the hops of one caller, in the order in which they arrived. */
export function hops(arrivals: readonly Arrival[], token: string): string {
  return arrivals.map((arrival) => verdictOf(arrival, token)).join(' → ') || 'nothing arrived'
}
