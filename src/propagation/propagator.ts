/** The OpenTelemetry propagator: reads tokens from incoming carriers, and writes them into outgoing ones but HTTP. */

import type { Context, TextMapGetter, TextMapPropagator, TextMapSetter } from '@opentelemetry/api'
import { context, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { createObjectMetadata } from '../base/object-metadata.ts'
import { Caller } from '../context/caller.ts'
import { callerOf, deleteCredential, withCaller } from '../context/credential-context.ts'
import { deleteSource, getDestination, getSealedUntil, getSource } from '../context/destination-context.ts'
import type { Decide, Decision } from '../destination/decision.ts'
import { eventOf } from '../destination/decision.ts'
import type { Target } from '../destination/pattern.ts'
import { keyOf } from '../destination/rules.ts'
import { announcedTarget } from '../destination/target.ts'
import type { Sealing } from '../sealing/sealing.ts'
import type { WithholdReason } from '../telemetry/events.ts'
import { markMessageSpan } from '../telemetry/message-spans.ts'
import type { ProducerSpans } from '../telemetry/producer-spans.ts'
import { recordOnSpan } from '../telemetry/record.ts'
import type { FindPresented, Presented } from '../token/bearer.ts'
import { readBare, readBearer, writeBearer } from '../token/bearer.ts'
import { TokenRejectedError } from '../token/errors.ts'
import { withDetail } from '../token/refusal-detail.ts'
import { removeTokens, withoutTokens } from './baggage.ts'
import {
  AUTHORIZATION,
  hasOwnCredential,
  isCarrier,
  isMetadata,
  markSeen,
  rememberWritten,
  removeStale,
} from './carrier.ts'
import type { MessageReader } from './message.ts'
import { SEALED, traceIdOf } from './message.ts'
import { destinationOf, isFull } from './produced.ts'

/** Tells the egress side of an `inject` call. Returns whether that call is decided on the wire, and not here. */
type InjectObserver = (ctx: Context) => boolean

/** The fields of a request that say who is calling. */
interface RequestFields {
  /** The header fields, by their names in lower case. The same object for the same request, if there is one. */
  readonly headers: {
    readonly authorization?: string | undefined
    readonly [name: string]: string | readonly string[] | undefined
  }
  /** Every field line as received, name and value alternating, if the server keeps them. */
  readonly rawHeaders?: readonly string[]
}

export interface RelayPropagator extends TextMapPropagator {
  /** The field that requests bring their token in, by its name in lower case. */
  readonly tokenField: string
  /** The caller of this very request: as an instrumentation has extracted it, or extracted now. */
  callerOfRequest(request: RequestFields): Caller
  /** Whether `extract` or `callerOfRequest` has seen `carrier` with this very value of its token field. */
  hasExtracted(carrier: object, authorization: unknown): boolean
  /** The caller of the active context, if it was made for the token of this very value and its request goes on. */
  activeCallerFor(authorization: unknown): Caller | undefined
}

export interface PropagatorOptions {
  /** In lower case. Any other field than `authorization` holds a token without a scheme. */
  readonly tokenField: string
  readonly maxTokenBytes: number
  readonly findPresented: FindPresented
  readonly decide: Decide
  readonly sealing: Sealing
  readonly messages: MessageReader
  readonly producers: ProducerSpans
  readonly onInject: InjectObserver
  /** Whether the relay has not been shut down. */
  readonly isActive: () => boolean
}

export function createPropagator(options: PropagatorOptions): RelayPropagator {
  const propagator = new CallerPropagator(options)
  const { tokenField } = options
  const isUsual = tokenField === AUTHORIZATION
  // Applications get this object, and may wrap or copy it, or take its methods off it.
  return {
    tokenField,
    extract: (ctx, carrier, getter) => propagator.extract(ctx, carrier, getter),
    inject: (ctx, carrier, setter) => propagator.inject(ctx, carrier, setter),
    fields: () => propagator.fields(),
    // Chosen once: nearly all requests have their token in `Authorization`.
    callerOfRequest: isUsual
      ? (request) => propagator.callerOfRequest(request)
      : (request) => propagator.callerOfField(request),
    hasExtracted: (carrier, authorization) => propagator.hasExtracted(carrier, authorization),
    activeCallerFor: (authorization) => propagator.activeCallerFor(authorization),
  }
}

type SendDecision = Exclude<Decision, { readonly verdict: 'withhold' }>

class CallerPropagator {
  readonly #options: PropagatorOptions
  readonly #isUsual: boolean
  // Kept beside the caller: a field inside it, however large, would live as long as the context.
  readonly #extracted = createObjectMetadata<{ readonly authorization: unknown; readonly caller: Caller }>()

  constructor(options: PropagatorOptions) {
    this.#options = options
    this.#isUsual = options.tokenField === AUTHORIZATION
  }

  /**
   * A carrier without a token deletes what the context held: the sender of the carrier is not the caller of the code
   * that reads it. Never throws.
   */
  extract(ctx: Context, carrier: unknown, getter: TextMapGetter): Context {
    // As servers extract: the root context has no entries that would have to go.
    if (ctx === ROOT_CONTEXT) return this.#extractInto(ctx, carrier, getter, undefined)
    return this.#extractInto(withoutTokens(deleteSource(deleteCredential(ctx))), carrier, getter, getSource(ctx))
  }

  /** Never throws: a hostile carrier or setter gets no token and breaks no request. */
  inject(ctx: Context, carrier: unknown, setter: TextMapSetter): void {
    try {
      const isDecidedElsewhere = this.#options.onInject(ctx)
      if (!isCarrier(carrier)) return
      removeTokens(carrier)
      if (isDecidedElsewhere) return
      markSeen(carrier)
      this.#options.producers.discoverTracers()
      this.#injectInto(ctx, carrier, setter)
    } catch {
      // An undecided carrier leaves without a token.
    }
  }

  /**
   * Returns none, although `authorization` is written: the SQS instrumentation counts these names against the limit of
   * ten attributes and then omits the trace. The propagator removes its own field itself.
   */
  fields(): string[] {
    return []
  }

  callerOfRequest({ headers, rawHeaders = [] }: RequestFields): Caller {
    const { authorization } = headers
    const known = this.#extracted.get(headers)
    const caller = known?.authorization === authorization ? known?.caller : undefined
    const found = caller ?? this.#extractCaller(headers, authorization)
    // `headers` shows the first of two lines; a client that sent two may have had the other one checked.
    if (linesOf(AUTHORIZATION, rawHeaders) > 1) found.reject(createTwoLinesError('Authorization'))
    return found
  }

  /** The same for another field. `Authorization` is not looked at: it is the application's then. */
  callerOfField({ headers, rawHeaders = [] }: RequestFields): Caller {
    const { tokenField } = this.#options
    const value = headers[tokenField]
    const known = this.#extracted.get(headers)
    const caller = known?.authorization === value ? known?.caller : undefined
    const found = caller ?? this.#extractCaller(headers, value)
    if (linesOf(tokenField, rawHeaders) > 1) found.reject(createTwoLinesError(tokenField))
    return found
  }

  hasExtracted(carrier: object, authorization: unknown): boolean {
    const known = this.#extracted.get(carrier)
    return known !== undefined && known.authorization === authorization
  }

  activeCallerFor(authorization: unknown): Caller | undefined {
    const caller = callerOf(context.active())
    return caller?.wasMadeFor(this.#readBearer(authorization)) ? caller : undefined
  }

  #extractInto(clean: Context, carrier: unknown, getter: TextMapGetter, source: unknown): Context {
    try {
      if (!isCarrier(carrier)) return clean
      const caller =
        source === undefined ? this.#callerIn(carrier, getter) : this.#options.messages.read(carrier, getter, source)
      if (caller === undefined) return clean
      return caller.state.status === 'absent' ? clean : withCaller(clean, caller)
    } catch {
      return clean
    }
  }

  /** `undefined` if there is no token. */
  #callerIn(carrier: object, getter: TextMapGetter): Caller | undefined {
    const authorization: unknown = getter.get(carrier, this.#options.tokenField)
    if (authorization === undefined) return undefined
    // The metadata of a gRPC call is extracted in its handler, after the gate or an interceptor has admitted the call.
    const admitted = isMetadata(carrier) ? this.activeCallerFor(authorization) : undefined
    return admitted ?? this.#extractCaller(carrier, authorization)
  }

  /** A second extraction while a request is handled finds the same caller, and with it the verdict that is there. */
  #extractCaller(carrier: object, authorization: unknown): Caller {
    this.#options.producers.discoverTracers()
    const known = this.#extracted.get(carrier)
    if (known?.authorization === authorization && known?.caller.requestIsOpen) return known.caller
    const caller = Caller.fromHeader(this.#readBearer(authorization))
    this.#extracted.set(carrier, { authorization, caller })
    return caller
  }

  #readBearer(authorization: unknown): Presented {
    const { maxTokenBytes, findPresented } = this.#options
    return this.#isUsual
      ? readBearer(authorization, maxTokenBytes, findPresented)
      : readBare(authorization, maxTokenBytes, findPresented)
  }

  #injectInto(ctx: Context, carrier: object, setter: TextMapSetter): void {
    const target = this.#targetOf(ctx)
    // A message that is sent on without a caller stays as it was: it may be put back where it came from.
    removeStale(carrier, target?.kind === 'messaging' && callerOf(ctx) !== undefined)
    if (target === undefined || !this.#options.isActive()) return
    const decision = this.#options.decide(ctx, { target, obstacle: obstacleIn(carrier, target) })
    if (decision === undefined) return
    const outcome = decision.verdict === 'withhold' ? decision : this.#write(decision, ctx, carrier, setter)
    if (outcome.verdict !== 'withhold') markMessageSpan(trace.getSpan(ctx))
    recordOnSpan(trace.getSpan(ctx), eventOf(outcome))
  }

  /** HTTP is decided on the wire, where the destination is a fact. Without a destination there is nothing to decide. */
  #targetOf(ctx: Context): Target | undefined {
    const span = trace.getSpan(ctx)
    const destination = getDestination(ctx) ?? destinationOf(this.#options.producers.attributesOf(span))
    const target = destination === undefined ? undefined : announcedTarget(destination)
    return target !== undefined && isHttp(target) ? undefined : target
  }

  /** Writes the token, and returns what has become of the decision. */
  #write(decision: SendDecision, ctx: Context, carrier: object, setter: TextMapSetter): Decision {
    const value = this.#fieldFor(decision, ctx)
    if (value === undefined) return toWithheld(decision, 'not_sealed')
    setter.set(carrier, AUTHORIZATION, value)
    rememberWritten(carrier, value)
    return decision
  }

  /** `undefined` if the token has to be sealed and cannot be. */
  #fieldFor({ credential, rule, target }: SendDecision, ctx: Context): string | undefined {
    if (rule.seal === false) return writeBearer(credential)
    // Whether the token inside has expired is decided by the consumer, which may know what to do then.
    const sealed = this.#options.sealing.seal(credential.reveal(), getSealedUntil(ctx), rule.seal, {
      destination: keyOf(target),
      traceId: propagation.fields().includes('traceparent') ? traceIdOf(trace.getSpanContext(ctx)) : undefined,
    })
    return sealed === undefined ? undefined : `${SEALED} ${sealed}`
  }
}

function toWithheld(decision: SendDecision, reason: WithholdReason): Decision {
  const subject = decision.verdict === 'exchange' ? decision.subject : decision.credential
  return { verdict: 'withhold', subject, reason, rule: decision.rule, target: decision.target }
}

function obstacleIn(carrier: object, target: Target): WithholdReason | undefined {
  if (hasOwnCredential(carrier)) return 'own_credential'
  return isFull(carrier, target) ? 'no_room' : undefined
}

function isHttp(target: { readonly kind: string; readonly scheme?: string }): boolean {
  return target.kind === 'network' && (target.scheme === 'http' || target.scheme === 'https')
}

function createTwoLinesError(field: string): TokenRejectedError {
  return withDetail(new TokenRejectedError('ERR_TOKEN_REQUEST'), { found: `there are several ${field} lines` })
}

/** How many lines of the field `wanted` there are, which is in lower case. */
function linesOf(wanted: string, rawHeaders: readonly string[]): number {
  let lines = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    // The length first: it rules out nearly every other field without making a text in lower case.
    if (name?.length === wanted.length && name.toLowerCase() === wanted) lines += 1
  }
  return lines
}
