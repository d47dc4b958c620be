/** The published keys of one issuer, kept fresh without ever asking the issuer more often than it deserves. */

import { UndecidedError } from '../token/errors.ts'
import type { FetchLimits } from './bounded-json.ts'
import { DocumentError, fetchJson } from './bounded-json.ts'
import { discoverJwksUri } from './discovery.ts'
import type { PublishedKey, PublishedKeys } from './published-keys.ts'
import { readKeys } from './published-keys.ts'
import { since } from './wall-clock.ts'

export interface KeySet {
  /**
   * Keys that may have signed a token with this header; a promise where they have to be waited for, which rejects with an
   * {@link UndecidedError} while none can be had. Never throws.
   */
  candidates(header: Readonly<Record<string, unknown>>): readonly PublishedKey[] | Promise<readonly PublishedKey[]>
  /** The same after a look at what is published now, at most once per cool-down: a key may be new, or another one. */
  lookAgain(header: Readonly<Record<string, unknown>>): Promise<readonly PublishedKey[]>
  /**
   * Whether what was verified with this key may still be used: it is published as far as is known, and what is known is
   * not too old. Answers from memory; where it is time to look again, that is done in the background.
   */
  stillHolds(thumbprint: string): boolean
  /** Asks for the keys now, unless they are fresh. Rejects with an {@link UndecidedError} while none can be had. */
  hydrate(): Promise<void>
  /** Whether tokens can be decided now. Where it is time to ask for the keys, that is done in the background. */
  isReady(): boolean
}

export interface KeySetOptions extends FetchLimits {
  /** How long an unknown `kid` waits for the next fetch, in milliseconds. */
  readonly cooldownMillis: number
  /** How long fetched keys are used before they are fetched again, in milliseconds. */
  readonly maxAgeMillis: number
  /** How long older keys serve while the issuer cannot be reached, in milliseconds. */
  readonly staleMillis: number
}

/** What happens to a key set, for metrics and logs. */
export type KeySetEvent =
  | { readonly name: 'refreshed'; readonly keys: PublishedKeys }
  | { readonly name: 'refresh_failed'; readonly ageMillis: number }
  | { readonly name: 'stale'; readonly ageMillis: number }

/** A public key set document (RFC 7517 §5). */
export interface Jwks {
  readonly keys: readonly Readonly<Record<string, unknown>>[]
}

/** Keys given with the configuration. */
export function createStaticKeySet(jwks: Jwks): KeySet {
  const keys = readKeys(jwks)
  const candidates = (header: Readonly<Record<string, unknown>>) => keys?.candidates(header) ?? []
  return {
    candidates,
    lookAgain: async (header) => candidates(header),
    stillHolds: (thumbprint) => keys?.has(thumbprint) ?? false,
    hydrate: async () => undefined,
    isReady: () => true,
  }
}

/** Keys fetched from `jwksUri`, or from where discovery on `issuer` says, on first use. */
export function createRemoteKeySet(
  issuer: string,
  jwksUri: string | undefined,
  options: KeySetOptions,
  onEvent: (event: KeySetEvent) => void,
): KeySet {
  let location: { readonly uri: string; readonly foundAt: number } | undefined

  /** Not looked for again before each fetch: an issuer that is asked for an unknown key is asked once. */
  async function locate(): Promise<string> {
    if (jwksUri !== undefined) return jwksUri
    if (location !== undefined && since(location.foundAt) < options.maxAgeMillis) return location.uri
    const uri = await discoverJwksUri(issuer, options)
    location = { uri, foundAt: Date.now() }
    return uri
  }

  async function load(): Promise<PublishedKeys> {
    try {
      const keys = readKeys(await fetchJson(await locate(), options))
      // An issuer that publishes nothing usable has made a mistake: what it published before is kept as in an outage.
      if (keys === undefined || keys.size === 0) throw new DocumentError()
      return keys
    } catch (error) {
      // The keys may have moved.
      location = undefined
      throw error
    }
  }

  return new RemoteKeySet(load, options, onEvent)
}

const FIRST_BACKOFF_MILLIS = 250
/** Without any key every token is answered 503, so recovery may not take longer than this. */
const MAX_COLD_BACKOFF_MILLIS = 5_000
/** The part of `maxAgeMillis` after which keys are fetched in the background, so that no request waits for it. */
const REFRESH_AHEAD = 0.8

class RemoteKeySet implements KeySet {
  readonly #load: () => Promise<PublishedKeys>
  readonly #options: KeySetOptions
  readonly #onEvent: (event: KeySetEvent) => void
  #keys: PublishedKeys | undefined
  #loadedAt = Number.NEGATIVE_INFINITY
  #attemptedAt = Number.NEGATIVE_INFINITY
  #lookedAgainAt = Number.NEGATIVE_INFINITY
  #failures = 0
  #backoffMillis = 0
  #pending: Promise<PublishedKeys> | undefined

  constructor(load: () => Promise<PublishedKeys>, options: KeySetOptions, onEvent: (event: KeySetEvent) => void) {
    this.#load = load
    this.#options = options
    this.#onEvent = onEvent
  }

