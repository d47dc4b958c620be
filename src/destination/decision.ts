/** Decides whether a token is forwarded, exchanged or withheld: every way out of the process asks this function. */

import type { Context } from '@opentelemetry/api'
import { createObjectMetadata } from '../base/object-metadata.ts'
import type { Caller } from '../context/caller.ts'
import { callerOf } from '../context/credential-context.ts'
import type { RevocationCheck } from '../revocation/check.ts'
import type { AuthEvent, DestinationAttributes, WithholdReason } from '../telemetry/events.ts'
import { isTracingSuppressed } from '../telemetry/suppression.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { hasExpired } from '../token/verified-credential.ts'
import type { Target } from './pattern.ts'
import type { Rule, Rules } from './rules.ts'
import { destinationOf } from './rules.ts'
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
      /** The token that leaves in place of `subject`. */
      readonly credential: VerifiedCredential
      readonly subject: VerifiedCredential
      readonly rule: Rule
      readonly target: Target
    }
  | {
      readonly verdict: 'withhold'
      /** The verified token that stays; `undefined` if it is not verified. */
      readonly subject: VerifiedCredential | undefined
      readonly reason: WithholdReason
      readonly rule: Rule | undefined
      readonly target: Target | undefined
    }

/** Where a hop goes; `obstacle` is why its transport must not get a token even if the destination is named. */
export interface Hop {
  readonly target: Target | undefined
  readonly obstacle: WithholdReason | undefined
  /** Counts the bytes of the header section that is there already, if the transport knows. */
  readonly headerBytes?: () => number
  /** Asks beforehand: the decision is not reported. */
  readonly isTentative?: boolean
}

/**
 * Decides one hop. Returns `undefined` if there is nothing to decide: the caller has no token, or tracing is
 * suppressed, which is how exporters call their back ends. At an `ambiguous` hop every token is withheld.
 */
export type Decide = (ctx: Context, hop: Hop) => Decision | undefined

/** `enforce` does what was decided; `report` decides and reports, and writes no token. */
export type EgressMode = 'enforce' | 'report'

/** The rules of a relay, and what a decision depends on besides. */
export interface DecideOptions {
  readonly rules: Rules
  /** The exchanged token of a caller, if it is there already. */
  readonly exchanged: (subject: VerifiedCredential, request: TokenRequest) => VerifiedCredential | undefined
  readonly checkRevocation: RevocationCheck
  readonly mode: EgressMode
  /** Whether there is the key that a rule seals tokens with. */
  readonly hasSealingKey: (seal: Rule['seal']) => boolean
  /** Whether no token may leave now, because the audit trail cannot record it. */
  readonly isBlocked: () => boolean
}

/** Learns of a decision, and of the context that it was made for. */
export type Observe = (decision: Decision, ctx: Context) => void

/** Returns a function that decides, and reports every decision to `observe`. */
export function createDecide(options: DecideOptions, observe: Observe): Decide {
  return (ctx, hop) => {
    const caller = callerWithToken(ctx)
    const decision = caller === undefined ? decideWithoutCaller(ctx, hop) : decideHop(caller, hop, options)
    if (decision !== undefined && hop.isTentative !== true) observe(decision, ctx)
    return decision
  }
}

/** Whether a token may go to `hop` when its request is sent. If not, there is nothing to decide later. */
export function mayGetToken(ctx: Context, hop: Hop, decide: Decide): boolean {
  if (hop.obstacle !== undefined || callerOf(ctx) === undefined) return false
  const decision = decide(ctx, { ...hop, isTentative: true })
  return decision?.rule !== undefined
}

/** The caller of `ctx`, if there is one and tracing is not suppressed. */
export function callerWithToken(ctx: Context): Caller | undefined {
  const caller = callerOf(ctx)
  return caller === undefined || caller.state.status === 'absent' || isTracingSuppressed(ctx) ? undefined : caller
}

/** A hop of several callers has no caller, but is still reported. */
function decideWithoutCaller(ctx: Context, { obstacle }: Hop): Decision | undefined {
  if (obstacle !== 'ambiguous' || isTracingSuppressed(ctx)) return undefined
  return { verdict: 'withhold', subject: undefined, reason: obstacle, rule: undefined, target: undefined }
}

/** Decides for `caller` at `hop`. A token that is not verified never leaves. */
export function decideHop(caller: Caller, hop: Hop, options: DecideOptions): Decision {
  const { target, obstacle } = hop
  const rule = target === undefined ? undefined : options.rules.match(target)
  const { state } = caller
  const subject = state.status === 'verified' ? state.credential : undefined
  if (target === undefined) return withhold(obstacle ?? 'unknown_destination', { subject, rule, target })
  if (rule === undefined) return withhold('not_named', { subject, rule, target })
  switch (state.status) {
    case 'verified':
      return decideNamed({ caller, subject: state.credential, rule, target }, hop, options)
    case 'ambiguous':
      return withhold(obstacle ?? 'ambiguous', { subject, rule, target })
    // Absent, sealed, unverified, rejected, and any state that is not known.
    default:
      return withhold(obstacle ?? 'not_verified', { subject, rule, target })
  }
}

