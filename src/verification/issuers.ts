/** Finds the issuer of a token by the `iss` that it claims: in the configuration, or through the application's resolver. */

import { isDeepStrictEqual } from 'node:util'
import { diag } from '@opentelemetry/api'
import { LRUCache } from 'lru-cache'
import { UndecidedError } from '../token/errors.ts'
import type { Issuer, IssuerObserver, IssuerSettings } from './issuer.ts'
import { createIssuer } from './issuer.ts'
import { WALL_CLOCK } from './wall-clock.ts'

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
}

class ResolvedIssuers {
  readonly #resolve: IssuerResolver
  readonly #observe: IssuerObserver
  readonly #unknown = new LRUCache<string, true>({
    max: MAX_RESOLVED,
    ttl: UNKNOWN_MILLIS,
    ...WALL_CLOCK,
  })
  readonly #known = new LRUCache<string, Resolved>({
    max: MAX_RESOLVED,
    ttl: RESOLVED_MILLIS,
    ...WALL_CLOCK,
    noDeleteOnStaleGet: true,
    fetchMethod: (name, previous, { options }) =>
      this.#ask(name, previous).catch((error: unknown) => {
        diag.warn('otel-token-relay: the issuer resolver failed, or gave options that are not valid')
        if (previous === undefined || Date.now() - previous.resolvedAt > STALE_MILLIS) throw error
        options.ttl = RETRY_MILLIS
        return previous
      }),
  })
  #questions = 0

  constructor(resolve: IssuerResolver, observe: IssuerObserver) {
    this.#resolve = resolve
    this.#observe = observe
  }

  find(name: string): Issuer | undefined | Promise<Issuer | undefined> {
    if (name.length > MAX_NAME_LENGTH || this.#unknown.has(name)) return undefined
    return this.#known.get(name)?.issuer ?? this.#fetch(name)
  }

  isCurrent(issuer: Issuer): boolean {
    return this.#known.get(issuer.issuer)?.issuer === issuer
  }

  async #fetch(name: string): Promise<Issuer | undefined> {
    try {
      const found = await this.#known.fetch(name)
      if (found === undefined) this.#unknown.set(name, true)
      return found?.issuer
    } catch {
      throw new UndecidedError('ERR_TOKEN_ISSUER_UNAVAILABLE')
    }
  }

  async #ask(name: string, previous: Resolved | undefined): Promise<Resolved | undefined> {
    if (this.#questions >= MAX_QUESTIONS) throw new Error('too many questions')
    this.#questions += 1
    try {
      const settings = await within(RESOLVER_TIMEOUT_MILLIS, this.#resolve(name))
      if (settings === undefined) return undefined
      // The same issuer keeps its keys, and all that was verified with them.
      const same = previous !== undefined && isDeepStrictEqual(previous.settings, settings)
      const issuer = same ? previous.issuer : createIssuer(settings, this.#observe)
      return { issuer, settings, resolvedAt: Date.now() }
    } finally {
      this.#questions -= 1
    }
  }
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
