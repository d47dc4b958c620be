/** The published keys of one issuer, kept fresh without asking the issuer more often than necessary. */

import type { Eventual } from '../../base/chain.ts'
import { since } from '../../base/clock.ts'
import { UndecidedError } from '../../token/errors.ts'
import { withDetail } from '../../token/refusal-detail.ts'
import { fetchJson } from '../bounded-json.ts'
import type { DocumentCause } from '../document-error.ts'
import { DOCUMENT_CAUSES, DocumentError, documentErrorOf } from '../document-error.ts'
import { discoverJwksUri } from './discovery.ts'
import type { Header, KeySet, KeySetEvent, KeySetOptions } from './key-set.ts'
import type { LookBudget } from './look-budget.ts'
import { createLookBudget } from './look-budget.ts'
import type { PublishedKey, PublishedKeys } from './published-keys.ts'
import { readKeys } from './published-keys.ts'

/** Keys fetched on first use: from `jwksUri`, or from the place that discovery on `issuer` finds. */
export function createRemoteKeySet(
  issuer: string,
  jwksUri: string | undefined,
  options: KeySetOptions,
  onEvent: (event: KeySetEvent) => void,
): KeySet {
  const source = new KeySource(issuer, jwksUri, options)
  return new RemoteKeySet(issuer, { load: () => source.load(), options, onEvent })
}

class KeySource {
  readonly #issuer: string
  readonly #jwksUri: string | undefined
  readonly #options: KeySetOptions
  #location: { readonly uri: string; readonly foundAt: number } | undefined

  constructor(issuer: string, jwksUri: string | undefined, options: KeySetOptions) {
    this.#issuer = issuer
    this.#jwksUri = jwksUri
    this.#options = options
  }

