/** Remembers the destinations of callers' requests, to write an allowlist from. */

import { LRUCache } from 'lru-cache'
import type { WithholdReason } from '../telemetry/events.ts'
import type { Decision } from './decision.ts'
import { destinationOf } from './rules.ts'

/** A destination that callers' requests went to. */
export interface ObservedDestination {
  /** As a rule would name it. */
  readonly to: string
  /** `to` of the rule that names it, if there is one. */
  readonly rule: string | undefined
  /** The last verdict there, and why the token was withheld. */
  readonly verdict: 'forward' | 'exchange' | 'withhold'
  readonly reason: WithholdReason | undefined
  /** How many requests went there. */
  readonly requests: number
}

export interface ObservedDestinations {
  add(decision: Decision): void
  /** The most frequent one first. */
  list(): readonly ObservedDestination[]
}

/** More than a service calls. Those that were not called for longest are forgotten first. */
const MAX_DESTINATIONS = 1_000

/** Longer than any name of a host (RFC 1035 §2.3.4) or queue; a URL may contain anything. */
const MAX_LENGTH = 512

export function createObservedDestinations(): ObservedDestinations {
  const known = new LRUCache<string, ObservedDestination>({ max: MAX_DESTINATIONS })

  return {
    add(decision) {
      const to = decision.target === undefined ? undefined : destinationOf(decision.target)
      // A host such as `*.example` would come back from an allowlist as a rule for many.
      if (to === undefined || to.length > MAX_LENGTH) return
      const reason = decision.verdict === 'withhold' ? decision.reason : undefined
      const requests = (known.get(to)?.requests ?? 0) + 1
      known.set(to, { to, rule: decision.rule?.to, verdict: decision.verdict, reason, requests })
    },
    list: () => [...known.values()].sort((a, b) => b.requests - a.requests),
  }
}
