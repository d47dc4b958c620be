/** Says what would happen at a destination, without going there. */

import type { Context } from '@opentelemetry/api'
import type { WithholdReason } from '../telemetry/auth-event.ts'
import type { DecideOptions, Decision, Hop } from './decision.ts'
import { decideHop, slotOf } from './decision.ts'
import type { Rule } from './rules.ts'
import { destinationOf } from './rules.ts'
import { announcedTarget, originTarget } from './target.ts'

/** What the rules say about a destination. */
export interface Explanation {
  /** The destination as a rule would name it; `undefined` where no rule can. */
  readonly destination: string | undefined
  /** `to` of the rule that names it. */
  readonly rule: string | undefined
  readonly verdict: 'forward' | 'exchange' | 'withhold'
  /** Why the token would be withheld. */
  readonly reason: WithholdReason | undefined
}

/**
 * Explains `destination`, a URL or what `setDestination` takes, for the caller of `ctx`. Where there is none: for a
 * caller whose token is good.
 */
export function explainDestination(destination: string | URL, ctx: Context, options: DecideOptions): Explanation {
  const hop = hopTo(String(destination))
  const slot = slotOf(ctx)
  const { verdict, reason, rule } =
    slot === undefined ? decideAnyone(hop, options) : outcomeOf(decideHop(slot, hop, options))
  return { destination: hop.target === undefined ? undefined : destinationOf(hop.target), rule, verdict, reason }
}

type Outcome = Omit<Explanation, 'destination'>

function outcomeOf(decision: Decision): Outcome {
  const reason = decision.verdict === 'withhold' ? decision.reason : undefined
  return { verdict: decision.verdict, reason, rule: decision.rule?.to }
}

function decideAnyone({ target, obstacle }: Hop, { rules, mode, hasSealingKey }: DecideOptions): Outcome {
  const rule = target === undefined ? undefined : rules.match(target)
  const isUnsealed = ({ seal }: Rule): boolean => seal !== false && !hasSealingKey(seal)
  const reason =
    target === undefined
      ? 'unknown_destination'
      : rule === undefined
        ? 'not_named'
        : (obstacle ?? (isUnsealed(rule) ? 'not_sealed' : mode === 'report' ? 'report_only' : undefined))
  const verdict = rule?.exchange === undefined ? 'forward' : 'exchange'
  return { verdict: reason === undefined ? verdict : 'withhold', reason, rule: rule?.to }
}

/** A URL stands for its origin; what is written before its host becomes an `Authorization` of the application's own. */
export function hopTo(destination: string): Hop {
  const url = URL.canParse(destination) ? new URL(destination) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    return { target: announcedTarget(destination), obstacle: undefined }
  }
  const named = url.username !== '' || url.password !== ''
  return { target: originTarget(url), obstacle: named ? 'own_credential' : undefined }
}
