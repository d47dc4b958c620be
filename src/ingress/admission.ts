/** Decides whether a caller is admitted: the one pipeline for requests, messages and single tokens. */

import type { Context, Span } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import type { Audit } from '../audit/audit.ts'
import type { Caller } from '../context/caller.ts'
import { measureCallerlessRequest, measureVerification } from '../telemetry/metrics.ts'
import { recordOnSpan, recordRefusal } from '../telemetry/record.ts'
import { redactCapturedHeader } from '../telemetry/redaction/captured-headers.ts'
import { rememberSpanOf } from '../telemetry/span-links.ts'
import type { UnverifiedCredential } from '../token/credential.ts'
import type { TokenErrorCode } from '../token/errors.ts'
import { asTokenError, TokenError, TokenRejectedError, UndecidedError } from '../token/errors.ts'
import { withDetail } from '../token/refusal-detail.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Verifier } from '../verification/verifier.ts'

/** What one entrance asks of a caller. */
export interface Entrance {
  /** Whether a caller without a token is refused. */
  readonly requireToken: boolean
  /** Whether the outcome goes on the active span, and not only into the audit trail. */
  readonly onSpan: boolean
  /** Whether the exchanged tokens are fetched that rules want at ingress. */
  readonly prepare: boolean
  /** How requests are let in that `require` would refuse. None: they are not. */
  readonly lenience?: Lenience
  /** What else must hold. Called on every look. */
  readonly check?: () => TokenError | undefined
  /** Records what else the audit trail has to hold first: `true` once that is acknowledged, `false` if it cannot be. */
  readonly record?: (credential: VerifiedCredential | undefined) => boolean | Promise<boolean>
}

interface Lenience {
  /** Whether callers that would be refused are let in without a credential, and reported. */
  readonly reportsOnly: boolean
  /** Whether a token that is not of an accepted issuer counts as none. */
  readonly ignoresForeign: boolean
}

/** The caller is admitted: as `credential`, or without a credential if no token is required. */
interface AdmittedCaller {
  readonly admitted: true
  readonly credential: VerifiedCredential | undefined
}

/** The caller is refused, for good or for now: `error.retryable` says which. */
interface RefusedCaller {
  readonly admitted: false
  readonly error: TokenError
}

export type Outcome = AdmittedCaller | RefusedCaller

/** Answers at once if nothing has to be waited for. Never throws or rejects. `ctx`: the active context, if known. */
export type Admit = (caller: Caller, entrance: Entrance, ctx?: Context) => Outcome | Promise<Outcome>

export interface AdmissionParts {
  readonly verifier: Pick<Verifier, 'verifyCached' | 'startVerification' | 'isForeign'>
  /** Why a token that this service got for itself cannot be used now. */
  readonly defectOf: (issued: VerifiedCredential) => TokenError | undefined
  /**
   * Fetches what requests of this caller may need; `undefined` if there is nothing to wait for. Never rejects. No
   * function, if no rule wants that.
   */
  readonly prepare: ((credential: VerifiedCredential) => Promise<void> | undefined) | undefined
  /** Where callers have to be recorded before they are admitted. */
  readonly audit: Pick<Audit, 'acknowledged' | 'isBlocked'> | undefined
  /** The field that requests bring their token in; `undefined` means `Authorization`. */
  readonly tokenField?: string | undefined
  /** Key of the fingerprints of refused tokens; `undefined` means the name of the issuer. */
  readonly fingerprintKey?: string | undefined
}

export function createAdmission(parts: AdmissionParts): Admit {
  const isStraight = parts.audit === undefined && parts.prepare === undefined
  return (caller, entrance, ctx) =>
    (isStraight ? admitRemembered(parts, caller, entrance, ctx) : undefined) ??
    new AdmissionRun(parts, caller, entrance).admit()
}

/**
 * Admits the usual request, in a straight line: its token is remembered, and nothing has to be recorded on disk,
 * opened, exchanged or waited for. Returns `undefined` for every other caller, before anything is recorded. A test runs
 * each case through both, which must not differ.
 */
function admitRemembered(
  { verifier }: AdmissionParts,
  caller: Caller,
  entrance: Entrance,
  ctx: Context | undefined,
): Outcome | undefined {
  const { state } = caller
  if (state.status !== 'unverified' || caller.recorded !== false || caller.opening !== undefined) return undefined
  if (entrance.check !== undefined || entrance.record !== undefined) return undefined
  try {
    const credential = verifier.verifyCached(state.credential)
    if (credential === undefined || credential instanceof TokenError) return undefined
    recordVerified(caller, credential, entrance.onSpan ? trace.getSpan(ctx ?? context.active()) : undefined)
    caller.recordedBy(undefined)
    caller.confirm(credential)
    measureVerification({ outcome: 'verified', code: undefined, seconds: undefined })
    return { admitted: true, credential }
  } catch {
    return undefined
  }
}

