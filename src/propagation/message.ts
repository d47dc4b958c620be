/** Takes the token out of a message: sealed, or in clear text if the rule for its source says so. */

import type { SpanContext, TextMapGetter } from '@opentelemetry/api'
import { isSpanContextValid } from '@opentelemetry/api'
import { Caller } from '../context/caller.ts'
import type { MessagingTarget } from '../destination/pattern.ts'
import type { Rules } from '../destination/rules.ts'
import { keyOf } from '../destination/rules.ts'
import { announcedTarget } from '../destination/target.ts'
import type { OpenedToken, Sealing } from '../sealing/sealing.ts'
import { readBearer } from '../token/bearer.ts'
import type { TokenErrorCode } from '../token/errors.ts'
import { SealError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import type { Verifier } from '../verification/verifier.ts'
import { AUTHORIZATION, isSealed, textOf } from './carrier.ts'
import { countsOf, createOpening, createUnusedCounts } from './opening.ts'

/**
 * The scheme of a sealed token (RFC 9110 §11.1). It stays in the one field, since SQS allows ten attributes, and it is
 * not `Bearer`: a server that reads bearer tokens sees another scheme, and neither accepts it nor asks an issuer about
 * it.
 */
export const SEALED = 'Sealed'

export interface MessageReader {
  /** The caller of the message that `carrier` belongs to. The same for the same message, which is opened once then. */
  read(carrier: object, getter: TextMapGetter, source: unknown): Caller
  /**
   * The credential in the message of `caller`, if it was good when it was sealed and is not any more: it has expired,
   * or was revoked. `undefined` if that cannot be known. Rejects with a `TokenError`.
   */
  origin(caller: Caller, verifier: Verifier): Promise<VerifiedCredential | undefined>
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
  const known = new WeakMap<object, Found & { readonly caller: Caller }>()
  const opened = new WeakMap<Caller, OpenedToken>()
  const unused = createUnusedCounts()

  function callerFor({ field, source, traceId }: Found): Caller {
    const target = sourceOf(source)
    if (!isSealed(field)) return callerInClearText(field, target)
    const sealed = SEALED_FIELD.exec(field)?.[1]
    if (sealed === undefined || target === undefined) return Caller.rejected(new SealError())
    const caller: Caller = Caller.sealed(() => {
      const token = sealing.open(sealed, { destination: keyOf(target), traceId })
      opened.set(caller, token)
      return createOpening(token, target, countsOf(unused, sealed))
    })
    return caller
  }

  /**
   * A token in clear text is refused if the rule wants it sealed, and if the source is not one that tokens are sealed
   * for.
   */
  function callerInClearText(field: unknown, target: MessagingTarget | undefined): Caller {
    const bearer = readBearer(field, maxTokenBytes)
    const isAccepted = bearer.kind === 'none' || (target !== undefined && rules.match(target)?.seal === false)
    return isAccepted ? Caller.fromHeader(bearer) : Caller.rejected(new SealError())
  }

  return {
    read(carrier, getter, source) {
      const field = readSingleText(getter.get(carrier, AUTHORIZATION))
      const found = { field, source, traceId: traceIdIn(readSingleText(getter.get(carrier, 'traceparent'))) }
      const before = known.get(carrier)
      if (before !== undefined && isSame(before, found)) return before.caller
      const caller = callerFor(found)
      known.set(carrier, { ...found, caller })
      return caller
    },
    async origin(caller, verifier) {
      const { credential, sealedAtMillis } = opened.get(caller) ?? {}
      const hasEnded = caller.rejection !== undefined && ENDED.includes(caller.rejection.code)
      if (!hasEnded || credential === undefined || sealedAtMillis === undefined) return undefined
      return verifier.verifyAsOf(credential, sealedAtMillis)
    },
  }
}

/** What happens to tokens that were good. */
const ENDED: readonly TokenErrorCode[] = ['ERR_TOKEN_EXPIRED', 'ERR_TOKEN_TOO_OLD', 'ERR_TOKEN_REVOKED']

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
function readSingleText(value: unknown): unknown {
  return textOf(Array.isArray(value) && value.length === 1 ? value[0] : value)
}

function isSame(a: Found, b: Found): boolean {
  return a.field === b.field && a.source === b.source && a.traceId === b.traceId
}
