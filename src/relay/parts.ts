/** The parts of a relay that know nothing of servers and clients: verification, sealing, exchange, decisions. */

import process from 'node:process'
import { trace } from '@opentelemetry/api'
import type { Audit } from '../audit/audit.ts'
import { openAudit } from '../audit/audit.ts'
import type { Settings } from '../config/options.ts'
import type { Decision, Observe } from '../destination/decision.ts'
import { createDecide } from '../destination/decision.ts'
import { createDetector } from '../destination/lost-caller-warnings.ts'
import type { ObservedDestinations } from '../destination/observed.ts'
import { createObservedDestinations } from '../destination/observed.ts'
import { isWorker } from '../destination/pattern.ts'
import type { Rule } from '../destination/rules.ts'
import { compileRules } from '../destination/rules.ts'
import { createWithheldLog } from '../destination/withheld-log.ts'
import { createExchangers } from '../exchange/exchanger.ts'
import { createPreparation } from '../exchange/preparation.ts'
import { MAX_KEPT_CHARS } from '../exchange/shared-source.ts'
import type { RevocationCheck } from '../revocation/check.ts'
import { createRevocationCheck } from '../revocation/check.ts'
import { createMemoryRevocationList } from '../revocation/entries.ts'
import type { RevocationList } from '../revocation/list.ts'
import { createCredentialWatch } from '../revocation/watch.ts'
import { createMemoryReplayWindow } from '../sealing/replay-window.ts'
import type { Sealing } from '../sealing/sealing.ts'
import { createSealing, measureOutcomes } from '../sealing/sealing.ts'
import type { Threads } from '../sealing/threads.ts'
import { threadsOf } from '../sealing/threads.ts'
import { measureDecision } from '../telemetry/metrics.ts'
import { createRedaction } from '../telemetry/redaction/redaction.ts'
import type { TokenError } from '../token/errors.ts'
import { TokenRejectedError, UndecidedError } from '../token/errors.ts'
import type { CredentialTraits, VerifiedCredential } from '../token/verified-credential.ts'
import { createIssuers } from '../verification/issuers.ts'
import { keySetReporter } from '../verification/keys/key-set-reporter.ts'
import { createVerifier } from '../verification/verifier.ts'

export type Parts = ReturnType<typeof assembleParts>

/** Longest token that any issuer may accept: the limits of a resolver's issuers are not known in advance. */
const MAX_TOKEN_BYTES = 65_536

export function assembleParts(settings: Settings) {
  const limits = settings.issuers.map((issuer) => issuer.maxTokenBytes)
  const maxTokenBytes = settings.resolveIssuer === undefined ? Math.max(...limits) : MAX_TOKEN_BYTES
  const { fingerprintKey } = settings
  const audit = openAudit({ ...settings.audit, fingerprintKey })
  const list = settings.revocation.list ?? createMemoryRevocationList()
  const verification = assembleVerification(settings, list)
  const threads = threadsOf(settings.rules.some(({ pattern }) => isWorker(pattern)))
  const sealing = createMessageSealing(settings, maxTokenBytes, threads)
  const rules = settings.sealing.keys.length > 0 ? settings.rules : withThreadKey(settings.rules, threads)
  const exchange = assembleExchange({ ...settings, rules }, verification, sealing, audit)
  const observed = createObservedDestinations()
  const observe = createObserver(settings, observed)
  const { deciding } = exchange
  const detector = createDetector(settings.egress.detector, deciding.rules, createDecide(deciding, observe))
  return { maxTokenBytes, audit, list, ...verification, sealing, ...exchange, observed, detector }
}

function assembleVerification(settings: Settings, list: RevocationList) {
  const { fingerprintKey, cache, revocation, telemetry } = settings
  const issuers = createIssuers(settings.issuers, settings.resolveIssuer, keySetReporter)
  const checkRevocation = createRevocationCheck(list, revocation.onUnavailable, issuers.clockToleranceOf)
  const watch = createCredentialWatch(checkRevocation)
  const redaction = createRedaction(cache.maxEntries)
  const { memory } = redaction
  const traits: CredentialTraits = {
    fingerprintKey,
    actors: telemetry.actors,
    pseudonymKey: telemetry.pseudonymKey,
    watch: (token) => watch.signalFor(token),
    memory,
  }
  const verifier = createVerifier({ issuers, checkRevocation, traits, maxEntries: cache.maxEntries })
  return { issuers, checkRevocation, watch, traits, verifier, redaction }
}