function recordVerified(caller: Caller, credential: VerifiedCredential, span?: Span, seconds?: number): void {
  caller.opening?.record()
  recordOnSpan(span, { name: 'auth.token.verified', credential, seconds })
  rememberSpanOf(credential, span)
}

/**
 * Why `require` would have refused callers that were let in: a request asks at the gate and in adapters, and is
 * reported once.
 */
const reported = new WeakMap<Caller, TokenErrorCode>()

const LET_IN: AdmittedCaller = { admitted: true, credential: undefined }

/** `undefined`: there is no token. */
type Verdict = VerifiedCredential | TokenError | undefined

/**
 * One caller at one entrance. A verdict is never final: expiry, revocation, keys and scopes are looked at on every
 * admission, and again after everything that had to be waited for. So each step that waits ends in another `#look`,
 * which finds that step done.
 */
class AdmissionRun {
  readonly #parts: AdmissionParts
  readonly #caller: Caller
  readonly #entrance: Entrance
  /** How long the verification took; `undefined` if the token was remembered. */
  #seconds: number | undefined
  #isPrepared = false

  constructor(parts: AdmissionParts, caller: Caller, entrance: Entrance) {
    this.#parts = parts
    this.#caller = caller
    this.#entrance = entrance
  }

  admit(): Outcome | Promise<Outcome> {
    try {
      const outcome = this.#look()
      return outcome instanceof Promise ? outcome.catch((error) => this.#refuse(asTokenError(error))) : outcome
    } catch (error) {
      return this.#refuse(asTokenError(error))
    }
  }

  #look(): Outcome | Promise<Outcome> {
    const verdict = this.#findVerdict()
    if (!(verdict instanceof Promise)) return this.#decide(verdict)
    this.#conceal()
    return verdict.then((found) => this.#decide(found))
  }

  /** The client may disconnect, and the span end, before there is an event. */
  #conceal(): void {
    const span = this.#span()
    if (span !== undefined) redactCapturedHeader(span)
  }

  /** Refuses by default: every state that is admitted is named. */
  #findVerdict(): Verdict | Promise<Verdict> {
    const { state } = this.#caller
    switch (state.status) {
      case 'absent':
        return undefined
      case 'unverified':
        return this.#verify(state.credential)
      case 'sealed':
        return this.#verify(this.#caller.open().credential)
      case 'verified':
        // A token that this service got for itself is for another audience.
        return this.#caller.isRenewed
          ? (this.#parts.defectOf(state.credential) ?? state.credential)
          : this.#verify(unverifiedOf(state.credential))
      case 'rejected':
        return state.error
      case 'ambiguous':
        return withDetail(new TokenRejectedError('ERR_TOKEN_REQUEST'), { found: 'the work belongs to several callers' })
      default:
        return refuseUnknownState(state)
    }
  }

