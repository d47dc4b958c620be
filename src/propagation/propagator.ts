/** The OpenTelemetry face: takes a token out of incoming carriers, and puts it into outgoing ones that are not HTTP. */

import type { Context, TextMapGetter, TextMapPropagator, TextMapSetter } from '@opentelemetry/api'
import { context, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { deleteCredential, getSlot, setSlot } from '../context/credential-context.ts'
import { deleteSource, getDestination, getSealedUntil, getSource } from '../context/destination-context.ts'
import { CredentialSlot } from '../context/slot.ts'
import type { Decide, Decision } from '../destination/decision.ts'
import { eventOf } from '../destination/hop-event.ts'
import type { Target } from '../destination/pattern.ts'
import { keyOf } from '../destination/rules.ts'
import { announcedTarget } from '../destination/target.ts'
import type { Sealing } from '../sealing/sealing.ts'
import type { WithholdReason } from '../telemetry/auth-event.ts'
import type { ProducerSpans } from '../telemetry/producer-spans.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'
import type { Recognize } from '../token/bearer.ts'
import { readBearer } from '../token/bearer.ts'
import { createNotes } from '../token/notes.ts'
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
import { destinationOf } from './produced.ts'
import { isFull } from './sqs-attributes.ts'

/** What the egress side wants to know about `inject` calls; returns true where the call was its own affair. */
export type InjectObserver = (ctx: Context) => boolean

export interface RelayPropagator extends TextMapPropagator {
  /** The slot that `extract` made for `carrier`, if it has seen it with this very field. */
  slotOf(carrier: object, authorization: unknown): CredentialSlot | undefined
  /** What `extract` does with HTTP headers, for requests that no instrumentation extracts. */
  extractHeaders(carrier: object, authorization: unknown): CredentialSlot
  /** The slot of the active context, where it was made for this very token and its request goes on. */
  activeSlotFor(authorization: unknown): CredentialSlot | undefined
}

export interface PropagatorOptions {
  readonly maxTokenBytes: number
  /** Tells tokens that have been verified. */
  readonly recognize: Recognize
  readonly decide: Decide
  readonly sealing: Sealing
  readonly messages: MessageReader
  readonly producers: ProducerSpans
  readonly onInject: InjectObserver
  /** Whether the relay has not been shut down. */
  readonly isActive: () => boolean
}

type Sent = Exclude<Decision, { readonly verdict: 'withhold' }>

function withheld(decision: Sent, reason: WithholdReason): Decision {
  const subject = decision.verdict === 'exchange' ? decision.subject : decision.credential
  return { verdict: 'withhold', subject, reason, rule: decision.rule, target: decision.target }
}

export function createPropagator(options: PropagatorOptions): RelayPropagator {
  const { maxTokenBytes, recognize, decide, sealing, messages, producers, onInject, isActive } = options
  // Beside the field, which a slot does not hold: it would stay with the context, however large it is.
  const extracted = createNotes<{ readonly authorization: unknown; readonly slot: CredentialSlot }>()

  /** Whoever extracts again while a request is handled gets the same slot, and with it the verdict that is there. */
  function extractHeaders(carrier: object, authorization: unknown): CredentialSlot {
    producers.discover()
    const known = extracted.get(carrier)
    if (known?.authorization === authorization && known?.slot.isOpen) return known.slot
    const slot = CredentialSlot.presented(readBearer(authorization, maxTokenBytes, recognize))
    extracted.set(carrier, { authorization, slot })
    return slot
  }

  function activeSlotFor(authorization: unknown): CredentialSlot | undefined {
    const slot = getSlot(context.active())
    return slot?.isFor(readBearer(authorization, maxTokenBytes, recognize)) ? slot : undefined
  }

  /** `undefined` where there is no token. */
  function slotIn(carrier: object, getter: TextMapGetter): CredentialSlot | undefined {
    const authorization: unknown = getter.get(carrier, AUTHORIZATION)
    if (authorization === undefined) return undefined
    // The metadata of a call is extracted in its handler, when the gate or an interceptor has let it in.
    const letIn = isMetadata(carrier) ? activeSlotFor(authorization) : undefined
    return letIn ?? extractHeaders(carrier, authorization)
  }

  /** A carrier without a token deletes what the context held: its sender is not the caller of whoever reads it. Never throws. */
  function extract(ctx: Context, carrier: unknown, getter: TextMapGetter): Context {
    // As servers extract: nothing is in it that would have to go.
    if (ctx === ROOT_CONTEXT) return extractInto(ctx, carrier, getter, undefined)
    return extractInto(withoutTokens(deleteSource(deleteCredential(ctx))), carrier, getter, getSource(ctx))
  }

  function extractInto(clean: Context, carrier: unknown, getter: TextMapGetter, source: unknown): Context {
    try {
      if (!isCarrier(carrier)) return clean
      const slot = source === undefined ? slotIn(carrier, getter) : messages.read(carrier, getter, source)
      if (slot === undefined) return clean
      return slot.state.status === 'absent' ? clean : setSlot(clean, slot)
    } catch {
      return clean
    }
  }

  function inject(ctx: Context, carrier: object, setter: TextMapSetter): void {
    const target = targetOf(ctx)
    // What somebody sends on without being a caller stays as it was: a message that is put back where it came from.
    removeStale(carrier, target?.kind === 'messaging' && getSlot(ctx) !== undefined)
    if (target === undefined || !isActive()) return
    const decision = decide(ctx, { target, obstacle: obstacleIn(carrier, target) })
    if (decision === undefined) return
    recordOnSpan(
      trace.getSpan(ctx),
      eventOf(decision.verdict === 'withhold' ? decision : write(decision, ctx, carrier, setter)),
    )
  }

  /** HTTP is decided on the wire, where the destination is a fact. Without a destination there is nothing to decide. */
  function targetOf(ctx: Context): Target | undefined {
    const destination = getDestination(ctx) ?? destinationOf(producers.attributesOf(trace.getSpan(ctx)))
    const target = destination === undefined ? undefined : announcedTarget(destination)
    return target !== undefined && isHttp(target) ? undefined : target
  }

  /** Writes the token, and returns what has become of the decision. */
  function write(decision: Sent, ctx: Context, carrier: object, setter: TextMapSetter): Decision {
    const value = fieldFor(decision, ctx)
    if (value === undefined) return withheld(decision, 'not_sealed')
    setter.set(carrier, AUTHORIZATION, value)
    rememberWritten(carrier, value)
    return decision
  }

  /** `undefined` where the token has to be sealed and cannot be. */
  function fieldFor({ credential, rule, target }: Sent, ctx: Context): string | undefined {
    const token = credential.reveal()
    if (rule.seal === false) return `Bearer ${token}`
    // The end of the token inside is the verifier's affair: the consumer may know what to do then.
    const sealed = sealing.seal(token, getSealedUntil(ctx), rule.seal, {
      destination: keyOf(target),
      traceId: propagation.fields().includes('traceparent') ? traceIdOf(trace.getSpanContext(ctx)) : undefined,
    })
    return sealed === undefined ? undefined : `${SEALED} ${sealed}`
  }

  return {
    extract,
    inject(ctx, carrier, setter) {
      try {
        const isDecidedElsewhere = onInject(ctx)
        if (!isCarrier(carrier)) return
        removeTokens(carrier)
        if (isDecidedElsewhere) return
        markSeen(carrier)
        producers.discover()
        inject(ctx, carrier, setter)
      } catch {
        // Total by contract: a hostile carrier or setter gets no token and breaks no request.
      }
    },
    // None, although there is one: OpenTelemetry's instrumentation of SQS counts these names against ten attributes, and
    // leaves out the trace of a message that has too many. What we write we take back ourselves.
    fields: () => [],
    slotOf(carrier, authorization) {
      const known = extracted.get(carrier)
      return known?.authorization === authorization ? known?.slot : undefined
    },
    extractHeaders,
    activeSlotFor,
  }
}

function obstacleIn(carrier: object, target: Target): WithholdReason | undefined {
  if (hasOwnCredential(carrier)) return 'own_credential'
  return isFull(carrier, target) ? 'no_room' : undefined
}

function isHttp(target: { readonly kind: string; readonly scheme?: string }): boolean {
  return target.kind === 'network' && (target.scheme === 'http' || target.scheme === 'https')
}
