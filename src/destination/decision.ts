/** Forward, exchange or withhold: the one function that all ways out of the process ask. */

import type { Context } from '@opentelemetry/api'
import { getSlot } from '../context/credential-context.ts'
import type { CredentialSlot, SlotState } from '../context/slot.ts'
import type { RevocationCheck } from '../revocation/check.ts'
import type { WithholdReason } from '../telemetry/auth-event.ts'
import { isTracingSuppressed } from '../telemetry/suppression.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Target } from './pattern.ts'
import type { Rule, Rules } from './rules.ts'
import type { TokenRequest } from './token-request.ts'

/** What happens to the caller's token at one hop. */
export type Decision =
  | {
      readonly verdict: 'forward'
      readonly credential: VerifiedCredential
      readonly rule: Rule
      readonly target: Target
    }
  | {
      readonly verdict: 'exchange'
      /** What leaves, in place of `subject`. */
      readonly credential: VerifiedCredential
      readonly subject: VerifiedCredential
      readonly rule: Rule
      readonly target: Target
    }
  | {
      readonly verdict: 'withhold'
      /** Whose token stays, where it is a verified one. */
      readonly subject: VerifiedCredential | undefined
      readonly reason: WithholdReason
      readonly rule: Rule | undefined
      readonly target: Target | undefined
    }

/** Where a hop goes; `obstacle` is why its transport must not get a token even if the destination is named. */
export interface Hop {
  readonly target: Target | undefined
  readonly obstacle: WithholdReason | undefined
  /** Counts the bytes of the header section that is there already, where the transport knows. */
  readonly headerBytes?: () => number
}

/**
 * Decides one hop. Returns `undefined` where there is nothing to decide: no token came with the caller, or tracing is
 * suppressed, which is how exporters call their back ends. An `ambiguous` hop is always withheld.
 */
export type Decide = (ctx: Context, hop: Hop) => Decision | undefined

/** `enforce` does what was decided; `report` decides and tells, and writes nothing. */
export type EgressMode = 'enforce' | 'report'

/** A relay's rules, and what they are applied with. */
export interface DecideOptions {
  readonly rules: Rules
  /** The other token that is at hand for a caller, where a rule wants one. */
  readonly exchanged: (subject: VerifiedCredential, request: TokenRequest) => VerifiedCredential | undefined
  readonly checkRevocation: RevocationCheck
  readonly mode: EgressMode
  /** Whether there is the key that a rule wants tokens to be sealed with. */
  readonly hasSealingKey: (seal: Rule['seal']) => boolean
  /** Whether nothing may leave now, because it could not be recorded. */
  readonly isBlocked: () => boolean
}

/** `observe` is told every decision. */
export function createDecide(options: DecideOptions, observe: (decision: Decision) => void): Decide {
  return (ctx, hop) => {
    const slot = slotOf(ctx)
    const decision = slot === undefined ? decideNobody(ctx, hop) : decideHop(slot, hop, options)
    if (decision !== undefined) observe(decision)
    return decision
  }
}

/** The caller's token, where there is one and it may be looked at. */
export function slotOf(ctx: Context): CredentialSlot | undefined {
  const slot = getSlot(ctx)
  return slot === undefined || slot.state.status === 'absent' || isTracingSuppressed(ctx) ? undefined : slot
}

/** A hop of two callers has lost both, and is told nevertheless. */
function decideNobody(ctx: Context, { obstacle }: Hop): Decision | undefined {
  if (obstacle !== 'ambiguous' || isTracingSuppressed(ctx)) return undefined
  return { verdict: 'withhold', subject: undefined, reason: obstacle, rule: undefined, target: undefined }
}

/** The verdict on `slot` at `hop`, whoever asks. */
export function decideHop(slot: CredentialSlot, hop: Hop, options: DecideOptions): Decision {
  const { target, obstacle } = hop
  const rule = target === undefined ? undefined : options.rules.match(target)
  const { state } = slot
  const owner = state.status === 'verified' ? state.credential : undefined
  const withhold = (reason: WithholdReason): Decision => ({ verdict: 'withhold', subject: owner, reason, rule, target })

  if (target === undefined || rule === undefined) return withhold(unnamed(target, obstacle))
  if (owner === undefined) return withhold(obstacle ?? unusable(state))
  const subject = owner
  // Nothing is got for a caller, and nothing that was got is used, once its own token is not good any more.
  const reason = obstacle ?? defectOf(subject, options.checkRevocation) ?? riskOf(slot, rule, options)
  if (reason !== undefined) return withhold(reason)
  if (options.mode === 'report') return withhold(excessOf(subject, rule, hop) ?? 'report_only')
  const credential = tokenFor(rule, subject, options)
  if (credential === undefined) return withhold('not_exchanged')
  const isOther = credential !== subject
  const defect =
    (isOther ? defectOf(credential, options.checkRevocation) : undefined) ?? excessOf(credential, rule, hop)
  if (defect !== undefined) return withhold(defect)
  return isOther
    ? { verdict: 'exchange', credential, subject, rule, target }
    : { verdict: 'forward', credential, rule, target }
}

/** What the destination is to get; `undefined` where that is not at hand. */
function tokenFor(
  { exchange }: Rule,
  subject: VerifiedCredential,
  { exchanged }: DecideOptions,
): VerifiedCredential | undefined {
  if (exchange === undefined) return subject
  return exchanged(subject, exchange.request) ?? (exchange.onFailure === 'forward' ? subject : undefined)
}

function unnamed(target: Target | undefined, obstacle: WithholdReason | undefined): WithholdReason {
  return target === undefined ? (obstacle ?? 'unknown_destination') : 'not_named'
}

function unusable({ status }: SlotState): WithholdReason {
  return status === 'ambiguous' ? status : 'not_verified'
}

/** Why a token that was good when it came in is not any more. */
function defectOf(credential: VerifiedCredential, checkRevocation: RevocationCheck): WithholdReason | undefined {
  if (credential.expiresAtMillis <= Date.now()) return 'expired'
  const verdict = checkRevocation(credential)
  if (verdict === 'good') return undefined
  return verdict === 'revoked' ? 'revoked' : 'revocation_unavailable'
}

function riskOf(
  slot: CredentialSlot,
  rule: Rule,
  { hasSealingKey, isBlocked }: DecideOptions,
): WithholdReason | undefined {
  if (isBlocked()) return 'audit_failed'
  if (slot.ended && rule.detached === 'withhold') return 'detached'
  return rule.seal === false || hasSealingKey(rule.seal) ? undefined : 'not_sealed'
}

const FIELD_BYTES = 'authorization: Bearer \r\n'.length

function excessOf(credential: VerifiedCredential, rule: Rule, { headerBytes }: Hop): WithholdReason | undefined {
  const bytes = FIELD_BYTES + credential.byteLength + (headerBytes?.() ?? 0)
  return bytes > rule.maxHeaderBytes ? 'header_too_large' : undefined
}
