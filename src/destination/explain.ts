/** Says what would happen at a destination, without going there. */

import type { Context } from '@opentelemetry/api'
import type { WithholdReason } from '../telemetry/events.ts'
import type { DecideOptions, Decision, Hop } from './decision.ts'
import { callerWithToken, decideHop } from './decision.ts'
import type { Rule } from './rules.ts'
import { destinationOf } from './rules.ts'
import { announcedTarget, originTarget } from './target.ts'

/** What the rules say about a destination. */
export interface Explanation {
  /** The destination as a rule would name it; `undefined` if no rule can. */
  readonly destination: string | undefined
  /** `to` of the rule that names it. */
  readonly rule: string | undefined
  readonly verdict: 'forward' | 'exchange' | 'withhold'
  /** Why the token would be withheld. */
  readonly reason: WithholdReason | undefined
}

/**
 * Explains `destination`, a URL or what `setDestination` takes, for the caller of `ctx`; without one, for any caller
 * whose token is good.
 */
export function explainDestination(destination: string | URL, ctx: Context, options: DecideOptions): Explanation {
  const hop = hopTo(String(destination))
  const caller = callerWithToken(ctx)
  const { verdict, reason, rule } =
    caller === undefined ? decideForAnyCaller(hop, options) : outcomeOf(decideHop(caller, hop, options))
  return { destination: hop.target === undefined ? undefined : destinationOf(hop.target), rule, verdict, reason }
}

type ExplainOutcome = Omit<Explanation, 'destination'>

function outcomeOf(decision: Decision): ExplainOutcome {
  const reason = decision.verdict === 'withhold' ? decision.reason : undefined
  return { verdict: decision.verdict, reason, rule: decision.rule?.to }
}

function decideForAnyCaller({ target, obstacle }: Hop, { rules, mode, hasSealingKey }: DecideOptions): ExplainOutcome {
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

/** A URL stands for its origin. User and password in it become the application's own `Authorization`. */
export function hopTo(destination: string): Hop {
  const url = URL.canParse(destination) ? new URL(destination) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    return { target: announcedTarget(destination), obstacle: undefined }
  }
  const hasUser = url.username !== '' || url.password !== ''
  return { target: originTarget(url), obstacle: hasUser ? 'own_credential' : undefined }
}
