/** The metrics of what the relay does with tokens. None of them throws, and no attribute comes from a request. */

import type { TokenErrorCode } from '../token/errors.ts'
import type { MessageVerdict, RevocationKind, RevocationOutcome, WithholdReason } from './events.ts'
import type { CountOne, TakeValue } from './instruments.ts'
import {
  createBatchedHistogram,
  createCheapCounter,
  createCounter,
  createGauge,
  createHistogram,
  createUpDownCounter,
  LATENCIES,
} from './instruments.ts'

export interface VerificationMeasurement {
  readonly outcome: 'verified' | 'rejected' | 'undecided'
  readonly code: TokenErrorCode | undefined
  /** `undefined` if the token was found in the cache. */
  readonly seconds: number | undefined
}

const verifications = createCheapCounter('auth.verifications', {
  description: 'Verifications of the tokens of requests and messages, and those that the application asked for.',
  unit: '{verification}',
})

const recordVerificationDuration = createHistogram('auth.verification.duration', {
  description: 'Duration of verifications that no cache answered, including the time to fetch keys.',
  boundaries: [0.000_1, 0.000_25, 0.000_5, ...LATENCIES],
})

/** By outcome or code. */
const verificationCounters = { cached: new Map<string, CountOne>(), decided: new Map<string, CountOne>() }

export function measureVerification({ outcome, code, seconds }: VerificationMeasurement): void {
  const counters = seconds === undefined ? verificationCounters.cached : verificationCounters.decided
  let countOne = counters.get(code ?? outcome)
  if (countOne === undefined) {
    countOne = verifications.createSeries({
      ...attributesOf(outcome, code),
      'auth.verification.cached': seconds === undefined,
    })
    counters.set(code ?? outcome, countOne)
  }
  countOne()
  if (seconds !== undefined) recordVerificationDuration(seconds, attributesOf(outcome, code))
}

function attributesOf(outcome: VerificationMeasurement['outcome'], code: TokenErrorCode | undefined) {
  return { 'auth.verification.outcome': outcome, ...errorType(code) }
}

/** `rule` is a configured one. */
export interface DecisionMeasurement {
  readonly verdict: 'forward' | 'exchange' | 'withhold'
  readonly reason: WithholdReason | undefined
  readonly rule: string | undefined
  /** Expiry of the token that is sent; `Infinity` if it has none. */
  readonly expiresAtMillis?: number
}

const decisions = createCheapCounter('auth.decisions', {
  description: "Decisions about the caller's token at outgoing requests.",
  unit: '{decision}',
})

const lifetimes = createBatchedHistogram(
  'auth.token.remaining_lifetime',
  {
    description: 'Remaining lifetime of tokens at the moment they are sent.',
    boundaries: [1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400],
  },
  decisions,
)

/** By rule. */
const lifetimesByRule = new Map<string, TakeValue>()

/** By rule, then by reason or verdict: bounded by the configured rules times the reasons. */
const decisionCounters = new Map<string | undefined, Map<string, CountOne>>()

export function measureDecision({ verdict, reason, rule, expiresAtMillis = Infinity }: DecisionMeasurement): void {
  let counters = decisionCounters.get(rule)
  if (counters === undefined) {
    counters = new Map()
    decisionCounters.set(rule, counters)
  }
  let countOne = counters.get(reason ?? verdict)
  if (countOne === undefined) {
    countOne = decisions.createSeries({
      'auth.decision.verdict': verdict,
      ...(reason === undefined ? {} : { 'auth.decision.reason': reason }),
      ...(rule === undefined ? {} : { 'auth.decision.rule': rule }),
    })
    counters.set(reason ?? verdict, countOne)
  }
  countOne()
  if (rule === undefined || expiresAtMillis === Infinity) return
  let takeLifetime = lifetimesByRule.get(rule)
  if (takeLifetime === undefined) {
    takeLifetime = lifetimes({ 'auth.decision.rule': rule })
    lifetimesByRule.set(rule, takeLifetime)
  }
  takeLifetime(Math.max(0, (expiresAtMillis - Date.now()) / 1000))
}