  async load(): Promise<PublishedKeys> {
    try {
      const keys = readKeys(await fetchJson(await this.#locate(), this.#options))
      // An issuer that publishes nothing usable has made a mistake: what it published before is kept as in an outage.
      if (keys === undefined || keys.size === 0)
        throw new DocumentError(keys === undefined ? 'not_a_key_set' : causeOf(keys))
      return keys
    } catch (error) {
      // The keys may have moved.
      this.#location = undefined
      throw error
    }
  }

  /** Discovery is not repeated before each fetch: an issuer that is asked for an unknown key is asked once. */
  async #locate(): Promise<string> {
    if (this.#jwksUri !== undefined) return this.#jwksUri
    const known = this.#location
    if (known !== undefined && since(known.foundAt) < this.#options.maxAgeMillis) return known.uri
    const uri = await discoverJwksUri(this.#issuer, this.#options)
    this.#location = { uri, foundAt: Date.now() }
    return uri
  }
}

/** Why none of the keys can be used. */
function causeOf({ dropped }: PublishedKeys): DocumentCause {
  const defects = Object.keys(dropped)
  if (defects.length === 0) return 'no_keys'
  return defects.every((defect) => defect === 'symmetric') ? 'symmetric_keys' : 'no_usable_key'
}

const FIRST_BACKOFF_MILLIS = 250
/** Without any key every token is answered 503, so recovery must not take longer than this. */
const MAX_COLD_BACKOFF_MILLIS = 5_000
/** How far the clock of an issuer may be behind, which no issuer states: more than NTP allows. */
const BEHIND_MILLIS = 60_000
/** The part of `maxAgeMillis` after which keys are fetched in the background, so that no request waits for it. */
const REFRESH_AHEAD = 0.8

/** When a token came and when it was made: the last attempt that had begun when it came, and its `iat`. */
interface TokenArrival {
  readonly presented: number
  readonly issuedAtMillis: number | undefined
}

interface RemoteKeySetParts {
  readonly load: () => Promise<PublishedKeys>
  readonly options: KeySetOptions
  readonly onEvent: (event: KeySetEvent) => void
}

class RemoteKeySet implements KeySet {
  readonly #issuer: string
  readonly #load: () => Promise<PublishedKeys>
  readonly #options: KeySetOptions
  readonly #onEvent: (event: KeySetEvent) => void
  readonly #looks: LookBudget
  #keys: PublishedKeys | undefined
  #loadedAt = Number.NEGATIVE_INFINITY
  #attemptedAt = Number.NEGATIVE_INFINITY
  #failures = 0
  /** Why the last attempt failed. */
  #failure: DocumentCause | undefined
  /** How long to wait for the next attempt to keep the keys fresh, or to find one that is missing. */
  #backoffMillis = 0
  #lookBackoffMillis = 0
  /** Attempts are numbered: the last one that has begun, and the last one that got the keys. */
  #begun = 0
  #succeeded = 0
  /** When the attempt began that got the keys. */
  #askedAt = Number.NEGATIVE_INFINITY
  #pending: Promise<PublishedKeys> | undefined

  constructor(issuer: string, { load, options, onEvent }: RemoteKeySetParts) {
    this.#issuer = issuer
    this.#load = load
    this.#options = options
    this.#onEvent = onEvent
    this.#looks = createLookBudget(options.cooldownMillis)
  }

  get size(): number {
    return this.#keys?.size ?? 0
  }

  candidates(header: Header, issuedAtMillis?: number): Eventual<readonly PublishedKey[]> {
    this.#refreshIfDue()
    const known = this.#fresh ? (this.#keys?.candidates(header) ?? []) : []
    if (known.length > 0 || this.#isNewerThan(issuedAtMillis)) return known
    return this.#candidatesLater(header, issuedAtMillis)
  }

  async #candidatesLater(header: Header, issuedAtMillis: number | undefined): Promise<readonly PublishedKey[]> {
    const presented = this.#begun
    const known = (await this.#current()).candidates(header)
    return known.length > 0 ? known : this.#look(header, [], { presented, issuedAtMillis })
  }

  async refetch(
    header: Header,
    known: readonly PublishedKey[],
    issuedAtMillis?: number,
  ): Promise<readonly PublishedKey[]> {
    return this.#look(header, known, { presented: this.#begun, issuedAtMillis })
  }

  /**
   * Looks until a key is found or certainly missing. Keys are published before they sign, so a fetch that starts after
   * the token arrived has its key; an earlier fetch may lack it.
   */
  async #look(header: Header, known: readonly PublishedKey[], { presented, issuedAtMillis }: TokenArrival) {
    const isNew = ({ thumbprint }: PublishedKey): boolean => known.every((key) => key.thumbprint !== thumbprint)
    for (;;) {
      const found = this.#keys?.candidates(header).filter(isNew) ?? []
      if (found.length > 0 || this.#succeeded > presented || this.#isNewerThan(issuedAtMillis)) return found
      if (this.#pending === undefined) this.#beginToLook()
      const attempt = this.#begun
      await this.#pending?.catch(() => undefined)
      // One attempt for one token, whatever the cool-down is.
      if (attempt > presented && this.#succeeded < attempt) throw this.#unavailable(this.#lookWaitMillis())
    }
  }

  /** Bounds the fetches for made-up tokens: a few per cool-down, however many come. Throws if there may be none now. */
  #beginToLook(): void {
    const waitMillis = this.#lookWaitMillis()
    if (waitMillis > 0) throw this.#unavailable(waitMillis)
    if (!this.#looks.take()) throw this.#unavailable(this.#looks.waitMillis())
    this.#refresh().catch(() => undefined)
  }

  #lookWaitMillis(): number {
    return this.#lookBackoffMillis - since(this.#attemptedAt)
  }

  /**
   * Whether the keys were asked for recently, and after the token was issued. Its `iat` is not verified, but a token
   * that lies here is refused. Holds for one cool-down, because there may be caches between the issuer and this
   * service.
   */
  #isNewerThan(issuedAtMillis: number | undefined): boolean {
    if (issuedAtMillis === undefined || since(this.#askedAt) >= this.#options.cooldownMillis) return false
    return issuedAtMillis + BEHIND_MILLIS < this.#askedAt
  }

  isStillPublished(thumbprint: string): boolean {
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

  /** The issuer is known to be down: no request waits for the next attempt while the old keys may serve. */
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
      // Each of those who waited for the same fetch gets another error: errors carry stacks.
      throw error instanceof UndecidedError ? this.#unavailable() : error
    }
  }

  #stale(keys: PublishedKeys): PublishedKeys {
    this.#onEvent({ name: 'stale', ageMillis: this.#ageMillis() })
    return keys
  }

  /** One fetch at a time. */
  #refresh(): Promise<PublishedKeys> {
    this.#pending ??= this.#attempt().finally(() => {
      this.#pending = undefined
    })
    return this.#pending
  }

  /** Refreshes ahead of expiry, and repeatedly while the issuer is down. */
  #refreshIfDue(): void {
    const due = this.#ageMillis() >= this.#options.maxAgeMillis * REFRESH_AHEAD
    if (due && this.#pending === undefined && this.#mayAttempt()) this.#refresh().catch(() => undefined)
  }

  async #attempt(): Promise<PublishedKeys> {
    this.#attemptedAt = Date.now()
    this.#begun += 1
    const [number, askedAt] = [this.#begun, this.#attemptedAt]
    try {
      const keys = await this.#load()
      this.#keys = keys
      this.#loadedAt = Date.now()
      this.#succeeded = number
      this.#askedAt = askedAt
      this.#failures = 0
      this.#backoffMillis = 0
      this.#lookBackoffMillis = 0
      this.#onEvent({ name: 'refreshed', keys })
      return keys
    } catch (error) {
      this.#failures += 1
      this.#failure = documentErrorOf(error).documentCause
      this.#backOff()
      this.#onEvent({ name: 'refresh_failed', ageMillis: this.#ageMillis(), cause: this.#failure })
      throw this.#unavailable()
    }
  }

  /** Jittered, so that the processes of a fleet do not ask in step. */
  #backOff(): void {
    const jitter = 1 + Math.random() / 4
    const growing = FIRST_BACKOFF_MILLIS * 2 ** (this.#failures - 1) * jitter
    const warm = this.#options.cooldownMillis * jitter
    this.#backoffMillis = this.#usable ? warm : Math.min(MAX_COLD_BACKOFF_MILLIS, growing)
    // One failure must not keep a new key unknown for the whole cool-down; an outage is not asked more often than
    // before.
    this.#lookBackoffMillis = Math.min(warm, growing)
  }

  #mayAttempt(): boolean {
    return since(this.#attemptedAt) >= this.#backoffMillis
  }

  #ageMillis(): number {
    // A clock that was set back makes keys old, and no older than an issuer that is down may make them.
    if (Date.now() < this.#loadedAt) this.#loadedAt = Date.now() - this.#options.maxAgeMillis
    return since(this.#loadedAt)
  }

  /** An issuer that answers and was asked often enough is no outage: anyone can present tokens that make us ask. */
  #unavailable(waitMillis = this.#backoffMillis - since(this.#attemptedAt)): UndecidedError {
    const code = this.#failures > 0 ? 'ERR_TOKEN_KEYS_UNAVAILABLE' : 'ERR_TOKEN_KEY_UNDECIDED'
    const why = this.#failure === undefined ? undefined : DOCUMENT_CAUSES[this.#failure]
    const detail =
      this.#failures > 0
        ? { found: 'the keys of the issuer cannot be fetched', expected: why }
        : { found: 'the key is unknown', expected: 'the issuer was asked a moment ago' }
    return withDetail(new UndecidedError(code, waitMillis / 1000), { ...detail, issuer: this.#issuer })
  }
}
