/** Finds the issuer of a token by its `iss`: in the configuration, or through the application's resolver. */

import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import { since, WALL_CLOCK } from '../base/clock.ts'
import { createSingleFlight } from '../base/single-flight.ts'
import { withTimeout } from '../base/with-timeout.ts'
import { reportProblem } from '../telemetry/log-entries.ts'
import { asTokenError, cloneError, UndecidedError } from '../token/errors.ts'
import type { IntrospectingIssuer, Issuer, IssuerObserver, IssuerSettings } from './issuer.ts'
import { createIssuer } from './issuer.ts'

/** The checked answer of the application's resolver; `undefined` if it does not accept the issuer. */
export type IssuerResolver = (issuer: string) => Promise<IssuerSettings | undefined>

export interface Issuers {
  /** The issuers of the configuration. */
  readonly configured: readonly Issuer[]
  /** The issuer that is asked about opaque tokens. */
  readonly introspecting: IntrospectingIssuer | undefined
  /**
   * The issuer whose name is exactly `name`, or `undefined` if it is not accepted. A promise only while the resolver
   * is asked; it rejects with an {@link UndecidedError} while that cannot answer.
   */
  find(name: string): Issuer | undefined | Promise<Issuer | undefined>
  /** Whether what `issuer` has verified may still be used. */
  isCurrent(issuer: Issuer): boolean
  /** `clockToleranceSeconds` of the issuer; the largest allowed value if the issuer is not known any more. */
  clockToleranceOf(name: string): number
}

/** In seconds. */
const MAX_CLOCK_TOLERANCE = 300

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
/** Bounds the questions for made-up issuers, which cost one each. */
const MAX_QUESTIONS = 64
const MAX_NAME_LENGTH = 2_048

export function createIssuers(
  settings: readonly IssuerSettings[],
  resolve: IssuerResolver | undefined,
  observe: IssuerObserver,
): Issuers {
  const configured = settings.map((issuer, index) => createIssuer(issuer, `issuers[${index}]`, observe))
  const byName = new Map(configured.map((issuer) => [issuer.issuer, issuer]))
  const resolved = resolve === undefined ? undefined : new ResolvedIssuers(resolve, observe)

  return {
    configured,
    introspecting: configured.find(isIntrospecting),
    find: (name) => byName.get(name) ?? resolved?.findResolved(name),
    isCurrent: (issuer) => byName.get(issuer.issuer) === issuer || resolved?.isCurrent(issuer) === true,
    clockToleranceOf(name) {
      const { clockToleranceSeconds } = byName.get(name) ?? resolved?.peekResolved(name) ?? {}
      return clockToleranceSeconds ?? MAX_CLOCK_TOLERANCE
    },
  }
}

function isIntrospecting(issuer: Issuer): issuer is IntrospectingIssuer {
  return issuer.introspection !== undefined
}

interface ResolvedIssuer {
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
  readonly #known = new LRUCache<string, ResolvedIssuer>({ max: MAX_RESOLVED })
  readonly #flights = createSingleFlight<Issuer | undefined>((error) => cloneError(asTokenError(error)))
  #questions = 0

  constructor(resolve: IssuerResolver, observe: IssuerObserver) {
    this.#resolve = resolve
    this.#observe = observe
  }

  findResolved(name: string): Issuer | undefined | Promise<Issuer | undefined> {
    if (name.length > MAX_NAME_LENGTH || this.#unknown.has(name)) return undefined
    return this.#findUsable(name) ?? this.#ask(name)
  }

  /** Does not ask the resolver, and does not count as a use. */
  peekResolved(name: string): Issuer | undefined {
    return this.#known.peek(name)?.issuer
  }

  isCurrent(issuer: Issuer): boolean {
    return this.#findUsable(issuer.issuer) === issuer
  }

  /** What may be used without waiting. A resolver that failed is asked again in the background. */
  #findUsable(name: string): Issuer | undefined {
    const known = this.#known.get(name)
    if (known === undefined || since(known.resolvedAt) < RESOLVED_MILLIS) return known?.issuer
    if (!mayServeStale(known)) return undefined
    if (since(known.failedAt) >= RETRY_MILLIS) this.#ask(name).catch(() => undefined)
    return known.issuer
  }

  #ask(name: string): Promise<Issuer | undefined> {
    return this.#flights.run(name, () => this.#resolveAnew(name, this.#known.get(name)))
  }

  async #resolveAnew(name: string, previous: ResolvedIssuer | undefined): Promise<Issuer | undefined> {
    try {
      const settings = await this.#settingsOf(name)
      if (settings === undefined) return this.#forget(name)
      // The same issuer keeps its keys, and all that was verified with them.
      const same = previous !== undefined && isDeepStrictEqual(previous.settings, settings)
      const issuer = same ? previous.issuer : createIssuer(settings, 'resolveIssuer()', this.#observe)
      this.#known.set(name, { issuer, settings, resolvedAt: Date.now(), failedAt: undefined })
      return issuer
    } catch {
      reportProblem({ message: 'the issuer resolver failed, or gave options that are not valid' })
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
      return await withTimeout(RESOLVER_TIMEOUT_MILLIS, this.#resolve(name))
    } finally {
      this.#questions -= 1
    }
  }
}

function mayServeStale(known: ResolvedIssuer): known is ResolvedIssuer & { readonly failedAt: number } {
  return known.failedAt !== undefined && since(known.resolvedAt) <= STALE_MILLIS
}