type VerificationParts = ReturnType<typeof assembleVerification>

function assembleExchange(
  settings: Settings,
  { issuers, checkRevocation, traits }: VerificationParts,
  sealing: Sealing,
  audit: Audit | undefined,
) {
  const { exchanges, rules: listed, egress } = settings
  const sharing = { sealing: createSharedSealing(settings), defectOf: createDefectCheck(checkRevocation) }
  const exchangers = createExchangers({ settings: exchanges, issuers, traits, sharing })
  const isBlocked = (): boolean => audit?.isBlocked() === true
  const matching = { rules: compileRules(listed), hasSealingKey: sealing.hasKey }
  const rules = { ...matching, checkRevocation, mode: egress.mode, isBlocked }
  const preparation = createPreparation({ ...rules, listed, exchangers: exchangers.byIssuer })
  return { exchangers, preparation, deciding: { ...rules, exchanged: preparation.exchanged } }
}

/** Without a configured key, hand-overs are sealed for threads of this process only. */
function withThreadKey(rules: readonly Rule[], threads: Threads | undefined): readonly Rule[] {
  return rules.map((rule) => (isWorker(rule.pattern) ? { ...rule, seal: threads?.key.kid ?? true } : rule))
}

function createMessageSealing(settings: Settings, maxTokenBytes: number, threads: Threads | undefined): Sealing {
  const { sealing } = settings
  const replayWindow = sealing.replayWindow ?? createMemoryReplayWindow()
  const handOverWindow = sealing.replayWindow ?? threads?.window ?? replayWindow
  const producer = producerOf(settings)
  return measureOutcomes(createSealing({ ...sealing, producer, replayWindow, maxTokenBytes, threads, handOverWindow }))
}

/** For exchanged tokens, which every process that has the secret opens, any number of times. */
function createSharedSealing(settings: Settings): Sealing {
  const { sealing } = settings
  const keys = sealing.keys.filter(({ alg }) => alg === 'A256KW')
  const replayWindow = { count: () => 1 }
  const producer = producerOf(settings)
  return createSealing({ ...sealing, keys, producer, replayWindow, maxTokenBytes: MAX_KEPT_CHARS })
}

function producerOf({ sealing, issuers }: Settings): string {
  return sealing.producer ?? (process.env['OTEL_SERVICE_NAME'] || issuers[0]?.audience?.[0]) ?? 'unknown'
}

type Defect = 'ERR_TOKEN_EXPIRED' | 'ERR_TOKEN_REVOKED' | 'ERR_TOKEN_REVOCATION_UNAVAILABLE'

/** Returns a function that says why a token that this service got for itself cannot be used now. */
function createDefectCheck(checkRevocation: RevocationCheck): (token: VerifiedCredential) => Defect | undefined {
  return (token) => {
    if (token.expiresAtMillis <= Date.now()) return 'ERR_TOKEN_EXPIRED'
    const verdict = checkRevocation(token)
    if (verdict === 'good') return undefined
    return verdict === 'revoked' ? 'ERR_TOKEN_REVOKED' : 'ERR_TOKEN_REVOCATION_UNAVAILABLE'
  }
}

/** The same as an error. */
export function createErrorCheck(
  checkRevocation: RevocationCheck,
): (token: VerifiedCredential) => TokenError | undefined {
  const defectOf = createDefectCheck(checkRevocation)
  return (token) => {
    const defect = defectOf(token)
    if (defect === undefined) return undefined
    if (defect === 'ERR_TOKEN_REVOCATION_UNAVAILABLE') return new UndecidedError(defect, 1)
    return new TokenRejectedError(defect)
  }
}

function countDecision(decision: Decision): void {
  const { verdict, rule } = decision
  if (verdict === 'withhold') return measureDecision({ verdict, reason: decision.reason, rule: rule?.to })
  const { expiresAtMillis } = decision.credential
  measureDecision({ verdict, reason: undefined, rule: rule?.to, expiresAtMillis })
}

function createObserver({ egress, telemetry }: Settings, observed: ObservedDestinations): Observe {
  const logWithheld = telemetry.log === 'off' ? undefined : createWithheldLog()
  if (egress.mode !== 'report' && logWithheld === undefined) return countDecision
  return (decision, ctx) => {
    countDecision(decision)
    if (egress.mode === 'report') observed.add(decision)
    if (decision.verdict === 'withhold') logWithheld?.(decision, trace.getSpan(ctx))
  }
}
