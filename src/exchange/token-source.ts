/** A token that is valid now, renewed before it expires, once for all who ask. */

import { cloneError, ExchangeError } from '../token/errors.ts'
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
   * Resolves with a token that is valid now, and stays so for `validForMillis`. After a failure nobody is asked again for
   * a second, after a refusal for 5 seconds: until then it is the same error.
   *
   * @throws ExchangeError where none can be had, and the reason of `signal` where that is aborted.
   */
  get(options?: GetTokenOptions): Promise<VerifiedCredential>
  /**
   * The token that is at hand, without waiting; `undefined` where there is none, or it has expired. Where it is time to
   * renew it, that is done in the background: never for a token that nobody asks for any more.
   */
  readonly current: VerifiedCredential | undefined
  /**
   * Gets another token in place of `refused`, which a destination has answered 401 to although it has not expired: at
   * most once in 5 seconds, whoever asks. Resolves with what is at hand then; a source may do without.
   *
   * @throws ExchangeError where none can be had.
   */
  renew?(refused: VerifiedCredential): Promise<VerifiedCredential>
}

/** Those of this package can always be renewed. */
export type RenewableSource = Required<TokenSource>

/** A token, when it was issued to whoever asked, and until when it may be used, in milliseconds since the epoch. */
export interface Obtained {
  readonly credential: VerifiedCredential
  readonly obtainedAtMillis: number
  readonly usableUntilMillis: number
}

export interface RenewingOptions {
  /** Gets a new token. Rejects with an {@link ExchangeError}. */
  readonly obtain: (previous: VerifiedCredential | undefined) => Promise<Obtained>
  readonly renewBeforeMillis: number
  /** No token of this source is used later than this, in milliseconds since the epoch. */
  readonly notAfterMillis: number
}

interface Held {
  readonly credential: VerifiedCredential
  readonly until: number
  readonly renewAt: number
  readonly lifeMillis: number
}

interface Failure {
  readonly error: ExchangeError
  /** On the clock that nobody sets. */
  readonly until: number
}

const REFUSED_MILLIS = 5_000
const FAILED_MILLIS = 1_000
/** A destination that refuses whatever token it gets must not cost the issuer one for each request. */
const RENEWED_MILLIS = 5_000

export function createTokenSource({ obtain, renewBeforeMillis, notAfterMillis }: RenewingOptions): RenewableSource {
  let held: Held | undefined
  let failure: Failure | undefined
  let pending: Promise<Held> | undefined
  let refusedAt = Number.NEGATIVE_INFINITY

  function hold({ credential, obtainedAtMillis, usableUntilMillis }: Obtained): Held {
    const until = Math.min(usableUntilMillis, notAfterMillis)
    // A short life is renewed half-way through, so that it is not renewed all the time.
    const renewAt = Math.max(until - renewBeforeMillis, (obtainedAtMillis + until) / 2)
    return { credential, until, renewAt, lifeMillis: until - obtainedAtMillis }
  }

  async function renew(): Promise<Held> {
    try {
      held = hold(await obtain(held?.credential))
      failure = undefined
      return held
    } catch (cause) {
      const error = cause instanceof ExchangeError ? cause : new ExchangeError('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
      failure = { error, until: performance.now() + (error.retryable ? FAILED_MILLIS : REFUSED_MILLIS) }
      throw error
    } finally {
      pending = undefined
    }
  }

  function renewOnce(): Promise<Held> {
    if (failure !== undefined && performance.now() < failure.until) return Promise.reject(failure.error)
    pending ??= renew()
    return pending
  }

  /** What is at hand and has not expired; renewed in the background when it is time. */
  function atHand(): Held | undefined {
    if (held === undefined) return undefined
    const now = Date.now()
    // A new token would be no better where that which it comes from ends first.
    const isDue = now >= held.renewAt && held.until < notAfterMillis
    if (isDue) renewOnce().catch(() => undefined)
    return now < held.until ? held : undefined
  }

  return {
    get current() {
      return atHand()?.credential
    },
    async get({ validForMillis = 0, signal } = {}) {
      signal?.throwIfAborted()
      const lasts = ({ until }: { readonly until: number }): boolean => until > Date.now() + validForMillis
      if (!lasts({ until: notAfterMillis })) throw tooShort()
      const known = atHand()
      if (known !== undefined && lasts(known)) return known.credential
      // This issuer's tokens do not live that long: the next one would not either.
      if (known !== undefined && known.lifeMillis <= validForMillis) throw tooShort()
      const fresh = await orAborted(renewOnce(), signal)
      if (lasts(fresh)) return fresh.credential
      // It may have been another process's for a while: the issuer gives one that lasts longer.
      const fresher = fresh.lifeMillis > validForMillis ? await orAborted(renewOnce(), signal) : fresh
      if (!lasts(fresher)) throw tooShort()
      return fresher.credential
    },
    async renew(refused) {
      const now = performance.now()
      const isDue = held === undefined || (held.credential === refused && now - refusedAt >= RENEWED_MILLIS)
      if (isDue) refusedAt = now
      const { credential } = isDue || pending !== undefined ? await orAborted(renewOnce(), undefined) : (held as Held)
      return credential
    },
  }
}

function tooShort(): ExchangeError {
  return new ExchangeError('ERR_TOKEN_EXCHANGE_LIFETIME')
}

/** Those who wait for the same work get an error of their own each. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, aborted])
  } catch (error) {
    throw error instanceof ExchangeError ? cloneError(error) : error
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}
