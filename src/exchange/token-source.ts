/** A token that is valid now, renewed before it expires, with one request for all who wait. */

import { monotonicNow } from '../base/clock.ts'
import { unlessAborted } from '../base/with-timeout.ts'
import { cloneError, ExchangeError } from '../token/errors.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'

/** What is asked of a {@link TokenSource}. */
export interface GetTokenOptions {
  /**
   * How long the token must stay valid from now on, in milliseconds: the time-out of the call that it is for. Default
   * 0.
   */
  readonly validForMillis?: number
  /** Ends the wait, not the work: others may wait for the same token. */
  readonly signal?: AbortSignal
}

/** A source of tokens that no caller presented. */
export interface TokenSource {
  /**
   * Resolves with a token that is valid now, and stays so for `validForMillis`. After a failure the issuer is not asked
   * again for a second, after a refusal for 5 seconds: until then the same error is thrown.
   *
   * @throws ExchangeError if no token can be had, and the reason of `signal` if that is aborted.
   */
  get(options?: GetTokenOptions): Promise<VerifiedCredential>
  /**
   * The token that is at hand, without waiting; `undefined` if there is none, or it has expired. A token that is due
   * for renewal is renewed in the background, so a token that is no longer asked for is not renewed.
   */
  readonly current: VerifiedCredential | undefined
  /**
   * Gets another token in place of `refused`, which a destination has answered with 401 although it has not expired: at
   * most once in 5 seconds. Resolves with the token that is then at hand. A source need not have this method.
   *
   * @throws ExchangeError if no token can be had.
   */
  renew?(refused: VerifiedCredential): Promise<VerifiedCredential>
}

/** The sources of this package can always renew. */
export type RenewableSource = Required<TokenSource>

/** A token, when it was issued, and until when it may be used, in milliseconds since the epoch. */
export interface ObtainedToken {
  readonly credential: VerifiedCredential
  readonly obtainedAtMillis: number
  readonly usableUntilMillis: number
}

export interface RenewingOptions {
  /** Gets a new token. Rejects with an {@link ExchangeError}. */
  readonly obtain: (previous: VerifiedCredential | undefined) => Promise<ObtainedToken>
  readonly renewBeforeMillis: number
  /** No token of this source is used later than this, in milliseconds since the epoch. */
  readonly notAfterMillis: number
}

export function createTokenSource(options: RenewingOptions): RenewableSource {
  const source = new RenewingSource(options)
  // Applications get this object, and may take its methods off it.
  return {
    get current() {
      return source.current
    },
    get: (getOptions) => source.get(getOptions),
    renew: (refused) => source.renew(refused),
  }
}

interface HeldToken {
  readonly credential: VerifiedCredential
  readonly until: number
  readonly renewAt: number
  readonly lifeMillis: number
}

interface Failure {
  readonly error: ExchangeError
  /** On the monotonic clock, which cannot be set back. */
  readonly until: number
}

const REFUSED_MILLIS = 5_000
const FAILED_MILLIS = 1_000
/** A destination that refuses every token must not cost the issuer a request each time. */
const RENEWED_MILLIS = 5_000

class RenewingSource implements RenewableSource {
  readonly #options: RenewingOptions
  #held: HeldToken | undefined
  #failure: Failure | undefined
  #pending: Promise<HeldToken> | undefined
  #refusedAt = Number.NEGATIVE_INFINITY

  constructor(options: RenewingOptions) {
    this.#options = options
  }

  get current(): VerifiedCredential | undefined {
    return this.#atHand()?.credential
  }

  async get({ validForMillis = 0, signal }: GetTokenOptions = {}): Promise<VerifiedCredential> {
    signal?.throwIfAborted()
    if (!isValidFor(validForMillis, this.#options.notAfterMillis)) throw createLifetimeError()
    const known = this.#atHand()
    if (known !== undefined && isValidFor(validForMillis, known.until)) return known.credential
    // This issuer's tokens do not live that long: the next one would not either.
    if (known !== undefined && known.lifeMillis <= validForMillis) throw createLifetimeError()
    const fresh = await waitUnlessAborted(this.#renewOnce(), signal)
    if (isValidFor(validForMillis, fresh.until)) return fresh.credential
    // Another process may have had it for a while: the issuer gives one that is valid for longer.
    const fresher = fresh.lifeMillis > validForMillis ? await waitUnlessAborted(this.#renewOnce(), signal) : fresh
    if (!isValidFor(validForMillis, fresher.until)) throw createLifetimeError()
    return fresher.credential
  }

  async renew(refused: VerifiedCredential): Promise<VerifiedCredential> {
    const held = this.#held
    const now = monotonicNow()
    const isDue = held === undefined || (held.credential === refused && now - this.#refusedAt >= RENEWED_MILLIS)
    if (isDue) this.#refusedAt = now
    else if (this.#pending === undefined) return held.credential
    return (await waitUnlessAborted(this.#renewOnce(), undefined)).credential
  }

  /** Returns the held token if it has not expired; renews it in the background when it is due. */
  #atHand(): HeldToken | undefined {
    const held = this.#held
    if (held === undefined) return undefined
    const now = Date.now()
    // A new token would be no better if the token that it is exchanged for expires first.
    const isDue = now >= held.renewAt && held.until < this.#options.notAfterMillis
    if (isDue) this.#renewOnce().catch(() => undefined)
    return now < held.until ? held : undefined
  }

  #renewOnce(): Promise<HeldToken> {
    const failure = this.#failure
    if (failure !== undefined && monotonicNow() < failure.until) return Promise.reject(failure.error)
    this.#pending ??= this.#obtain()
    return this.#pending
  }

  async #obtain(): Promise<HeldToken> {
    try {
      const held = this.#hold(await this.#options.obtain(this.#held?.credential))
      this.#held = held
      this.#failure = undefined
      return held
    } catch (cause) {
      const error = cause instanceof ExchangeError ? cause : new ExchangeError('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
      this.#failure = { error, until: monotonicNow() + (error.retryable ? FAILED_MILLIS : REFUSED_MILLIS) }
      throw error
    } finally {
      this.#pending = undefined
    }
  }

  #hold({ credential, obtainedAtMillis, usableUntilMillis }: ObtainedToken): HeldToken {
    const until = Math.min(usableUntilMillis, this.#options.notAfterMillis)
    // A short-lived token is renewed half-way, so that renewals do not follow each other.
    const renewAt = Math.max(until - this.#options.renewBeforeMillis, (obtainedAtMillis + until) / 2)
    return { credential, until, renewAt, lifeMillis: until - obtainedAtMillis }
  }
}

function isValidFor(millis: number, untilMillis: number): boolean {
  return untilMillis > Date.now() + millis
}

function createLifetimeError(): ExchangeError {
  return new ExchangeError('ERR_TOKEN_EXCHANGE_LIFETIME')
}

/** Gives each of those who wait for the same work their own error. */
async function waitUnlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  try {
    return await unlessAborted(work, signal)
  } catch (error) {
    throw error instanceof ExchangeError ? cloneError(error) : error
  }
}
