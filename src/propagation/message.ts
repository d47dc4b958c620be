/** Takes the token out of a message: sealed, or in clear text where the rule for its source says so. */

import type { SpanContext, TextMapGetter } from '@opentelemetry/api'
import { isSpanContextValid, trace } from '@opentelemetry/api'
import { CredentialSlot } from '../context/slot.ts'
import { attributesOf } from '../destination/hop-event.ts'
import type { MessagingTarget } from '../destination/pattern.ts'
import type { Rules } from '../destination/rules.ts'
import { keyOf } from '../destination/rules.ts'
import { announcedTarget } from '../destination/target.ts'
import type { OpenedToken, Sealing } from '../sealing/sealing.ts'
import { recordOnSpan } from '../telemetry/span-events.ts'
import { readBearer } from '../token/bearer.ts'
import type { TokenErrorCode } from '../token/errors.ts'
import { SealError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Verifier } from '../verification/verifier.ts'
import { AUTHORIZATION, isSealed, textOf } from './carrier.ts'

/**
 * The scheme of a sealed token (RFC 9110 §11.1). It stays in the one field, since SQS allows ten attributes, and it is not
 * `Bearer`: a server that reads bearer tokens sees another scheme, and neither lets it in nor asks an issuer about it.
 */
export const SEALED = 'Sealed'

export interface MessageReader {
  /** The slot of the message that `carrier` belongs to. The same for the same message, so that it opens once. */
  read(carrier: object, getter: TextMapGetter, source: unknown): CredentialSlot
  /**
   * Whose token was in the message of `slot`, where it was good when it was sealed and is not any more: it has expired, or
   * was revoked. `undefined` where that cannot be known. Rejects with a `TokenError`.
   */
  origin(slot: CredentialSlot, verifier: Verifier): Promise<VerifiedCredential | undefined>
}

export interface MessageOptions {
  readonly rules: Rules
  readonly sealing: Sealing
  readonly maxTokenBytes: number
}

/** What makes two extractions of one carrier the same. Clients use header objects again for other messages. */
interface Found {
  readonly field: unknown
  readonly source: unknown
  readonly traceId: string | undefined
}

const SEALED_FIELD = /^sealed +([^ ]+)$/i

export function createMessageReader({ rules, sealing, maxTokenBytes }: MessageOptions): MessageReader {
  const known = new WeakMap<object, Found & { readonly slot: CredentialSlot }>()
  const opened = new WeakMap<CredentialSlot, OpenedToken>()

  function slotFor({ field, source, traceId }: Found): CredentialSlot {
    const target = sourceOf(source)
    if (!isSealed(field)) return clearSlot(field, target)
    const sealed = SEALED_FIELD.exec(field)?.[1]
    if (sealed === undefined || target === undefined) return CredentialSlot.rejected(new SealError())
    const slot: CredentialSlot = CredentialSlot.sealed(async (verifier) => {
      const token = sealing.open(sealed, { destination: keyOf(target), traceId })
      opened.set(slot, token)
      return unseal(token, target, verifier)
    })
    return slot
  }

  /** A token in clear text is refused where it has to be sealed, and from no place that one can be sealed for. */
  function clearSlot(field: unknown, target: MessagingTarget | undefined): CredentialSlot {
    const bearer = readBearer(field, maxTokenBytes)
    const isAccepted = bearer.kind === 'none' || (target !== undefined && rules.match(target)?.seal === false)
    return isAccepted ? CredentialSlot.presented(bearer) : CredentialSlot.rejected(new SealError())
  }

  return {
    read(carrier, getter, source) {
      const field = single(getter.get(carrier, AUTHORIZATION))
      const found = { field, source, traceId: traceIdIn(single(getter.get(carrier, 'traceparent'))) }
      const before = known.get(carrier)
      if (before !== undefined && isSame(before, found) && !isUndecided(before.slot)) return before.slot
      const slot = slotFor(found)
      known.set(carrier, { ...found, slot })
      return slot
    },
    async origin(slot, verifier) {
      const { credential, sealedAtMillis, count } = opened.get(slot) ?? {}
      const hasEnded = slot.state.status === 'rejected' && ENDED.includes(slot.state.error.code)
      if (!hasEnded || credential === undefined || sealedAtMillis === undefined) return undefined
      const origin = await verifier.verifyAsOf(credential, sealedAtMillis)
      await count?.()
      return origin
    },
  }
}

/** What happens to tokens that were good. */
const ENDED: readonly TokenErrorCode[] = ['ERR_TOKEN_EXPIRED', 'ERR_TOKEN_TOO_OLD', 'ERR_TOKEN_REVOKED']

async function unseal({ credential, count }: OpenedToken, source: MessagingTarget, verifier: Verifier) {
  const verified = await verifier.verify(credential)
  // Last: while the issuer of a token is down its message is not used up, and what is forged pushes out no other.
  await count()
  recordOnSpan(trace.getActiveSpan(), { name: 'auth.token.opened', source: attributesOf(source) })
  return verified
}

function sourceOf(source: unknown): MessagingTarget | undefined {
  const target = typeof source === 'string' ? announcedTarget(source) : undefined
  return target?.kind === 'messaging' ? target : undefined
}

/** The trace id of a span that a `traceparent` is written for. */
export function traceIdOf(span: SpanContext | undefined): string | undefined {
  return span !== undefined && isSpanContextValid(span) ? span.traceId : undefined
}

/** W3C Trace Context §3.2.2. */
function traceIdIn(traceparent: unknown): string | undefined {
  return typeof traceparent === 'string' ? /^[\da-f]{2}-([\da-f]{32})-/.exec(traceparent)?.[1] : undefined
}

/** Clients give bytes, attributes, or lists of one. */
function single(value: unknown): unknown {
  return textOf(Array.isArray(value) && value.length === 1 ? value[0] : value)
}

/** It may be decided when the message comes again. */
function isUndecided({ state }: CredentialSlot): boolean {
  return state.status === 'rejected' && state.error.retryable
}

function isSame(a: Found, b: Found): boolean {
  return a.field === b.field && a.source === b.source && a.traceId === b.traceId
}
