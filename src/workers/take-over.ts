/** Works as the caller that was handed over to this worker, if the token is good. */

import { ensureContextManager } from '../context/context-manager.ts'
import { callerOf } from '../context/credential-context.ts'
import { activeRelay } from '../ingress/active-relay.ts'
import { decideInContext, extractContext, runHandler } from '../messaging/consume.ts'
import { runInConsumerSpan } from '../messaging/spans.ts'
import { SealError } from '../token/errors.ts'
import { checkReceiver } from './hand-over.ts'

/**
 * Runs `fn` as the caller that `handOver(receiver)` wrote into `handed`, in its trace, and returns the result. The
 * token is opened here and verified like any other token, including revocation. If no caller was handed over, `fn` runs
 * without a caller. Work that `fn` starts and does not await is detached when its promise settles, as after a request.
 * Caller, baggage and span of the active context do not apply.
 *
 * @throws SealError if the token was sealed for another receiver, has been opened before, is too old, or was changed;
 * TokenRejectedError, InsufficientScopeError, UndecidedError as `relay.verify` does; all before `fn` is called.
 * @throws TypeError if `receiver` is wrong, and Error if no relay is active.
 */
export async function takeOver<T>(receiver: string, handed: string, fn: () => T): Promise<Awaited<T>> {
  const relay = activeRelay()
  checkReceiver(receiver)
  ensureContextManager()
  const extracted = extractContext({ source: receiver, headers: headersOf(handed) }, relay)
  return runInConsumerSpan(receiver, extracted, async (ctx): Promise<Awaited<T>> => {
    if (callerOf(ctx) !== undefined) await decideInContext(ctx, () => relay.admitExtracted(ctx))
    return await runHandler({ context: ctx, as: 'caller', origin: undefined }, fn)
  })
}

function headersOf(handed: string): Readonly<Record<string, unknown>> {
  try {
    const headers: unknown = JSON.parse(handed)
    if (typeof headers === 'object' && headers !== null && !Array.isArray(headers)) return { ...headers }
  } catch {
    // The JSON error would quote the text.
  }
  throw new SealError()
}
