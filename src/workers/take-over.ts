/** Works as the caller that was handed over to this worker, or not at all. */

import { ensureContextManager } from '../context/context-manager.ts'
import { getSlot } from '../context/credential-context.ts'
import { activeRelay } from '../ingress/active-relay.ts'
import { contextOf, handle } from '../messaging/consume.ts'
import { inConsumerSpan } from '../messaging/spans.ts'
import { SealError } from '../token/errors.ts'
import { checkReceiver } from './receiver.ts'

/**
 * Runs `fn` as the caller that `handOver(receiver)` has put into `handed`, in its trace: opened here, and verified as any
 * other token, revocation included. Where nobody was handed over `fn` runs as nobody. Work that it leaves behind when its
 * promise is settled is detached, as after a request. The active context's own caller has no part in it. What `fn` returns
 * is returned.
 *
 * @throws SealError where the token was sealed for somebody else, has been opened before, is too old, or was changed;
 * TokenRejectedError, InsufficientScopeError, UndecidedError as `relay.verify` does; all before `fn` is called.
 * @throws TypeError where `receiver` is wrong, and Error where no relay is active.
 */
export async function takeOver<T>(receiver: string, handed: string, fn: () => T): Promise<Awaited<T>> {
  const relay = activeRelay()
  checkReceiver(receiver)
  ensureContextManager()
  const extracted = contextOf({ source: receiver, headers: headersOf(handed) }, relay)
  return inConsumerSpan(receiver, extracted, async (ctx): Promise<Awaited<T>> => {
    if (getSlot(ctx) !== undefined) await relay.settle(ctx)
    return await handle({ context: ctx, as: 'caller', origin: undefined }, fn)
  })
}

function headersOf(handed: string): Readonly<Record<string, unknown>> {
  try {
    const headers: unknown = JSON.parse(handed)
    if (typeof headers === 'object' && headers !== null && !Array.isArray(headers)) return { ...headers }
  } catch {
    // The reason would repeat what was handed over.
  }
  throw new SealError()
}
