/** A token that is valid now, renewed before it expires, once for all who ask. */

import { cloneError, ExchangeError, TokenError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'

/** What is asked of a {@link TokenSource}. */
export interface GetTokenOptions {
  /** How long the token must stay valid from now on, in milliseconds: the time-out of the call it is for. Default 0. */
  readonly validForMillis?: number
  /** Ends the waiting, not the work: others may wait for the same token. */
  readonly signal?: AbortSignal
}

/** Where tokens come from that nobody presented. */
export interface TokenSource {
  /**
   * Resolves with a token that is valid now, and stays so for `validForMillis`.
   *
   * @throws ExchangeError where none can be had, and the reason of `signal` where that is aborted.
   */
  get(options?: GetTokenOptions): Promise<VerifiedCredential>
  /**
   * The token that is at hand, without waiting; `undefined` where there is none, or it has expired. Where it is time to
   * renew it, that is done in the background.
   */
  readonly current: VerifiedCredential | undefined
}

export interface RenewingOptions {
  /** Gets a new token. Rejects with an {@link ExchangeError} and with nothing else. */
  readonly obtain: (previous: VerifiedCredential | undefined) => Promise<VerifiedCredential>
  readonly renewBeforeMillis: number
  /** No token of this source is used later than this, in milliseconds since the epoch. */
  readonly notAfterMillis: number
}

/** After a refusal the same question is not asked again at once, whoever asks. */
const REFUSED_MILLIS = 5_000

interface Held {
  readonly credential: VerifiedCredential
  readonly until: number
  readonly renewAt: number
}

export function createTokenSource({ obtain, renewBeforeMillis, notAfterMillis }: RenewingOptions): TokenSource {
  let held: Held | undefined
  let pending: Promise<Held> | undefined
  let refused: { readonly error: ExchangeError; readonly until: number } | undefined

  function hold(credential: VerifiedCredential): Held {
    const now = Date.now()
    const until = Math.min(credential.expiresAtMillis, notAfterMillis)
    // A short life is renewed half-way through, so that it is not renewed all the time.
    const renewAt = Math.max(until - renewBeforeMillis, now + (until - now) / 2)
    return { credential, until, renewAt }
  }

  async function renew(): Promise<Held> {
    try {
      held = hold(await obtain(held?.credential))
      refused = undefined
      return held
    } catch (error) {
      const failure = error instanceof ExchangeError ? error : new ExchangeError('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
      if (!failure.retryable) refused = { error: failure, until: Date.now() + REFUSED_MILLIS }
      throw failure
    } finally {
      pending = undefined
    }
  }

  function renewOnce(): Promise<Held> {
    if (refused !== undefined && Date.now() < refused.until) return Promise.reject(cloneError(refused.error))
    pending ??= renew()
    return pending
  }

  /** A new token would be no better where the subject's own ends first. */
  function isDue({ until, renewAt }: Held): boolean {
    return Date.now() >= renewAt && until < notAfterMillis
  }

  function current(): Held | undefined {
    if (held === undefined) return undefined
    if (isDue(held)) renewOnce().catch(() => undefined)
    return Date.now() < held.until ? held : undefined
  }

  return {
    get current() {
      return current()?.credential
    },
    async get({ validForMillis = 0, signal } = {}) {
      signal?.throwIfAborted()
      const outlives = (token: Held | undefined): token is Held =>
        token !== undefined && token.until > Date.now() + validForMillis
      if (notAfterMillis <= Date.now() + validForMillis) throw new ExchangeError('ERR_TOKEN_EXCHANGE_LIFETIME')
      const known = current()
      if (outlives(known)) return known.credential
      const fresh = await orAborted(renewOnce().catch(rethrowClone), signal)
      if (!outlives(fresh)) throw new ExchangeError('ERR_TOKEN_EXCHANGE_LIFETIME')
      return fresh.credential
    },
  }
}

function rethrowClone(error: unknown): never {
  throw error instanceof TokenError ? cloneError(error) : error
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