  #verify(credential: UnverifiedCredential): Verdict | Promise<Verdict> {
    const { verifier } = this.#parts
    const known = verifier.verifyCached(credential)
    if (known !== undefined) return known
    const startMillis = performance.now()
    const measure = (verdict: Verdict): Verdict => {
      this.#seconds ??= (performance.now() - startMillis) / 1000
      return verdict
    }
    const outcome = verifier.startVerification(credential)
    return outcome instanceof Promise
      ? outcome.then(measure, (error) => measure(asTokenError(error)))
      : measure(outcome)
  }

  #decide(verdict: Verdict): Outcome | Promise<Outcome> {
    const { requireToken, check, record } = this.#entrance
    // Two lines of `Authorization` may have been found while the first was being verified.
    const error = verdict instanceof TokenError ? verdict : (this.#caller.rejection ?? check?.())
    if (error !== undefined) return this.#isForeign(error) ? this.#ignore(error) : this.#refuse(error)
    if (verdict !== undefined) return this.#admitAs(verdict as VerifiedCredential)
    if (requireToken) return this.#refuse(createMissingError(this.#parts.tokenField))
    if (this.#entrance.lenience !== undefined) this.#countLetIn('ERR_TOKEN_MISSING')
    return this.#awaitRecord(record?.(undefined), undefined) ?? LET_IN
  }

  /** Steps that may leave the caller undecided come before the opening of a message, which is used up then. */
  #admitAs(credential: VerifiedCredential): Outcome | Promise<Outcome> {
    if (this.#parts.audit?.isBlocked() === true) return this.#refuse(createAuditError(), credential)
    return (
      this.#awaitRecord(this.#recordVerified(credential), credential) ??
      this.#awaitRecord(this.#entrance.record?.(credential), credential) ??
      this.#awaitPreparation(credential) ??
      this.#awaitCount() ??
      this.#confirm(credential)
    )
  }

  #awaitRecord(
    recorded: boolean | Promise<boolean> = true,
    credential: VerifiedCredential | undefined,
  ): Outcome | Promise<Outcome> | undefined {
    const proceed = (isKept: boolean) => (isKept ? this.#look() : this.#refuse(createAuditError(), credential))
    if (recorded === true) return undefined
    return recorded === false ? proceed(false) : recorded.then(proceed)
  }

  #awaitPreparation(credential: VerifiedCredential): Promise<Outcome> | undefined {
    if (this.#isPrepared || !this.#entrance.prepare) return undefined
    this.#isPrepared = true
    return this.#parts.prepare?.(credential)?.then(() => this.#look())
  }

  #awaitCount(): Promise<Outcome> | undefined {
    return this.#caller.opening?.count()?.then(
      () => this.#look(),
      (error: unknown) => this.#refuse(asTokenError(error)),
    )
  }

  /** Records the caller once, however often they are admitted; again if the record may not have been kept. */
  #recordVerified(credential: VerifiedCredential): boolean | Promise<boolean> {
    const caller = this.#caller
    if (caller.recorded !== false) return caller.recorded
    recordVerified(caller, credential, this.#span(), this.#seconds)
    return caller.recordedBy(this.#parts.audit?.acknowledged())
  }

  #confirm(credential: VerifiedCredential): AdmittedCaller {
    this.#caller.opening?.use()
    const isNew = this.#caller.confirm(credential)
    if (isNew) measureVerification({ outcome: 'verified', code: undefined, seconds: this.#seconds })
    return { admitted: true, credential }
  }

  #isForeign({ code }: TokenError): boolean {
    const { state } = this.#caller
    if (this.#entrance.lenience?.ignoresForeign !== true || state.status !== 'unverified') return false
    return this.#parts.verifier.isForeign(state.credential, code)
  }

  /** From now on the caller has no token: what the application does with this one is not known here. */
  #ignore({ code }: TokenError): AdmittedCaller {
    recordOnSpan(this.#span(), { name: 'auth.token.ignored', code })
    this.#countLetIn(code)
    this.#caller.forgetToken()
    return LET_IN
  }

  /** Counts the request once. Returns whether it was not reported for this already. */
  #countLetIn(code: TokenErrorCode): boolean {
    const before = reported.get(this.#caller)
    reported.set(this.#caller, code)
    if (before === undefined) measureCallerlessRequest(code)
    return before !== code
  }

  #refuse(error: TokenError, credential?: VerifiedCredential): Outcome {
    if (this.#entrance.lenience?.reportsOnly !== true) return this.#reject(error, credential)
    if (this.#countLetIn(error.code)) this.#reject(error, credential, 'report')
    return LET_IN
  }

  #reject(error: TokenError, credential?: VerifiedCredential, mode?: 'report'): RefusedCaller {
    const { code, retryable } = error
    const [{ presented }, { fingerprintKey }] = [this.#caller, this.#parts]
    recordRefusal(this.#span(), { error, credential, presented, fingerprintKey, seconds: this.#seconds, mode })
    if (code === 'ERR_TOKEN_MISSING') return { admitted: false, error }
    measureVerification({ outcome: retryable ? 'undecided' : 'rejected', code, seconds: this.#seconds })
    // An undecided caller stays undecided: the next admission begins anew.
    if (retryable) this.#caller.opening?.release()
    else this.#caller.reject(error)
    return { admitted: false, error }
  }

  #span(): Span | undefined {
    return this.#entrance.onSpan ? trace.getActiveSpan() : undefined
  }
}

/** The class of every verified credential extends that of the unverified ones. */
function unverifiedOf(verified: VerifiedCredential): UnverifiedCredential {
  return verified as VerifiedCredential & UnverifiedCredential
}

function createMissingError(field: string | undefined): TokenRejectedError {
  const place = field === undefined ? 'Authorization has no bearer token' : `${field} has no token`
  const detail = { found: `${place}, and one is required here` }
  return withDetail(new TokenRejectedError('ERR_TOKEN_MISSING'), detail)
}

function createAuditError(): UndecidedError {
  return new UndecidedError('ERR_TOKEN_AUDIT_UNAVAILABLE', 1)
}

function refuseUnknownState(_state: never): UndecidedError {
  return new UndecidedError('ERR_TOKEN_UNDECIDED')
}
