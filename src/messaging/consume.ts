/** Handles one message as its caller, if its token is good. */

import { EventEmitter } from 'node:events'
import type { Context } from '@opentelemetry/api'
import { context, defaultTextMapGetter, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { monotonicNow } from '../base/clock.ts'
import { ensureContextManager } from '../context/context-manager.ts'
import { callerOf, deleteCredential, withCaller } from '../context/credential-context.ts'
import { setSource } from '../context/destination-context.ts'
import type { ActiveRelay } from '../ingress/active-relay.ts'
import { activeRelay } from '../ingress/active-relay.ts'
import type { AdmittedMessage, Delivery, MessageHeaders, ReceivedMessage } from '../propagation/delivery.ts'
import type { TokenError } from '../token/errors.ts'
import { runInConsumerSpan } from './spans.ts'
import type { WaitOptions } from './undecided-wait.ts'
import { checkUndecidedMillis, isAborted, redeliveryDelayOf, retryDelayOf, waitFor } from './undecided-wait.ts'

/** The result of a message. */
export type Consumed<T> =
  | { readonly verdict: 'handled'; readonly result: T }
  | { readonly verdict: 'rejected'; readonly error: TokenError }
  | Undecided

/** The relay cannot decide now if the token of the message is good: have the message delivered again. */
interface Undecided {
  readonly verdict: 'undecided'
  readonly error: TokenError
  /**
   * How long to keep the message before it is delivered again, in milliseconds: 1000 to 30000. If you return it at
   * once, the broker redelivers it at once, thousands of times a second.
   */
  readonly retryAfterMillis: number
}

/** Options of {@link consume}. */
export interface ConsumeOptions {
  /**
   * How long a message waits, unacknowledged, while an issuer, a revocation list or a replay window is unavailable, in
   * milliseconds. The relay decides again as often as the error allows, and once more at the end; after that the
   * verdict is `undecided`. Default 30000; 0 does not wait. Any value that is not a number of at least 0 is a
   * TypeError; adapters throw it when they are created.
   */
  readonly undecidedMillis?: number
  /** Ends the wait when it aborts: waiting messages become `undecided` at once. For consumers that stop. */
  readonly signal?: AbortSignal | undefined
}

const DEFAULT_UNDECIDED_MILLIS = 30_000

/**
 * Opens and verifies the token of `message`, runs `handler` as its caller, and returns the result. The rule that names
 * the source (`consume`) decides what happens to a message without a token and to an expired token. Work that `handler`
 * starts and does not await is detached when its promise settles, as after a request.
 *
 * The handler runs in the context of the message only: caller, baggage and trace of the active context do not apply.
 * The active span is used only if an instrumentation created it for this message.
 *
 * @throws the error of `handler`, and Error if no relay is active. A bad token is a verdict, never an exception.
 */
export function consume<T>(
  message: ReceivedMessage,
  handler: (delivery: Delivery) => T,
  options: ConsumeOptions = {},
): Promise<Consumed<Awaited<T>>> {
  return consumeFromBroker(message, handler, options, { signal: options.signal })
}

/**
 * {@link consume} for an adapter that knows how its broker keeps a waiting message. Also rejects with the error of
 * `keepAlive`.
 */
export async function consumeFromBroker<T>(
  message: ReceivedMessage,
  handler: (delivery: Delivery) => T,
  options: ConsumeOptions,
  waiting: WaitOptions,
): Promise<Consumed<Awaited<T>>> {
  checkUndecidedMillis(options)
  const relay = activeRelay()
  ensureContextManager()
  return runInConsumerSpan(message.source, extractContext(message, relay), async (ctx) => {
    const admitted = await admitOrWait(relay, ctx, message, options, waiting)
    if ('verdict' in admitted) return admitted
    return { verdict: 'handled', result: await runHandler(admitted, handler) }
  })
}

/**
 * Returns the trace, the baggage and the token of the message. Consumers start anywhere, so nothing of the active
 * context is kept.
 */
export function extractContext({ source, headers }: ReceivedMessage, { propagator }: ActiveRelay): Context {
  const carrier = normalizeHeaders(headers)
  const base = propagation.extract(setSource(ROOT_CONTEXT, source), carrier, defaultTextMapGetter)
  // The application's propagator may not contain the relay's, or may be missing.
  return propagator.extract(setSource(base, source), carrier, defaultTextMapGetter)
}

/** Returns names in lower case and values as strings. Two headers of one name become a list, which is never a token. */
function normalizeHeaders(headers: MessageHeaders | undefined): Record<string, string | string[]> {
  const normalized = Object.create(null) as Record<string, string | string[]>
  for (const [key, value] of entriesOf(headers)) {
    const name = stringsOf(key)[0]?.toLowerCase() ?? ''
    const values = [normalized[name] ?? [], stringsOf(value)].flat()
    normalized[name] = values.length === 1 ? (values[0] ?? '') : values
  }
  return normalized
}

function entriesOf(headers: MessageHeaders | undefined): Iterable<readonly [unknown, unknown]> {
  if (headers === undefined) return []
  return Symbol.iterator in headers ? headers : Object.entries(headers)
}

function stringsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(stringsOf)
  if (value instanceof Uint8Array) return [Buffer.from(value).toString()]
  return typeof value === 'string' ? [value] : []
}