  candidates(header: Readonly<Record<string, unknown>>): readonly PublishedKey[] | Promise<readonly PublishedKey[]> {
    this.#refreshIfDue()
    const known = this.#fresh ? (this.#keys?.candidates(header) ?? []) : []
    return known.length > 0 ? known : this.#candidatesLater(header)
  }

  async #candidatesLater(header: Readonly<Record<string, unknown>>): Promise<readonly PublishedKey[]> {
    const known = (await this.#current()).candidates(header)
    return known.length > 0 ? known : this.lookAgain(header)
  }

  /** Made-up tokens cost one fetch per cool-down, whoever sends how many. */
  async lookAgain(header: Readonly<Record<string, unknown>>): Promise<readonly PublishedKey[]> {
    if (this.#pending !== undefined || this.#mayLookAgain()) {
      if (this.#pending === undefined) this.#lookedAgainAt = Date.now()
      // An error of its own for each of those who wait for the same fetch.
      await this.#refresh().catch(() => undefined)
    }
    // What is published now cannot be known: a key that is not found may be there.
    if (this.#failures > 0) throw this.#unavailable()
    return this.#keys?.candidates(header) ?? []
  }

  stillHolds(thumbprint: string): boolean {
    if (this.#keys?.has(thumbprint) !== true) return false
    this.#refreshIfDue()
    return this.#fresh || this.#mayServeStale
  }

  async hydrate(): Promise<void> {
    await this.#current()
  }

  isReady(): boolean {
    this.#refreshIfDue()
    return this.#usable
  }

  get #usable(): boolean {
    return this.#keys !== undefined && this.#ageMillis() < this.#options.maxAgeMillis + this.#options.staleMillis
  }

  get #fresh(): boolean {
    return this.#ageMillis() < this.#options.maxAgeMillis
  }

  /** Known to be down: nobody waits for the next attempt while the old keys may serve. */
  get #mayServeStale(): boolean {
    return this.#failures > 0 && this.#usable
  }

  async #current(): Promise<PublishedKeys> {
    this.#refreshIfDue()
    if (this.#keys !== undefined) {
      if (this.#fresh) return this.#keys
      if (this.#mayServeStale) return this.#stale(this.#keys)
    }
    if (this.#pending === undefined && !this.#mayAttempt()) throw this.#unavailable()
    return this.#refreshOrStale()
  }

  async #refreshOrStale(): Promise<PublishedKeys> {
    try {
      return await this.#refresh()
    } catch (error) {
      if (this.#keys !== undefined && this.#usable) return this.#stale(this.#keys)
      // An error of its own for each of those who waited for the same fetch.
      throw error instanceof UndecidedError ? this.#unavailable() : error
    }
  }

  #stale(keys: PublishedKeys): PublishedKeys {
    this.#onEvent({ name: 'stale', ageMillis: this.#ageMillis() })
    return keys
  }

  /** One fetch at a time, whoever asks. */
  #refresh(): Promise<PublishedKeys> {
    this.#pending ??= this.#attempt().finally(() => {
      this.#pending = undefined
    })
    return this.#pending
  }

  /** Ahead of expiry, and again and again while the issuer is down. */
  #refreshIfDue(): void {
    const due = this.#ageMillis() >= this.#options.maxAgeMillis * REFRESH_AHEAD
    if (due && this.#pending === undefined && this.#mayAttempt()) this.#refresh().catch(() => undefined)
  }

  async #attempt(): Promise<PublishedKeys> {
    this.#attemptedAt = Date.now()
    try {
      const keys = await this.#load()
      this.#keys = keys
      this.#loadedAt = Date.now()
      this.#failures = 0
      this.#backoffMillis = 0
      this.#onEvent({ name: 'refreshed', keys })
      return keys
    } catch {
      this.#failures += 1
      this.#backoffMillis = this.#nextBackoffMillis()
      this.#onEvent({ name: 'refresh_failed', ageMillis: this.#ageMillis() })
      throw this.#unavailable()
    }
  }

  /** Jittered, so that the processes of a fleet do not ask in step. */
  #nextBackoffMillis(): number {
    const jitter = 1 + Math.random() / 4
    if (this.#usable) return this.#options.cooldownMillis * jitter
    return Math.min(MAX_COLD_BACKOFF_MILLIS, FIRST_BACKOFF_MILLIS * 2 ** (this.#failures - 1) * jitter)
  }

  #mayAttempt(): boolean {
    return since(this.#attemptedAt) >= this.#backoffMillis
  }

  #mayLookAgain(): boolean {
    return since(this.#lookedAgainAt) >= this.#options.cooldownMillis && this.#mayAttempt()
  }

  #ageMillis(): number {
    // A clock that was set back makes keys old, and no older than an issuer that is down may make them.
    if (Date.now() < this.#loadedAt) this.#loadedAt = Date.now() - this.#options.maxAgeMillis
    return since(this.#loadedAt)
  }

  #unavailable(): UndecidedError {
    return new UndecidedError('ERR_TOKEN_KEYS_UNAVAILABLE', (this.#backoffMillis - since(this.#attemptedAt)) / 1000)
  }
}
