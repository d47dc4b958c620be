/** Counts tokens that were found in baggage. */

import { createCounter } from './counter.ts'

const addDropped = createCounter('auth.baggage.dropped', {
  description: 'Baggage entries that held a token, and were dropped.',
  unit: '{entry}',
})

/** Never throws. */
export function measureDroppedBaggage(entries: number): void {
  addDropped(entries)
}
