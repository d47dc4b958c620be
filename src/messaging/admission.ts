/** Admits a message: as its caller, with a fresh token of the caller, as the service itself, or not at all. */

import type { Context } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import type { Audit } from '../audit/audit.ts'
import { Caller } from '../context/caller.ts'
import { callerOf, deleteCredential, withCaller } from '../context/credential-context.ts'
import type { ConsumeRule, Rules } from '../destination/rules.ts'
import { announcedTarget } from '../destination/target.ts'
import type { Exchangers } from '../exchange/exchanger.ts'
import { DEFAULT_REQUEST } from '../exchange/exchanger.ts'
import type { TokenSource } from '../exchange/token-source.ts'
import type { Admit, Entrance, Outcome } from '../ingress/admission.ts'
import type { AdmittedMessage, HandledAs } from '../propagation/delivery.ts'
import type { MessageReader } from '../propagation/message.ts'
import type { RevocationCheck } from '../revocation/check.ts'
import type { TokenError } from '../token/errors.ts'
import { TokenRejectedError, UndecidedError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Verifier } from '../verification/verifier.ts'
import { MessageReport } from './message-report.ts'

/**
 * Decides on the message that `ctx` was extracted from. Rejects with a `TokenError` if the message must not be handled,
 * or not now. `isLost` returns whether the broker already delivers the message to another consumer.
 */
export type AdmitMessage = (ctx: Context, source: string, isLost?: () => boolean) => Promise<AdmittedMessage>

export interface MessageAdmitterOptions {
  readonly rules: Rules
  readonly exchangers: Exchangers
  readonly messages: MessageReader
  readonly verifier: Verifier
  readonly checkRevocation: RevocationCheck
  readonly admit: Admit
  /** The decision is recorded here before the message is handled. */
  readonly audit: Pick<Audit, 'acknowledged'> | undefined
}

/** One message on its way to a handler. */
interface MessageAttempt {
  readonly ctx: Context
  readonly caller: Caller
  readonly rule: ConsumeRule
  readonly report: MessageReport
  readonly isLost: () => boolean
}

const OWN = { refreshToken: undefined, request: DEFAULT_REQUEST }

/** The rule for a source that no rule names: the strictest one. */
const STRICT: ConsumeRule = { onExpired: 'reject', onMissing: 'reject' }

export function createMessageAdmitter(options: MessageAdmitterOptions): AdmitMessage {
  const admitter = new MessageAdmitter(options)
  return (ctx, source, isLost = () => false) => admitter.admit(ctx, source, isLost)
}

class MessageAdmitter {
  readonly #options: MessageAdmitterOptions
  /** Sources of the service's own tokens, by issuer. */
  readonly #workloads = new Map<string, TokenSource>()

  constructor(options: MessageAdmitterOptions) {
    this.#options = options
  }

