/** Works on one message as whoever sent it, or does not. */

import { EventEmitter } from 'node:events'
import type { Context } from '@opentelemetry/api'
import { context, defaultTextMapGetter, propagation } from '@opentelemetry/api'
import { ensureContextManager } from '../context/context-manager.ts'
import { deleteCredential, getSlot, setSlot } from '../context/credential-context.ts'
import { setSource } from '../context/destination-context.ts'
import type { ActiveRelay } from '../ingress/active-relay.ts'
import { activeRelay } from '../ingress/active-relay.ts'
import type { AdmittedMessage, Delivery, MessageHeaders, ReceivedMessage } from '../propagation/delivery.ts'
import type { TokenError } from '../token/errors.ts'
import { UndecidedError } from '../token/errors.ts'
import { inConsumerSpan } from './spans.ts'

/** What became of a message. `undecided`: nobody could say whether its token is good; deliver it again, later. */
export type Consumed<T> =
  | { readonly verdict: 'handled'; readonly result: T }
  | { readonly verdict: 'rejected' | 'undecided'; readonly error: TokenError }

/** How a message is handled. */
export interface ConsumeOptions {
  /**
   * How long a message waits, unacknowledged, for an issuer, a revocation list or a replay window that cannot be asked, in
   * milliseconds: it is tried again as often as they say. After that the verdict is `undecided`. Default 30000; 0 does
   * not wait.
   */
  readonly undecidedMillis?: number
}

const DEFAULT_UNDECIDED_MILLIS = 30_000

/**
 * Runs `handler` as the caller of `message`, once its token is opened and verified, and tells what became of it; as whom it
 * runs otherwise is for the rule that names the source to say (`consume`). Work that `handler` leaves behind when its
 * promise is settled is detached, as after a request. The active context's own caller has no part in it.
 *
 * @throws whatever `handler` throws, and Error where no relay is active. A token is never a reason to throw.
 */
export async function consume<T>(
  message: ReceivedMessage,
  handler: (delivery: Delivery) => T,
  options: ConsumeOptions = {},
): Promise<Consumed<Awaited<T>>> {
  const relay = activeRelay()
  ensureContextManager()
  const { source } = message
  return inConsumerSpan(source, contextOf(message, relay), async (ctx) => {
    const admitted = await admitPatiently(relay, ctx, message, options).catch(refused)
    if ('verdict' in admitted) return admitted
    return { verdict: 'handled', result: await handle(admitted, handler) }
  })
}

function refused(error: unknown): Exclude<Consumed<never>, { readonly verdict: 'handled' }> {
  const reason = error as TokenError
  return { verdict: reason.retryable ? 'undecided' : 'rejected', error: reason }
}

/** The trace of the message in the active context, and nothing of that one's caller. */
export function contextOf({ source, headers }: ReceivedMessage, { propagator }: ActiveRelay): Context {
  const carrier = plainHeaders(headers)
  const base = propagation.extract(setSource(deleteCredential(context.active()), source), carrier, defaultTextMapGetter)
  // Again by ourselves: the application's propagator need not contain the relay's, and there may be none at all.
  return propagator.extract(setSource(base, source), carrier, defaultTextMapGetter)
}

/** Names in lower case; values as texts. Two of one name are a list, which is no token. */
function plainHeaders(headers: MessageHeaders | undefined): Record<string, string | string[]> {
  const plain = Object.create(null) as Record<string, string | string[]>
  for (const [key, value] of entriesOf(headers)) {
    const name = textsOf(key)[0]?.toLowerCase() ?? ''
    const texts = [plain[name] ?? [], textsOf(value)].flat()
    plain[name] = texts.length === 1 ? (texts[0] ?? '') : texts
  }
  return plain
}

function entriesOf(headers: MessageHeaders | undefined): Iterable<readonly [unknown, unknown]> {
  if (headers === undefined) return []
  return Symbol.iterator in headers ? headers : Object.entries(headers)
}

function textsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(textsOf)
  if (value instanceof Uint8Array) return [Buffer.from(value).toString()]
  return typeof value === 'string' ? [value] : []
}

async function admitPatiently(
  relay: ActiveRelay,
  ctx: Context,
  message: ReceivedMessage,
  { undecidedMillis = DEFAULT_UNDECIDED_MILLIS }: ConsumeOptions,
): Promise<AdmittedMessage> {
  const deadline = performance.now() + undecidedMillis
  for (let current = ctx; ; current = contextOf(message, relay)) {
    try {
      return await relay.admitMessage(current, message.source)
    } catch (error) {
      const pauseMillis = pauseAfter(error as TokenError)
      if (performance.now() + pauseMillis > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, pauseMillis))
    }
  }
}

function pauseAfter(error: TokenError): number {
  if (!error.retryable) return Number.POSITIVE_INFINITY
  return error instanceof UndecidedError ? error.retryAfterSeconds * 1000 : 1_000
}

/** A message may be delivered again: what ends with this delivery must not be the end of the next one. */
export async function handle<T>(admitted: AdmittedMessage, handler: (delivery: Delivery) => T): Promise<Awaited<T>> {
  const { context: ctx, as, origin } = admitted
  const lifetime = new EventEmitter()
  const slot = getSlot(ctx)?.forDelivery(lifetime)
  try {
    return await context.with(slot === undefined ? ctx : setSlot(ctx, slot), () => handler({ as, origin }))
  } finally {
    lifetime.emit('close')
  }
}
