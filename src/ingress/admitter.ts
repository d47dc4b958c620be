/** Decides whether a request is admitted, and how it is answered if not: what all adapters share. */

import type { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { context, trace } from '@opentelemetry/api'
import { ownProperty } from '../base/own-property.ts'
import { Caller } from '../context/caller.ts'
import { ensureContextManager } from '../context/context-manager.ts'
import { callerOf } from '../context/credential-context.ts'
import type { RelayPropagator } from '../propagation/propagator.ts'
import { recordRefusal } from '../telemetry/record.ts'
import type { Answer } from '../token/challenge.ts'
import { answerFor } from '../token/challenge.ts'
import type { TokenError } from '../token/errors.ts'
import { InsufficientRoleError, InsufficientScopeError, TokenRejectedError, UndecidedError } from '../token/errors.ts'
import type { RefusalDetail } from '../token/refusal-detail.ts'
import { withDetail } from '../token/refusal-detail.ts'
import type { NameOrAnyOf } from '../token/requirements.ts'
import { namesOf, quoteRequired, unmetOf } from '../token/requirements.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Admit, Entrance, Outcome } from './admission.ts'
import { runInCallerContext } from './http/caller-context.ts'

/** A request as far as its admission depends on it. */
export interface AdmissionRequest {
  /** Its header fields, by their names in lower case. The same object for the same request, if there is one. */
  readonly headers: IncomingHttpHeaders
  /** Every field line as received, name and value alternating, if the server keeps them. */
  readonly rawHeaders?: readonly string[]
  /** Objects whose listeners run as the caller: request and response of Node. Default: none. */
  readonly emitters?: readonly EventEmitter[]
  /** Emits `close` when the request is over: the response of Node. Default: it never is. */
  readonly lifetime?: EventEmitter
}

/**
 * `require`: no request without a valid token. `optional`: none is fine, a bad one is not. `report`: every request, and
 * what `require` would refuse has no caller and is reported.
 */
export type AdmissionMode = 'require' | 'optional' | 'report'

/** Which requests adapters admit. */
export interface AdmissionOptions {
  /**
   * `require`: no request without a valid token. `optional`: none is fine, a bad one is not. `report`: every request is
   * admitted, without a credential if `require` would refuse it, and that is recorded. Default `report` if
   * `ingress.mode` is `report`, else `require`.
   */
  readonly mode?: AdmissionMode | undefined
}

/** The request may pass. */
export interface Admitted {
  readonly admitted: true
  /** The caller's credential. `undefined` if there is none, and the mode is `optional` or `report`. */
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
   * Decides whether a request is admitted. Verifies its token, unless the gate has done so already. Answers at once if
   * nothing has to be waited for; never throws and never rejects.
   */
  admit(request: AdmissionRequest, options?: AdmissionOptions): Admission | Promise<Admission>
  /**
   * Refuses a caller whose token lacks one of `scopes`; `undefined` if it has all. Of `{ anyOf: […] }` it must have
   * one.
   */
  checkScopes(credential: VerifiedCredential | undefined, scopes: readonly NameOrAnyOf[]): Refused | undefined
  /**
   * Refuses a caller whose token lacks one of `roles`; `undefined` if it has all. Of `{ anyOf: […] }` it must have
   * one. The roles of a token are in the claims that `roleClaims` of its issuer names. The answer, 403 with
   * `insufficient_scope` (RFC 6750 §3.1), does not name them.
   */
  checkRoles(credential: VerifiedCredential | undefined, roles: readonly NameOrAnyOf[]): Refused | undefined
}

/** What an {@link Admitter} does for adapters without a request. */
export interface ActiveAdmitter extends Admitter {
  /** Decides whether the caller of the active context is admitted now. */
  admitActive(options?: AdmissionOptions): Admission | Promise<Admission>
}

export interface AdmitterOptions {
  readonly propagator: RelayPropagator
  readonly admit: Admit
  readonly entrances: Entrances
  /** Without another word of the application. */
  readonly defaultMode: AdmissionMode
  /** URL that challenges name as `resource_metadata`. */
  readonly resourceMetadata: string | undefined
}

/** What requests have to bring, by mode. */
export type Entrances = Readonly<Record<AdmissionMode, Entrance>>

/** `require` knows nothing of the other modes: no token is ignored there. */
export function createEntrances(foreignTokens: 'refuse' | 'ignore'): Entrances {
  const ignoresForeign = foreignTokens === 'ignore'
  const base = { onSpan: true, prepare: true }
  return {
    require: { requireToken: true, ...base },
    optional: { requireToken: false, ...base, lenience: { reportsOnly: false, ignoresForeign } },
    report: { requireToken: true, ...base, lenience: { reportsOnly: true, ignoresForeign } },
  }
}

export function createAdmitter(options: AdmitterOptions): ActiveAdmitter {
  const { propagator, admit, entrances, resourceMetadata } = options
  const modeOf = (given: AdmissionOptions | undefined): AdmissionMode => modeIn(given) ?? options.defaultMode

  function refuse(error: TokenError, credential?: VerifiedCredential): Refused {
    recordRefusal(trace.getActiveSpan(), { error, credential })
    return { admitted: false, error, answer: answerFor(error, resourceMetadata) }
  }

  function admitAs(caller: Caller, mode: AdmissionMode, run: Admitted['run']): Admission | Promise<Admission> {
    const complete = (outcome: Outcome): Admission =>
      outcome.admitted
        ? { admitted: true, credential: outcome.credential, run }
        : { ...outcome, answer: answerFor(outcome.error, resourceMetadata) }
    const outcome = admit(caller, entrances[mode])
    return outcome instanceof Promise ? outcome.then(complete) : complete(outcome)
  }

  function admitRequest(request: AdmissionRequest, mode: AdmissionMode): Admission | Promise<Admission> {
    ensureContextManager()
    const caller = callerFromGate(request, propagator) ?? propagator.callerOfRequest(request)
    const { emitters = [], lifetime } = request
    // Before anything is waited for: the client may be gone by then.
    if (lifetime !== undefined) caller.trackRequest(lifetime)
    return admitAs(caller, mode, (fn) => runInCallerContext(caller, emitters, fn))
  }

  return {
    admit(request, given) {
      try {
        return admitRequest(request, modeOf(given))
      } catch {
        // Not a request: nothing says who is calling.
        return refuse(new UndecidedError('ERR_TOKEN_UNDECIDED'))
      }
    },
    admitActive(given) {
      const caller = callerOf(context.active()) ?? Caller.fromHeader({ kind: 'none' })
      return admitAs(caller, modeOf(given), (fn) => fn())
    },
    checkScopes(credential, scopes) {
      if (credential === undefined) return refuse(new TokenRejectedError('ERR_TOKEN_MISSING'))
      const unmet = unmetOf(credential.scopes, scopes)
      if (unmet.length === 0) return undefined
      // A token with all alternatives is enough, whichever of them the issuer gives to this caller.
      return refuse(withDetail(new InsufficientScopeError(namesOf(scopes)), detailOfUnmet(unmet, scopes)), credential)
    },
    checkRoles(credential, roles) {
      if (credential === undefined) return refuse(new TokenRejectedError('ERR_TOKEN_MISSING'))
      const unmet = unmetOf(credential.roles, roles)
      if (unmet.length === 0) return undefined
      return refuse(withDetail(new InsufficientRoleError(), detailOfUnmet(unmet, roles)), credential)
    },
  }
}

function detailOfUnmet(unmet: readonly NameOrAnyOf[], required: readonly NameOrAnyOf[]): RefusalDetail {
  return { found: `it lacks ${quoteRequired(unmet)}`, expected: `the route requires ${quoteRequired(required)}` }
}

/** Anything that is not the name of another mode asks for a token. */
function modeIn(options: AdmissionOptions | undefined): AdmissionMode | undefined {
  const mode = options === undefined ? undefined : ownProperty({ ...options }, 'mode')
  if (mode === undefined) return undefined
  return mode === 'optional' || mode === 'report' ? mode : 'require'
}

/** The metadata of a gRPC call is another object than the headers that the gate has seen. */
function callerFromGate({ headers, rawHeaders }: AdmissionRequest, propagator: RelayPropagator): Caller | undefined {
  const value = headers[propagator.tokenField]
  const isApart = rawHeaders === undefined && !propagator.hasExtracted(headers, value)
  return isApart ? propagator.activeCallerFor(value) : undefined
}
