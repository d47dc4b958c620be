/** Forward or withhold: the one function that all ways out of the process ask. */

import type { Context } from '@opentelemetry/api'
import { getSlot } from '../context/credential-context.ts'
import type { SlotState } from '../context/slot.ts'
import type { RevocationCheck } from '../revocation/check.ts'
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
export type Decide = (ctx: Context, hop: Hop) => Decision | undefined

export function createDecide(rules: Rules, checkRevocation: RevocationCheck): Decide {
  return (ctx, { target, obstacle }) => {
    const state = stateOf(ctx)
    if (state === undefined) return undefined
    const rule = target === undefined ? undefined : rules.match(target)
    const withhold = (reason: WithholdReason): Decision => ({ verdict: 'withhold', reason, rule, target })

    if (target === undefined || rule === undefined) return withhold(unnamed(target, obstacle))
    if (state.status !== 'verified') return withhold(obstacle ?? 'not_verified')
    const reason = obstacle ?? defectOf(state.credential, checkRevocation) ?? riskOf(target, rule)
    return reason === undefined ? { verdict: 'forward', credential: state.credential, rule, target } : withhold(reason)
  }
}

/** The state of the caller's token, where there is one and it may be looked at. */
function stateOf(ctx: Context): SlotState | undefined {
  const state = getSlot(ctx)?.state
  return state === undefined || state.status === 'absent' || isTracingSuppressed(ctx) ? undefined : state
}

function unnamed(target: Target | undefined, obstacle: WithholdReason | undefined): WithholdReason {
  return target === undefined ? (obstacle ?? 'unknown_destination') : 'not_named'
}

/** Why a token that was good when it came in is not any more. */
function defectOf(credential: VerifiedCredential, checkRevocation: RevocationCheck): WithholdReason | undefined {
  if (credential.expiresAtMillis <= Date.now()) return 'expired'
  const verdict = checkRevocation(credential)
  if (verdict === 'good') return undefined
  return verdict === 'revoked' ? 'revoked' : 'revocation_unavailable'
}

function riskOf(target: Target, rule: Rule): WithholdReason | undefined {
  return target.kind === 'messaging' && rule.seal ? 'not_sealed' : undefined
}