  async admit(ctx: Context, source: string, isLost: () => boolean): Promise<AdmittedMessage> {
    const caller = callerOf(ctx) ?? Caller.fromHeader({ kind: 'none' })
    const report = new MessageReport(ctx, source, this.#options.audit)
    try {
      const admitted = await this.#admitAttempt({ ctx, caller, rule: this.#ruleFor(source), report, isLost })
      report.measure(admitted.as, undefined)
      return admitted
    } catch (error) {
      const { code, retryable } = error as TokenError
      const verdict = retryable ? 'undecided' : 'rejected'
      report.record(verdict, code)
      report.measure(verdict, code)
      throw error
    }
  }

  #ruleFor(source: string): ConsumeRule {
    const target = announcedTarget(source)
    return (target === undefined ? undefined : this.#options.rules.match(target)?.consume) ?? STRICT
  }

  async #admitAttempt(message: MessageAttempt): Promise<AdmittedMessage> {
    const { ctx, caller, rule, report } = message
    const outcome = await this.#enter(message, caller, {
      requireToken: rule.onMissing !== 'no-caller',
      record: report.recordOnce((credential) => (credential === undefined ? 'no-caller' : 'caller')),
    })
    if (!outcome.admitted) return this.#admitReplacement(message, outcome.error)
    const isCaller = outcome.credential !== undefined
    return { as: isCaller ? 'caller' : 'no-caller', context: isCaller ? ctx : deleteCredential(ctx), origin: undefined }
  }

  /** Admits another token in place of the presented one, if the rule allows it. Rejects with `error` otherwise. */
  async #admitReplacement(message: MessageAttempt, error: TokenError): Promise<AdmittedMessage> {
    const { caller, rule } = message
    if (rule.onExpired === 'reject') throw error
    const origin = await this.#options.messages.origin(caller, this.#options.verifier)
    if (origin === undefined) throw error
    switch (rule.onExpired) {
      case 'workload':
        return this.#admitWorkload(message, origin, error)
      case 'exchange':
        return this.#admitExchanged(message, origin, error)
      default:
        throw error
    }
  }

  async #admitWorkload(
    message: MessageAttempt,
    origin: VerifiedCredential,
    error: TokenError,
  ): Promise<AdmittedMessage> {
    const { issuer } = origin
    const source = this.#workloads.get(issuer) ?? this.#options.exchangers.source({ ...OWN, issuer })
    if (source === undefined) throw error
    this.#workloads.set(issuer, source)
    return this.#admitAs('workload', message, Caller.renewed(source, await source.get()), origin)
  }

  /** A revoked token is not exchanged for a fresh one. */
  async #admitExchanged(
    message: MessageAttempt,
    origin: VerifiedCredential,
    error: TokenError,
  ): Promise<AdmittedMessage> {
    const exchanger = this.#options.exchangers.byIssuer.get(origin.issuer)
    if (exchanger === undefined || error.code === 'ERR_TOKEN_REVOKED') throw error
    // An expired token is refused before its revocation is checked.
    const refusal = this.#revocationErrorOf(origin)
    if (refusal !== undefined) throw refusal
    const fresh = Caller.unverified(await exchanger.reissue(origin))
    return this.#admitAs('exchanged', message, fresh, origin, () => this.#revocationErrorOf(origin))
  }

  /** The replacement passes the same admission as the presented token. */
  async #admitAs(
    as: HandledAs,
    message: MessageAttempt,
    replacement: Caller,
    origin: VerifiedCredential,
    check: Entrance['check'] = () => undefined,
  ): Promise<AdmittedMessage> {
    const record = message.report.recordOnce(() => as, origin)
    const caller = message.caller.replaceBy(replacement)
    const outcome = await this.#enter(message, caller, { requireToken: true, record, check })
    if (!outcome.admitted) throw outcome.error
    return { as, context: withCaller(message.ctx, replacement), origin }
  }

  #enter(message: MessageAttempt, caller: Caller, entrance: Omit<Entrance, 'onSpan' | 'prepare'>) {
    const check = (): TokenError | undefined => entrance.check?.() ?? errorIfLost(message)
    return runInSpanOf(message.ctx, () =>
      this.#options.admit(caller, { ...entrance, check, onSpan: true, prepare: false }),
    )
  }

  #revocationErrorOf(origin: VerifiedCredential): TokenError | undefined {
    switch (this.#options.checkRevocation(origin)) {
      case 'good':
        return undefined
      case 'revoked':
        return new TokenRejectedError('ERR_TOKEN_REVOKED')
      // Also a verdict that is not known.
      default:
        return new UndecidedError('ERR_TOKEN_REVOCATION_UNAVAILABLE', 1)
    }
  }
}

/**
 * A lost message must not use up an opening, or the other consumer could not open it. After its decision is recorded,
 * the message is handled here.
 */
function errorIfLost({ isLost, report }: MessageAttempt): TokenError | undefined {
  return isLost() && !report.isRecorded ? new UndecidedError('ERR_TOKEN_UNDECIDED', 1) : undefined
}

/** Runs `fn` so that it records on the span of the message, or on the active span if the message has none. */
export function runInSpanOf(ctx: Context, fn: () => Outcome | Promise<Outcome>): Outcome | Promise<Outcome> {
  return context.with(trace.getSpan(ctx)?.isRecording() === true ? ctx : context.active(), fn)
}
