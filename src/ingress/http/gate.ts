/** The ingress gate: a request waits here until its token is verified, and ends here if it is not. */

import type { Context } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'
import { createObjectMetadata } from '../../base/object-metadata.ts'
import type { Caller } from '../../context/caller.ts'
import { ensureContextManager } from '../../context/context-manager.ts'
import { callerOf } from '../../context/credential-context.ts'
import type { RelayPropagator } from '../../propagation/propagator.ts'
import { copyToSpan } from '../../telemetry/record.ts'
import { rememberSpanOf } from '../../telemetry/span-links.ts'
import { answerFor } from '../../token/challenge.ts'
import type { TokenError } from '../../token/errors.ts'
import { UndecidedError } from '../../token/errors.ts'
import type { Interceptor } from '../active-relay.ts'
import type { Admit, Outcome } from '../admission.ts'
import type { AdmissionMode, Entrances } from '../admitter.ts'
import { bindToCaller, runInCallerContext } from './caller-context.ts'
import type { Cors, CorsSettings } from './cors.ts'
import { createCors, isPreflight } from './cors.ts'
import type { Incoming } from './incoming.ts'
import { incomingOf, refuseRequest } from './incoming.ts'
import type { OwnAnswer } from './own-answers.ts'
import { firstOf } from './own-answers.ts'
import { compilePublicPaths, isPlainAuthority } from './public-path.ts'

/** A mode of admission, or `off`: the gate stands open, and nothing is decided. */
export type IngressMode = AdmissionMode | 'off'

export interface GateOptions {
  readonly mode: IngressMode
  readonly publicPaths: readonly string[]
  readonly allowPreflight: boolean
  readonly cors: CorsSettings | undefined
  /** Given before anything is decided. */
  readonly ownAnswers: readonly OwnAnswer[]
  readonly propagator: RelayPropagator
  readonly admit: Admit
  readonly entrances: Entrances
  /** URL that challenges name as `resource_metadata`. */
  readonly resourceMetadata: string | undefined
  /** Whether the relay has not been shut down. */
  readonly isActive: () => boolean
}

/** The callers of requests that have passed, this relay or one before it. */
const passedRequests = createObjectMetadata<Caller>()
/** Those that passed before there was a span that says so. */
const withoutSpan = new WeakSet<Caller>()

export function hasPassed(incoming: Incoming): boolean {
  return passedRequests.get(incoming.requestIdentity) !== undefined
}

/** A request in front of the gate. */
interface WaitingRequest {
  readonly event: string
  readonly incoming: Incoming
  readonly caller: Caller
  /** In which the request is admitted and handled. */
  readonly ctx: Context
  readonly proceed: () => void
}

export function createGate(options: GateOptions): Interceptor {
  const { mode, propagator, admit, resourceMetadata, isActive } = options
  const entrance = options.entrances[mode === 'off' ? 'require' : mode]
  const isPublic = compilePublicRequests(options)
  const cors = options.cors === undefined ? undefined : createCors(options.cors)
  const answerItself = firstOf([...options.ownAnswers, ...preflightAnswers(options, cors, isPublic)])

  function admitRequest(request: WaitingRequest): void {
    const { event, incoming, caller, ctx } = request
    if (isPublic(event, incoming)) return passRequest(request)
    const outcome = admit(caller, entrance, ctx)
    if (outcome instanceof Promise) finishLater(request, outcome)
    else finish(request, outcome)
  }

  function finishLater(request: WaitingRequest, outcome: Promise<Outcome>): void {
    const stopIgnoring = request.incoming.ignoreErrors()
    outcome
      .then((decided) => {
        stopIgnoring()
        finish(request, decided)
      })
      .catch(rethrow)
  }

  function finish(request: WaitingRequest, outcome: Outcome): void {
    // The relay may have been shut down while the request was waiting: it admits no one any more.
    const isOpen = isActive() || mode === 'report'
    const error = !outcome.admitted ? outcome.error : isOpen ? undefined : new UndecidedError('ERR_TOKEN_UNDECIDED')
    if (error !== undefined) refuse(request, error)
    else if (!request.incoming.isGone()) passRequest(request)
  }

  function refuse({ event, incoming }: WaitingRequest, error: TokenError): void {
    const answer = answerFor(error, resourceMetadata)
    refuseRequest(event, incoming, cors === undefined ? answer : cors.makeReadable(answer, incoming.headers))
  }

  return (event, args, proceed) => {
    const incoming = incomingOf(event, args)
    // The HTTP/2 compatibility layer turns a `stream` that has passed into a `request`.
    const before = passedRequests.get(incoming.requestIdentity)
    if (before !== undefined) return passAgain(before, incoming, proceed)
    const answer = answerItself?.(event, incoming)
    if (answer !== undefined) return refuseRequest(event, incoming, answer)
    if (mode === 'off') return proceed()

    ensureContextManager()
    const caller = propagator.callerOfRequest(incoming)
    caller.trackRequest(incoming.lifetime)
    const active = context.active()
    const ctx = bindToCaller(caller, incoming.emitters, active)
    const request = { event, incoming, caller, ctx, proceed }
    if (ctx === active) admitRequest(request)
    else context.with(ctx, admitRequest, undefined, request)
  }
}

function passRequest({ incoming, caller, ctx, proceed }: WaitingRequest): void {
  passedRequests.set(incoming.requestIdentity, caller)
  if (trace.getSpan(ctx) === undefined) withoutSpan.add(caller)
  proceed()
}

type IsPublic = (event: string, incoming: Incoming) => boolean

/**
 * Preflight requests that the gate would refuse, of listed origins. The application answers those that the gate lets
 * pass.
 */
function preflightAnswers(
  { mode, allowPreflight }: GateOptions,
  cors: Cors | undefined,
  isPublic: IsPublic,
): readonly OwnAnswer[] {
  if (cors === undefined || mode === 'off' || mode === 'report' || allowPreflight) return []
  return [(event, incoming) => (isPublic(event, incoming) ? undefined : cors.answerPreflight(event, incoming))]
}

function compilePublicRequests({ publicPaths, allowPreflight }: GateOptions): IsPublic {
  const isPublicPath = compilePublicPaths(publicPaths)
  return (event, incoming) =>
    (isPublicPath(incoming.target) && isPlainAuthority(incoming.authorities)) ||
    (allowPreflight && isPreflight(event, incoming))
}

/**
 * Passes a request that has passed before a tracer saw it, at a server that replaces its `emit`: the tracer has entered
 * the context that it has extracted, in which there need not be the caller, and its span does not say who that is.
 */
function passAgain(caller: Caller, incoming: Incoming, proceed: () => void): void {
  const span = withoutSpan.has(caller) ? trace.getActiveSpan() : undefined
  const { state } = caller
  if (span !== undefined && state.status === 'verified') {
    withoutSpan.delete(caller)
    copyToSpan(span, { name: 'auth.token.verified', credential: state.credential })
    rememberSpanOf(state.credential, span)
  }
  if (callerOf(context.active()) === caller || state.status === 'absent') proceed()
  else runInCallerContext(caller, incoming.emitters, proceed)
}

/** An error of the application's listener goes to the process, as it would without a gate. */
function rethrow(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