type Withheld = Extract<Decision, { readonly verdict: 'withhold' }>

function withhold(reason: WithholdReason, hop: Pick<Withheld, 'subject' | 'rule' | 'target'>): Withheld {
  return { verdict: 'withhold', subject: hop.subject, reason, rule: hop.rule, target: hop.target }
}

/** A verified caller at a destination that a rule names. */
interface NamedHop {
  readonly caller: Caller
  readonly subject: VerifiedCredential
  readonly rule: Rule
  readonly target: Target
}

function decideNamed(named: NamedHop, hop: Hop, options: DecideOptions): Decision {
  const { caller, subject, rule, target } = named
  // If the caller's own token is bad, no other token is used for them.
  const reason = hop.obstacle ?? defectOf(subject, options.checkRevocation) ?? riskOf(caller, rule, options)
  if (reason !== undefined) return withhold(reason, named)
  if (options.mode === 'report') return withhold(excessOf(subject, rule, hop) ?? 'report_only', named)
  const credential = tokenFor(rule, subject, options)
  if (credential === undefined) return withhold('not_exchanged', named)
  const isExchanged = credential !== subject
  const defect =
    (isExchanged ? defectOf(credential, options.checkRevocation) : undefined) ?? excessOf(credential, rule, hop)
  if (defect !== undefined) return withhold(defect, named)
  return isExchanged
    ? { verdict: 'exchange', credential, subject, rule, target }
    : { verdict: 'forward', credential, rule, target }
}

/** The token that the destination gets; `undefined` if it is not there. */
function tokenFor(
  { exchange }: Rule,
  subject: VerifiedCredential,
  { exchanged }: DecideOptions,
): VerifiedCredential | undefined {
  if (exchange === undefined) return subject
  return exchanged(subject, exchange.request) ?? (exchange.onFailure === 'forward' ? subject : undefined)
}

/** Why a token is no longer good. */
function defectOf(credential: VerifiedCredential, checkRevocation: RevocationCheck): WithholdReason | undefined {
  if (hasExpired(credential)) return 'expired'
  const verdict = checkRevocation(credential)
  if (verdict === 'good') return undefined
  return verdict === 'revoked' ? 'revoked' : 'revocation_unavailable'
}

/** Why a good token must not leave now. */
function riskOf(caller: Caller, rule: Rule, { hasSealingKey, isBlocked }: DecideOptions): WithholdReason | undefined {
  if (isBlocked()) return 'audit_failed'
  if (caller.requestIsOver && rule.detached === 'withhold') return 'detached'
  return rule.seal === false || hasSealingKey(rule.seal) ? undefined : 'not_sealed'
}

const FIELD_BYTES = 'authorization: Bearer \r\n'.length

function excessOf(credential: VerifiedCredential, rule: Rule, { headerBytes }: Hop): WithholdReason | undefined {
  const bytes = FIELD_BYTES + credential.byteLength + (headerBytes?.() ?? 0)
  return bytes > rule.maxHeaderBytes ? 'header_too_large' : undefined
}

/** The event that a decision is recorded as. */
export function eventOf(decision: Decision): AuthEvent {
  return decision.verdict !== 'withhold'
    ? {
        name: decision.rule.seal === false ? 'auth.token.forwarded' : 'auth.token.sealed',
        credential: decision.credential,
        subject: decision.verdict === 'exchange' ? decision.subject : undefined,
        rule: decision.rule.to,
        destination: namedDestination(decision.rule, decision.target),
      }
    : {
        name: 'auth.token.withheld',
        reason: decision.reason,
        rule: decision.rule?.to,
        destination: decision.target === undefined ? undefined : withEntry(decision.target),
        subject: decision.subject,
      }
}

const namedDestinations = createObjectMetadata<DestinationAttributes>()

/** What a rule without a wildcard names is the same each time. */
function namedDestination(rule: Rule, target: Target): DestinationAttributes {
  if (rule.pattern.wildcard) return withEntry(target)
  let known = namedDestinations.get(rule)
  if (known === undefined) {
    known = withEntry(rule.pattern)
    namedDestinations.set(rule, known)
  }
  return known
}

function withEntry(target: Target): DestinationAttributes {
  const entry = destinationOf(target)
  return entry === undefined ? attributesOf(target) : { ...attributesOf(target), 'auth.decision.destination': entry }
}

export function attributesOf(target: Target): DestinationAttributes {
  return target.kind === 'network'
    ? { 'server.address': target.host, 'server.port': target.port }
    : { 'messaging.system': target.system, 'messaging.destination.name': target.name }
}
