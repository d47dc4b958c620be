/** Forward or withhold: the one function that all ways out of the process ask. */

import type { Context } from '@opentelemetry/api'
import { getSlot } from '../context/credential-context.ts'
import type { WithholdReason } from '../telemetry/auth-event.ts'
import { isTracingSuppressed } from '../telemetry/suppression.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Target } from './pattern.ts'
import type { Rule, Rules } from './rules.ts'

/** What happens to the caller's token at one hop. */
export type Decision =
  | {
      readonly verdict: 'forward'
      readonly credential: VerifiedCredential
      readonly rule: Rule
      readonly target: Target
    }
  | {
      readonly verdict: 'withhold'
      readonly reason: WithholdReason
      readonly rule: Rule | undefined
      readonly target: Target | undefined
    }

/** Where a hop goes; `obstacle` is why its transport must not get a token even if the destination is named. */
export interface Hop {
  readonly target: Target | undefined
  readonly obstacle: WithholdReason | undefined
}

/**
 * Decides one hop. Returns `undefined` where there is nothing to decide: no token came with the caller, or tracing is
 * suppressed, which is how exporters call their back ends.
 */
export function decide(ctx: Context, hop: Hop, rules: Rules): Decision | undefined {
  const state = getSlot(ctx)?.state
  if (state === undefined || state.status === 'absent' || isTracingSuppressed(ctx)) return undefined
  const { target } = hop
  const rule = target === undefined ? undefined : rules.match(target)
  const withhold = (reason: WithholdReason): Decision => ({ verdict: 'withhold', reason, rule, target })

  if (target === undefined) return withhold(hop.obstacle ?? 'unknown_destination')
  if (rule === undefined) return withhold('not_named')
  if (hop.obstacle !== undefined) return withhold(hop.obstacle)
  if (state.status !== 'verified') return withhold('not_verified')
  if (state.credential.expiresAtMillis <= Date.now()) return withhold('expired')
  if (target.kind === 'messaging' && rule.seal) return withhold('not_sealed')
  return { verdict: 'forward', credential: state.credential, rule, target }
}