type NotAdmitted = Exclude<Consumed<never>, { readonly verdict: 'handled' }>

/**
 * Decides again until the message is decided or its time is up, and once more at the end even if the error asks for a
 * longer pause.
 */
async function admitOrWait(
  relay: ActiveRelay,
  first: Context,
  message: ReceivedMessage,
  { undecidedMillis = DEFAULT_UNDECIDED_MILLIS }: ConsumeOptions,
  waiting: WaitOptions,
): Promise<AdmittedMessage | NotAdmitted> {
  const deadline = monotonicNow() + undecidedMillis
  for (let ctx = first; ; ctx = extractAgain(message, relay, first)) {
    const outcome = await decideInContext(ctx, () =>
      relay.admitMessage(ctx, message.source, () => isAborted(waiting.lost)),
    ).catch(toVerdict)
    const leftMillis = deadline - monotonicNow()
    if (!isUndecided(outcome) || leftMillis <= 0) return outcome
    await waitFor(Math.min(retryDelayOf(outcome.error), leftMillis), waiting)
    if (isAborted(waiting.signal)) return outcome
  }
}

/** Runs `decide` with the span of the message active, and without a caller: the caller is not verified yet. */
export function decideInContext<T>(ctx: Context, decide: () => Promise<T>): Promise<T> {
  return context.with(deleteCredential(ctx), decide)
}

/** Extracts the token again, because a caller is decided only once. Keeps the span. */
function extractAgain(message: ReceivedMessage, relay: ActiveRelay, first: Context): Context {
  const [again, span] = [extractContext(message, relay), trace.getSpan(first)]
  return span === undefined ? again : trace.setSpan(again, span)
}

function isUndecided(outcome: AdmittedMessage | NotAdmitted): outcome is Undecided {
  return 'verdict' in outcome && outcome.verdict === 'undecided'
}

function toVerdict(reason: unknown): NotAdmitted {
  const error = reason as TokenError
  return error.retryable
    ? { verdict: 'undecided', error, retryAfterMillis: redeliveryDelayOf(error) }
    : { verdict: 'rejected', error }
}

/**
 * Gives this delivery its own lifetime: a message can be delivered again, and that delivery must not end with this one.
 */
export async function runHandler<T>(
  admitted: AdmittedMessage,
  handler: (delivery: Delivery) => T,
): Promise<Awaited<T>> {
  const { context: ctx, as, origin } = admitted
  const lifetime = new EventEmitter()
  const caller = callerOf(ctx)?.copyForDelivery(lifetime)
  try {
    return await context.with(caller === undefined ? ctx : withCaller(ctx, caller), () => handler({ as, origin }))
  } finally {
    lifetime.emit('close')
  }
}
