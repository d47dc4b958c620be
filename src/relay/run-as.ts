/** Runs work as a caller whose token came in no request: of a token, of a source of tokens, of a message. */

import { EventEmitter } from 'node:events'
import type { Context } from '@opentelemetry/api'
import { context } from '@opentelemetry/api'
import { withBindSite } from '../context/call-sites.ts'
import { Caller } from '../context/caller.ts'
import { ensureContextManager } from '../context/context-manager.ts'
import { withCaller } from '../context/credential-context.ts'
import type { TokenSource } from '../exchange/token-source.ts'
import { activeRelay } from '../ingress/active-relay.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { isVerifiedCredential } from '../token/verified-credential.ts'

/**
 * Verifies `token` and runs `fn` as its subject, for jobs that no request started. Returns what `fn` returns. Work that
 * goes on after that is detached.
 *
 * @throws TokenRejectedError, UndecidedError as `relay.verify` does, before `fn` is called.
 * @throws Error if no relay is active.
 */
export async function runWithToken<T>(token: string, fn: () => T): Promise<Awaited<T>> {
  const relay = activeRelay()
  ensureContextManager()
  relay.discoverTracers()
  return await runAsVerified(await relay.verify(token), fn)
}

/** Runs `fn` as the caller of a verified token. Work that goes on after that is detached. */
export async function runAsVerified<T>(credential: VerifiedCredential, fn: () => T): Promise<Awaited<T>> {
  ensureContextManager()
  const caller = Caller.verified(credential)
  const lifetime = new EventEmitter()
  caller.trackRequest(lifetime)
  try {
    return await context.with(withBindSite(withCaller(context.active(), caller), caller), fn)
  } finally {
    lifetime.emit('close')
  }
}

/**
 * Runs `fn` as the subject of the tokens of `source`, for work that no request started. However long it takes, it sends
 * the token that `source` has at that moment, and nothing while `source` has none. Returns what `fn` returns.
 *
 * @throws ExchangeError if there is no token, before `fn` is called.
 * @throws TypeError if `source` returns something else than a token that the relay has verified.
 * @throws Error if no relay is active.
 */
export async function runAs<T>(source: TokenSource, fn: () => T): Promise<Awaited<T>> {
  activeRelay().discoverTracers()
  ensureContextManager()
  const first = await source.get()
  if (!isVerifiedCredential(first)) throw new TypeError('source: expected tokens that the relay has verified')
  const caller = Caller.renewed(source, first)
  return await context.with(withCaller(context.active(), caller), fn)
}

/**
 * Runs `fn` in `ctx` as the caller whose token `propagation.extract` has put there: opened if it was sealed, and
 * verified as any other. For consumers of messages, after {@link setSource}. Returns what `fn` returns.
 *
 * @throws SealError if the token cannot be opened there, TokenRejectedError if it is bad or there is none,
 * InsufficientScopeError, UndecidedError, all before `fn` is called.
 * @throws Error if no relay is active.
 */
export async function runAsCaller<T>(ctx: Context, fn: () => T): Promise<Awaited<T>> {
  const relay = activeRelay()
  ensureContextManager()
  await relay.admitExtracted(ctx)
  return await context.with(ctx, fn)
}