const addRejections = createCounter('auth.downstream.rejections', {
  description: 'Answers 401 of destinations that a token was sent to: it has another audience, or is revoked.',
  unit: '{response}',
})

/** `rule` is a configured one. */
export function measureDownstreamRejection(rule: string): void {
  addRejections(1, { 'auth.decision.rule': rule })
}

const addUngated = createCounter('auth.ungated_requests', {
  description: 'Requests that a server accepted while the relay had no gate and no adapter was in use. Alert on any.',
  unit: '{request}',
})

export function measureUngatedRequest(): void {
  addUngated(1)
}

const addCallerless = createCounter('auth.callerless_requests', {
  description: 'Requests that ingress.mode optional or report has let in without a caller, and require would refuse.',
  unit: '{request}',
})

export function measureCallerlessRequest(code: TokenErrorCode): void {
  addCallerless(1, errorType(code))
}

const addDroppedBaggage = createCounter('auth.baggage.dropped', {
  description: 'Baggage entries that were dropped because they held a token.',
  unit: '{entry}',
})

export function measureDroppedBaggage(entries: number): void {
  addDroppedBaggage(entries)
}

/** `system` is one that rules can name. */
export interface MessageMeasurement {
  readonly verdict: MessageVerdict
  readonly code: TokenErrorCode | undefined
  readonly system: string | undefined
}

const addMessages = createCounter('auth.messages', {
  description: 'Messages that were read, by the identity that handles them.',
  unit: '{message}',
})

export function measureMessage({ verdict, code, system }: MessageMeasurement): void {
  addMessages(1, {
    'auth.message.verdict': verdict,
    ...errorType(code),
    ...(system === undefined ? {} : { 'messaging.system': system }),
  })
}

export interface SealingMeasurement {
  readonly operation: 'seal' | 'open'
  /** Why the token could not be opened. */
  readonly code?: TokenErrorCode | undefined
  readonly outcome: 'success' | 'failure'
}

const addSealingOperations = createCounter('auth.sealing.operations', {
  description: 'Tokens that were sealed into messages or opened from them.',
  unit: '{operation}',
})

export function measureSealing({ operation, outcome, code }: SealingMeasurement): void {
  addSealingOperations(1, {
    'auth.sealing.operation': operation,
    'auth.sealing.outcome': outcome,
    ...errorType(code),
  })
}

const addRevocations = createCounter('auth.revocations', {
  description: 'Tokens, sessions and subjects that this process has revoked.',
  unit: '{revocation}',
})

const recordRevocationLag = createHistogram('auth.revocation.lag', {
  description: 'Time from when Redis stored a revocation of another process until this process learned of it.',
  boundaries: LATENCIES,
})

const recordRevocationAge = createGauge('auth.revocation.age', {
  description: "Age of this process's copy of the Redis revocation list.",
  unit: 's',
})

export function measureRevocation(kind: RevocationKind, outcome: RevocationOutcome): void {
  addRevocations(1, { 'auth.revocation.kind': kind, 'auth.revocation.outcome': outcome })
}

/** Ignores a lag that is not finite: a message of another publisher may not say when it was stored. */
export function measureRevocationLag(seconds: number): void {
  if (Number.isFinite(seconds)) recordRevocationLag(seconds)
}

export function measureRevocationAge(seconds: number): void {
  recordRevocationAge(seconds)
}

const addAuditFailures = createCounter('auth.audit.failures', {
  description: 'Audit records that may not have reached disk. Alert on any increase.',
  unit: '{record}',
})

const addAuditBacklog = createUpDownCounter('auth.audit.backlog', {
  description: 'Audit records that the disk has not acknowledged yet.',
  unit: '{record}',
})

export function measureAuditFailure(): void {
  addAuditFailures(1)
}

export function measureAuditBacklog(change: 1 | -1): void {
  addAuditBacklog(change)
}

function errorType(code: TokenErrorCode | undefined): { readonly 'error.type'?: TokenErrorCode } {
  return code === undefined ? {} : { 'error.type': code }
}
