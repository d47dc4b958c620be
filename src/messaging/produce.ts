/** Sends one message as the caller, through clients that no instrumentation knows. */

import type { Context } from '@opentelemetry/api'
import { context, propagation } from '@opentelemetry/api'
import { setDestination } from '../context/destination-context.ts'
import type { ActiveRelay } from '../ingress/active-relay.ts'
import { activeRelay } from '../ingress/active-relay.ts'
import { isSeen } from '../propagation/carrier.ts'
import { inProducerSpan } from './spans.ts'

/**
 * Calls `send` with the headers that a message to `destination` is to have: those of the trace, and the caller's token as
 * the rule for `destination` wants it, sealed unless it says otherwise. Where no rule names it, or nobody is calling, there
 * is no token among them. A token that has to be exchanged is got first. What `send` returns is returned.
 *
 * `destination` has the form of a rule without `*`: `nats:orders`. Make new headers for each message: a token is sealed for
 * one.
 *
 * @throws whatever `send` throws, and Error where no relay is active. A token is never a reason to throw.
 */
export function produce<T>(destination: string, send: (headers: Record<string, string>) => T): Promise<Awaited<T>> {
  return produceBeside({}, destination, send)
}

/** {@link produce} for a message that has headers of its `own`; `send` is given what is to be added to them. */
export async function produceBeside<T>(
  own: Readonly<Record<string, string>>,
  destination: string,
  send: (headers: Record<string, string>) => T,
): Promise<Awaited<T>> {
  const relay = activeRelay()
  // What cannot be had is withheld, and told as that.
  await relay.prepare(destination, {}).catch(() => undefined)
  return inProducerSpan(destination, async (ctx): Promise<Awaited<T>> => {
    const headers = headersFor(ctx, destination, relay, own)
    return await context.with(ctx, () => send(headers))
  })
}

/** The trace of `ctx`, and its caller's token as the rule for `destination` wants it, beside `own`. */
export function headersFor(
  ctx: Context,
  destination: string,
  { propagator }: ActiveRelay,
  own: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const announced = setDestination(ctx, destination)
  const headers: Record<string, string> = { ...own }
  propagation.inject(announced, headers)
  // The application's propagator need not contain the relay's, and there may be none at all.
  if (!isSeen(headers)) propagator.inject(announced, headers, SETTER)
  return Object.fromEntries(Object.entries(headers).filter(([name, value]) => own[name] !== value))
}

const SETTER = {
  set(headers: Record<string, string>, name: string, value: string): void {
    headers[name] = value
  },
}
