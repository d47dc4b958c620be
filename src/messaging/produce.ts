/** Sends one message as the caller, for clients without an instrumentation. */

import type { Context } from '@opentelemetry/api'
import { context, propagation } from '@opentelemetry/api'
import { setDestination } from '../context/destination-context.ts'
import type { ActiveRelay } from '../ingress/active-relay.ts'
import { activeRelay } from '../ingress/active-relay.ts'
import { isSeen } from '../propagation/carrier.ts'
import { runInProducerSpan } from './spans.ts'

/**
 * Calls `send` with the headers for a message to `destination`, and returns its result. The headers hold the trace and
 * the caller's token in the form that the rule for `destination` wants: sealed by default. If no rule names
 * `destination`, or there is no caller, they hold no token. A token that must be exchanged is fetched first.
 *
 * `destination` has the form of a rule without `*`: `nats:orders`. Create new headers for each message: a token is
 * sealed for one message.
 *
 * @throws the error of `send`, and Error if no relay is active. A token that is unavailable is withheld and never
 * throws.
 */
export function produce<T>(destination: string, send: (headers: Record<string, string>) => T): Promise<Awaited<T>> {
  return produceWithHeaders({}, destination, send)
}

/**
 * {@link produce} for a message that already has the headers `existing`; `send` gets only those that are to be added.
 */
export async function produceWithHeaders<T>(
  existing: Readonly<Record<string, string>>,
  destination: string,
  send: (headers: Record<string, string>) => T,
): Promise<Awaited<T>> {
  const relay = activeRelay()
  // A token that cannot be fetched is withheld at injection, which records the reason.
  await relay.prepare(destination, {}).catch(() => undefined)
  return runInProducerSpan(destination, async (ctx): Promise<Awaited<T>> => {
    const headers = createHeaders(ctx, destination, relay, existing)
    return await context.with(ctx, () => send(headers))
  })
}

/**
 * Returns the headers to add to `existing`: the trace of `ctx`, and the token of its caller as the rule for
 * `destination` wants it.
 */
export function createHeaders(
  ctx: Context,
  destination: string,
  { propagator }: ActiveRelay,
  existing: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const announced = setDestination(ctx, destination)
  const headers: Record<string, string> = { ...existing }
  propagation.inject(announced, headers)
  // The application's propagator may not contain the relay's, or may be missing.
  if (!isSeen(headers)) propagator.inject(announced, headers, SETTER)
  return Object.fromEntries(Object.entries(headers).filter(([name, value]) => existing[name] !== value))
}

const SETTER = {
  set(headers: Record<string, string>, name: string, value: string): void {
    headers[name] = value
  },
}
