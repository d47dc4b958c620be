/** Whether a request is let in, and as whom: the steps that the gate and all adapters share. */

import type { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { trace } from '@opentelemetry/api'
import type { Audit } from '../audit/audit.ts'
import { ensureContextManager } from '../context/context-manager.ts'
import type { CredentialSlot, SlotState } from '../context/slot.ts'
import type { RelayPropagator } from '../propagation/propagator.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'
import { rememberOrigin } from '../telemetry/token-origins.ts'
import type { Answer } from '../token/challenge.ts'
import { answerFor } from '../token/challenge.ts'
import type { TokenError } from '../token/errors.ts'
import { InsufficientScopeError, TokenRejectedError, UndecidedError } from '../token/errors.ts'
import { own } from '../token/own.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Verifier } from '../verification/verifier.ts'
import { enterSlot } from './enter.ts'

/** A request as far as its admission depends on it. */
export interface AdmissionRequest {
  /** Its header fields, by their names in lower case. The same object for the same request, where there is one. */
  readonly headers: IncomingHttpHeaders
  /** Every field line as received, name and value alternating, where the server keeps them. */
  readonly rawHeaders?: readonly string[]
  /** What listeners will be attached to that shall run as the caller: request and response of Node. Default: none. */
  readonly emitters?: readonly EventEmitter[]
  /** Emits `close` when the request is over: the response of Node. Default: it never is. */
  readonly lifetime?: EventEmitter
}

/** `require`: no request without a valid token. `optional`: none is fine, a bad one is not. */
type AdmissionMode = 'require' | 'optional'

/** Whom adapters let in. */
export interface AdmissionOptions {
  /** `require`: no request without a valid token. `optional`: none is fine, a bad one is not. Default `require`. */
  readonly mode?: AdmissionMode
}

/** The request may pass. */
export interface Admitted {
  readonly admitted: true
  /** The caller. `undefined` where there is no token and the mode is `optional`. */
  readonly credential: VerifiedCredential | undefined
  /** Runs `fn` and all that it starts as the caller. Returns what `fn` returns. */
  run<T>(fn: () => T): T
}

/** The request has to be answered with `answer`. */
export interface Refused {
  readonly admitted: false
  readonly error: TokenError
  /** Status, fields and body (RFC 6750 §3). */
  readonly answer: Answer
}

export type Admission = Admitted | Refused

/** What adapters ask of a relay. */
export interface Admitter {
  /**
   * Decides whether a request is let in. Its token is verified, unless the gate has done so already. Answers at once
   * where nothing has to be waited for; never throws and never rejects.
   */
  admit(request: AdmissionRequest, options?: AdmissionOptions): Admission | Promise<Admission>
  /** Refuses a caller who lacks one of `scopes`; `undefined` where none is lacking. */
  checkScopes(credential: VerifiedCredential | undefined, scopes: readonly string[]): Refused | undefined
}

/** The same for the gate, which has the slot in its hands before it decides. */
export interface SlotAdmitter extends Admitter {
  slotOf(request: AdmissionRequest): CredentialSlot
  admitSlot(slot: CredentialSlot, mode: AdmissionMode): SlotAdmission | Promise<SlotAdmission>
}

export type SlotAdmission = Omit<Admitted, 'run'> | Refused

export interface AdmitterOptions {
  readonly propagator: RelayPropagator
  readonly verifier: Verifier
  /** URL that challenges name as `resource_metadata`. */
  readonly resourceMetadata: string | undefined
  /** Gets what requests of this caller may need; `undefined` where there is nothing to wait for. */
  readonly prepare: (credential: VerifiedCredential) => Promise<void> | undefined
  /** Who is let in has to be recorded there before. */
  readonly audit: Pick<Audit, 'acknowledged'> | undefined
}

export function createAdmitter(options: AdmitterOptions): SlotAdmitter {
  const { propagator, verifier, resourceMetadata, prepare, audit } = options
  function refuse(error: TokenError, credential?: VerifiedCredential): Refused {
    recordOnSpan(trace.getActiveSpan(), { name: 'auth.token.rejected', code: error.code, credential })
    return { admitted: false, error, answer: answerFor(error, resourceMetadata) }
  }

  function letIn(credential: VerifiedCredential, recorded: Promise<boolean> | undefined) {
    const admission: SlotAdmission = { admitted: true, credential }
    if (recorded !== undefined) return afterRecord(recorded, admission, credential)
    return prepare(credential)?.then(() => admission) ?? admission
  }

  /** Nothing is got for a caller who is not let in. */
  async function afterRecord(
    recorded: Promise<boolean>,
    admission: SlotAdmission,
    credential: VerifiedCredential,
  ): Promise<SlotAdmission> {
    if (!(await recorded)) return refuse(new UndecidedError('ERR_TOKEN_AUDIT_UNAVAILABLE', 1), credential)
    await prepare(credential)
    return admission
  }

  function admitSlot(slot: CredentialSlot, mode: AdmissionMode) {
    // What the gate has found out already, it has told already.
    const { status } = slot.state
    const isNew = status === 'unverified' || status === 'rejected'
    if (isNew) recordOnSpan(trace.getActiveSpan(), { name: 'auth.token.received' })
    const settled = slot.settle(verifier)
    return settled instanceof Promise
      ? settled.then((state) => conclude(state, mode, isNew))
      : conclude(settled, mode, isNew)
  }

  function conclude(state: SlotState, mode: AdmissionMode, isNew: boolean): SlotAdmission | Promise<SlotAdmission> {
    const error = refusalOf(state, mode)
    if (error !== undefined) return refuse(error)
    if (state.status !== 'verified') return { admitted: true, credential: undefined }
    if (isNew) tellVerified(state.credential)
    return letIn(state.credential, isNew ? audit?.acknowledged() : undefined)
  }

  function admit(request: AdmissionRequest, mode: AdmissionMode): Admission | Promise<Admission> {
    ensureContextManager()
    const slot = letInSlotOf(request, propagator) ?? slotOf(request, propagator)
    const { emitters = [], lifetime } = request
    // Before anything is waited for: the client may be gone by then.
    if (lifetime !== undefined) slot.endWith(lifetime)
    const complete = (outcome: SlotAdmission): Admission =>
      outcome.admitted
        ? { admitted: true, credential: outcome.credential, run: (fn) => enterSlot(slot, emitters, fn) }
        : outcome
    const outcome = admitSlot(slot, mode)
    return outcome instanceof Promise ? outcome.then(complete) : complete(outcome)
  }

  return {
    admitSlot,
    slotOf: (request) => slotOf(request, propagator),
    admit(request, options) {
      try {
        return admit(request, modeOf(options))
      } catch {
        // Not a request: nobody knows who is calling.
        return refuse(new UndecidedError('ERR_TOKEN_UNDECIDED'))
      }
    },
    checkScopes(credential, scopes) {
      if (credential === undefined) return refuse(new TokenRejectedError('ERR_TOKEN_MISSING'))
      const allowed = scopes.every((scope) => credential.scopes.includes(scope))
      return allowed ? undefined : refuse(new InsufficientScopeError(scopes), credential)
    },
  }
}

/** Anything that is not that very word asks for a token. */
function modeOf(options: AdmissionOptions | undefined): AdmissionMode {
  return options !== undefined && own({ ...options }, 'mode') === 'optional' ? 'optional' : 'require'
}

function tellVerified(credential: VerifiedCredential): void {
  const span = trace.getActiveSpan()
  recordOnSpan(span, { name: 'auth.token.verified', credential })
  rememberOrigin(credential, span)
}

function refusalOf(state: SlotState, mode: AdmissionMode): TokenError | undefined {
  if (state.status === 'rejected') return state.error
  return state.status === 'absent' && mode === 'require' ? new TokenRejectedError('ERR_TOKEN_MISSING') : undefined
}

/** The slot of this very request: from the extraction of an instrumentation, or from our own where there was none. */
function slotOf({ headers, rawHeaders = [] }: AdmissionRequest, propagator: RelayPropagator): CredentialSlot {
  const { authorization } = headers
  const slot = propagator.slotOf(headers, authorization) ?? propagator.extractHeaders(headers, authorization)
  // `headers` shows the first of two lines; whoever sent two may have had another one checked.
  if (authorizationLines(rawHeaders) > 1) slot.reject(new TokenRejectedError('ERR_TOKEN_REQUEST'))
  return slot
}

/** The metadata of a gRPC call is another object than the headers that the gate has let in. */
function letInSlotOf(
  { headers, rawHeaders }: AdmissionRequest,
  propagator: RelayPropagator,
): CredentialSlot | undefined {
  const isApart = rawHeaders === undefined && propagator.slotOf(headers, headers.authorization) === undefined
  return isApart ? propagator.activeSlotFor(headers.authorization) : undefined
}

function authorizationLines(rawHeaders: readonly string[]): number {
  let lines = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === 13 && name.toLowerCase() === 'authorization') lines += 1
  }
  return lines
}
