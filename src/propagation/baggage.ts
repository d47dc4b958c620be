/** Keeps tokens out of baggage: it knows no destinations, and goes to all of them (W3C Baggage §4). */

import type { Context } from '@opentelemetry/api'
import { propagation } from '@opentelemetry/api'
import { measureDroppedBaggage } from '../telemetry/metrics.ts'
import { holdsToken } from '../telemetry/redaction/token-search.ts'

/** The field of the W3C baggage propagator. */
const BAGGAGE = 'baggage'

/** A copy of `ctx` without the baggage entries that hold a token. Never throws. */
export function withoutTokens(ctx: Context): Context {
  try {
    const baggage = propagation.getBaggage(ctx)
    if (baggage === undefined) return ctx
    const names = baggage
      .getAllEntries()
      .filter(([name, { value, metadata }]) => [name, value, String(metadata ?? '')].some(holdsToken))
      .map(([name]) => name)
    if (names.length === 0) return ctx
    measureDroppedBaggage(names.length)
    return propagation.setBaggage(ctx, baggage.removeEntries(...names))
  } catch {
    return ctx
  }
}

/** Removes the members that hold a token from what another propagator has written into `carrier`. Never throws. */
export function removeTokens(carrier: object): void {
  try {
    const field: unknown = Object.getOwnPropertyDescriptor(carrier, BAGGAGE)?.value
    if (typeof field !== 'string') return
    const members = field.split(',')
    const kept = members.filter((member) => !holdsToken(member))
    if (kept.length === members.length) return
    measureDroppedBaggage(members.length - kept.length)
    if (kept.length === 0) Reflect.deleteProperty(carrier, BAGGAGE)
    else Reflect.set(carrier, BAGGAGE, kept.join(','))
  } catch {
    // A carrier that cannot be read: not one that a propagator has written to.
  }
}
