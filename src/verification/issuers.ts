/** Finds the issuer of a token by the `iss` that it claims: in the configuration, or through the application's resolver. */

import { isDeepStrictEqual } from 'node:util'
import { diag } from '@opentelemetry/api'
import { LRUCache } from 'lru-cache'
import { UndecidedError } from '../token/errors.ts'
import type { Issuer, IssuerObserver, IssuerSettings } from './issuer.ts'
import { createIssuer } from './issuer.ts'
import { createSingleFlight } from './single-flight.ts'
import { since, WALL_CLOCK } from './wall-clock.ts'

/** The checked answer of the application's resolver; `undefined` where it does not accept the issuer. */
export type IssuerResolver = (issuer: string) => Promise<IssuerSettings | undefined>

export interface Issuers {
  /** Those of the configuration. */
  readonly configured: readonly Issuer[]
  /** The issuer that is asked about opaque tokens. */
  readonly introspecting: Issuer | undefined
  /**
   * The issuer whose name is exactly `name`, or `undefined` where it is not accepted. A promise only while the resolver
   * is asked; it rejects with an {@link UndecidedError} while that cannot answer.
   */
  find(name: string): Issuer | undefined | Promise<Issuer | undefined>
  /** Whether what `issuer` has verified may still be used. */
  isCurrent(issuer: Issuer): boolean
}

/** Issuers that a resolver has named and that are kept; the least recently used one goes first. */
const MAX_RESOLVED = 1_000
/** How long an answer of the resolver is used before it is asked again. */
const RESOLVED_MILLIS = 600_000
/** How long an answer serves at most, while the resolver fails, and how often it is asked again meanwhile. */
const STALE_MILLIS = 3_600_000
const RETRY_MILLIS = 5_000
/** How long an issuer that the resolver does not know is not asked for again. */
const UNKNOWN_MILLIS = 30_000
const RESOLVER_TIMEOUT_MILLIS = 5_000
/** Made-up issuers cost a question each, so that there must be an end to them. */
const MAX_QUESTIONS = 64
const MAX_NAME_LENGTH = 2_048

export function createIssuers(
  settings: readonly IssuerSettings[],
  resolve: IssuerResolver | undefined,
  observe: IssuerObserver,
): Issuers {
  const configured = settings.map((issuer) => createIssuer(issuer, observe))
  const byName = new Map(configured.map((issuer) => [issuer.issuer, issuer]))
  const resolved = resolve === undefined ? undefined : new ResolvedIssuers(resolve, observe)

  return {
    configured,
    introspecting: configured.find(({ introspection }) => introspection !== undefined),
    find: (name) => byName.get(name) ?? resolved?.find(name),
    isCurrent: (issuer) => byName.get(issuer.issuer) === issuer || resolved?.isCurrent(issuer) === true,
  }
}

interface Resolved {
  readonly issuer: Issuer
  readonly settings: IssuerSettings
  readonly resolvedAt: number
  /** When the resolver was asked again and failed, if it did. */
  readonly failedAt: number | undefined
}

class ResolvedIssuers {
  readonly #resolve: IssuerResolver
  readonly #observe: IssuerObserver
  readonly #unknown = new LRUCache<string, true>({
    max: MAX_RESOLVED,
    ttl: UNKNOWN_MILLIS,
    ...WALL_CLOCK,
  })
  readonly #known = new LRUCache<string, Resolved>({ max: MAX_RESOLVED })
  readonly #singleFlight = createSingleFlight<Issuer | undefined>()
  #questions = 0

  constructor(resolve: IssuerResolver, observe: IssuerObserver) {
    this.#resolve = resolve
    this.#observe = observe
  }

  find(name: string): Issuer | undefined | Promise<Issuer | undefined> {
    if (name.length > MAX_NAME_LENGTH || this.#unknown.has(name)) return undefined
    return this.#serving(name) ?? this.#ask(name)
  }

  isCurrent(issuer: Issuer): boolean {
    return this.#serving(issuer.issuer) === issuer
  }

  /** What may be used without waiting. A resolver that is known to fail is asked again in the background. */
  #serving(name: string): Issuer | undefined {
    const known = this.#known.get(name)
    if (known === undefined || since(known.resolvedAt) < RESOLVED_MILLIS) return known?.issuer
    if (!mayServeStale(known)) return undefined
    if (since(known.failedAt) >= RETRY_MILLIS) this.#ask(name).catch(() => undefined)
    return known.issuer
  }

  #ask(name: string): Promise<Issuer | undefined> {
    return this.#singleFlight(name, () => this.#resolveAnew(name, this.#known.get(name)))
  }

  async #resolveAnew(name: string, previous: Resolved | undefined): Promise<Issuer | undefined> {
    try {
      const settings = await this.#settingsOf(name)
      if (settings === undefined) return this.#forget(name)
      // The same issuer keeps its keys, and all that was verified with them.
      const same = previous !== undefined && isDeepStrictEqual(previous.settings, settings)
      const issuer = same ? previous.issuer : createIssuer(settings, this.#observe)
      this.#known.set(name, { issuer, settings, resolvedAt: Date.now(), failedAt: undefined })
      return issuer
    } catch {
      diag.warn('otel-token-relay: the issuer resolver failed, or gave options that are not valid')
      const failed = previous === undefined ? undefined : { ...previous, failedAt: Date.now() }
      if (failed === undefined || !mayServeStale(failed)) throw new UndecidedError('ERR_TOKEN_ISSUER_UNAVAILABLE')
      this.#known.set(name, failed)
      return failed.issuer
    }
  }

  #forget(name: string): undefined {
    this.#known.delete(name)
    this.#unknown.set(name, true)
  }

  async #settingsOf(name: string): Promise<IssuerSettings | undefined> {
    if (this.#questions >= MAX_QUESTIONS) throw new Error('too many questions')
    this.#questions += 1
    try {
      return await within(RESOLVER_TIMEOUT_MILLIS, this.#resolve(name))
    } finally {
      this.#questions -= 1
    }
  }
}

function mayServeStale(known: Resolved): known is Resolved & { readonly failedAt: number } {
  return known.failedAt !== undefined && since(known.resolvedAt) <= STALE_MILLIS
}

/** Rejects where `work` takes longer than `millis`. */
async function within<T>(millis: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('timeout')), millis)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
