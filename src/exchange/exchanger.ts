/** This service as a client of an issuer: exchanges callers' tokens, renews them, and gets the service's own. */

import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import type { TokenRequest } from '../destination/token-request.ts'
import { keyOfRequest } from '../destination/token-request.ts'
import { traceExchange } from '../telemetry/exchange-span.ts'
import { UnverifiedCredential } from '../token/credential.ts'
import type { CredentialTraits, VerifiedCredential } from '../token/verified-credential.ts'
import type { Issuer } from '../verification/issuer.ts'
import type { Issuers } from '../verification/issuers.ts'
import type { GrantTokens, GrantType } from './grant.ts'
import { grantOf } from './grant.ts'
import type { IssueRequest } from './issued.ts'
import { acceptIssued } from './issued.ts'
import { sharedKeyOf } from './kept-answer.ts'
import type { ClientSettings } from './settings.ts'
import type { AnsweredToken, Sharing } from './shared-source.ts'
import { createSharedSource } from './shared-source.ts'
import type { TokenEndpoint } from './token-endpoint.ts'
import { createTokenEndpoint } from './token-endpoint.ts'
import type { TokenResponse } from './token-protocol.ts'
import type { GetTokenOptions, RenewableSource, RenewingOptions, TokenSource } from './token-source.ts'
import { createTokenSource } from './token-source.ts'

/** This service as a client of one issuer. */
export interface Exchanger {
  /** Returns the token for `request` that is at hand for the caller of `subject`; never waits. */
  current(subject: VerifiedCredential, request: TokenRequest): VerifiedCredential | undefined
  /** Gets that token now if it is not at hand. Rejects with an `ExchangeError`, or the reason of `signal`. */
  get(subject: VerifiedCredential, request: TokenRequest, options?: GetTokenOptions): Promise<VerifiedCredential>
  /** Gets another token in place of `refused`. Rejects with an `ExchangeError`. */
  renew(subject: VerifiedCredential, request: TokenRequest, refused: VerifiedCredential): Promise<VerifiedCredential>
  /**
   * Gets a fresh token for this service in place of `subject`, which has expired: the issuer decides whether there is
   * one. It is not verified as incoming tokens are. Rejects with an `ExchangeError`.
   */
  reissue(subject: VerifiedCredential): Promise<UnverifiedCredential>
  /** Tokens of the service itself (RFC 6749 §4.4). */
  clientCredentials(request: TokenRequest): TokenSource
  /** Tokens of the subject that `refreshToken` was issued for (RFC 6749 §6). A rotated refresh token replaces it. */
  refreshToken(refreshToken: string, request: TokenRequest): TokenSource
}

interface ExchangerOptions {
  readonly issuer: Issuer
  readonly settings: ClientSettings
  readonly traits: CredentialTraits
  /** How tokens that were exchanged for callers are shared, if `settings` have a cache for them. */
  readonly sharing: Omit<Sharing, 'cache'>
}

function createExchanger(options: ExchangerOptions): Exchanger {
  return new IssuerClient(options)
}

/** Which tokens a source has. */
export interface TokenSourceSettings {
  /** `undefined`: the one issuer that has `exchange`. */
  readonly issuer: string | undefined
  /** `undefined`: the source has the service's own tokens. */
  readonly refreshToken: string | undefined
  readonly request: TokenRequest
}

/** This service as a client of every issuer that it asks for tokens. */
export interface Exchangers {
  readonly byIssuer: ReadonlyMap<string, Exchanger>
  /** Returns `undefined` if no such issuer has `exchange`, or several do and none is named. */
  source(settings: TokenSourceSettings): TokenSource | undefined
}

export interface ExchangersOptions extends Pick<ExchangerOptions, 'traits' | 'sharing'> {
  readonly settings: ReadonlyMap<string, ClientSettings>
  readonly issuers: Issuers
}

export function createExchangers({ settings, issuers, traits, sharing }: ExchangersOptions): Exchangers {
  const byIssuer = new Map<string, Exchanger>()
  for (const issuer of issuers.configured) {
    const client = settings.get(issuer.issuer)
    if (client === undefined) continue
    byIssuer.set(issuer.issuer, createExchanger({ issuer, settings: client, traits, sharing }))
  }

  return {
    byIssuer,
    source({ issuer, refreshToken, request }) {
      const only = byIssuer.size === 1 ? [...byIssuer.values()][0] : undefined
      const exchanger = issuer === undefined ? only : byIssuer.get(issuer)
      return refreshToken === undefined
        ? exchanger?.clientCredentials(request)
        : exchanger?.refreshToken(refreshToken, request)
    },
  }
}

/** One question to the token endpoint, asked again for each renewal. */
interface Question {
  readonly grant: GrantType
  readonly request: TokenRequest
  readonly subject?: VerifiedCredential
  /** Whether the result may be used after `subject` has expired. */
  readonly outlivesSubject?: boolean
  readonly tokens?: () => GrantTokens | Promise<GrantTokens>
  readonly onResponse?: (response: TokenResponse) => void
}

/** What was exchanged for one token. */
interface SubjectSources {
  readonly subject: VerifiedCredential
  /** Bounded by the different requests of the configuration. */
  readonly sources: Map<string, RenewableSource>
}

/** Leaves audience, resource and scope to the issuer. */
export const DEFAULT_REQUEST: TokenRequest = { audience: [], resource: [], scope: [], tokenType: 'access_token' }

/** Average weight of an entry, in bytes: large tokens take the place of several. */
const BYTES_PER_ENTRY = 8_192
const MAX_ENTRY_BYTES = 4 * 65_536

class IssuerClient implements Exchanger {
  readonly #issuer: Issuer
  readonly #settings: ClientSettings
  readonly #traits: CredentialTraits
  readonly #sharing: Omit<Sharing, 'cache'>
  readonly #endpoint: TokenEndpoint
  /** Keyed by the whole text of the caller's token: neither its subject nor a hash of it may stand for it. */
  readonly #bySubject: LRUCache<string, SubjectSources>
  /** The service's own token, if it names itself as the actor. */
  readonly #actor: TokenSource | undefined

  constructor({ issuer, settings, traits, sharing }: ExchangerOptions) {
    this.#issuer = issuer
    this.#settings = settings
    this.#traits = traits
    this.#sharing = sharing
    this.#endpoint = createTokenEndpoint(issuer.issuer, settings)
    this.#bySubject = new LRUCache<string, SubjectSources>({
      max: settings.maxEntries,
      // One token always fits: otherwise the exchange that is in progress for it would not be found.
      maxSize: Math.max(settings.maxEntries * BYTES_PER_ENTRY, MAX_ENTRY_BYTES),
      // The text and its claims, and as much for what it was exchanged for.
      sizeCalculation: (_, text) => text.length * 4,
    })
    this.#actor = settings.actor ? this.clientCredentials(DEFAULT_REQUEST) : undefined
  }

  current(subject: VerifiedCredential, request: TokenRequest): VerifiedCredential | undefined {
    return this.#findExchanged(subject)?.sources.get(keyOfRequest(request))?.current
  }

  get(subject: VerifiedCredential, request: TokenRequest, options?: GetTokenOptions): Promise<VerifiedCredential> {
    return this.#sourceFor(subject, request).get(options)
  }

  renew(subject: VerifiedCredential, request: TokenRequest, refused: VerifiedCredential): Promise<VerifiedCredential> {
    return this.#sourceFor(subject, request).renew(refused)
  }

  async reissue(subject: VerifiedCredential): Promise<UnverifiedCredential> {
    const request = { ...DEFAULT_REQUEST, audience: this.#issuer.audience?.slice(0, 1) ?? [] }
    const token = await this.#sourceFor(subject, request, true).get()
    return new UnverifiedCredential(token.reveal())
  }

  clientCredentials(request: TokenRequest): TokenSource {
    return this.#createSource({ grant: 'client_credentials', request })
  }

  refreshToken(refreshToken: string, request: TokenRequest): TokenSource {
    let latest = refreshToken
    return this.#createSource({
      grant: 'refresh_token',
      request,
      tokens: () => ({ refresh: latest }),
      onResponse: (response) => {
        latest = response.refreshToken ?? latest
      },
    })
  }

  #sourceFor(subject: VerifiedCredential, request: TokenRequest, outlivesSubject = false): RenewableSource {
    const { sources } = this.#findExchanged(subject) ?? this.#remember({ subject, sources: new Map() })
    const key = `${outlivesSubject ? 'reissue ' : ''}${keyOfRequest(request)}`
    const { grant } = this.#settings
    const tokens = (): Promise<GrantTokens> => this.#exchangeTokens(subject)
    const source = sources.get(key) ?? this.#createSource({ grant, request, subject, outlivesSubject, tokens })
    sources.set(key, source)
    return source
  }

  /** One text may get other claims later: an issuer that is asked about opaque tokens may change its answer. */
  #findExchanged(subject: VerifiedCredential): SubjectSources | undefined {
    const known = this.#bySubject.get(subject.reveal())
    if (known === undefined || known.subject === subject) return known
    // Verified again with the same result: found without a comparison from now on.
    const isSame = isDeepStrictEqual(known.subject.claims, subject.claims)
    return isSame ? this.#remember({ ...known, subject }) : undefined
  }

  #remember(exchanged: SubjectSources): SubjectSources {
    this.#bySubject.set(exchanged.subject.reveal(), exchanged)
    return exchanged
  }

  async #exchangeTokens(subject: VerifiedCredential): Promise<GrantTokens> {
    const acting = await this.#actor?.get()
    return { subject: subject.reveal(), actor: acting?.reveal() }
  }

  #createSource(question: Question): RenewableSource {
    const { subject, outlivesSubject = false } = question
    return createTokenSource({
      renewBeforeMillis: this.#settings.renewBeforeMillis,
      // No token outlives the one that it was exchanged for, unless it replaces one that has expired.
      notAfterMillis: (outlivesSubject ? undefined : subject?.expiresAtMillis) ?? Number.POSITIVE_INFINITY,
      obtain: this.#sharedObtain(question) ?? ((previous) => this.#exchange(question, previous)),
    })
  }

  /**
   * Not for the service's own tokens, which other processes get for themselves, nor for a reissue, which is for one
   * message.
   */
  #sharedObtain(question: Question): RenewingOptions['obtain'] | undefined {
    const { subject, request, outlivesSubject = false } = question
    const settings = this.#settings
    const { issuer } = this.#issuer
    if (settings.sharedCache === undefined || subject === undefined || outlivesSubject) return undefined
    const parts = { text: subject.reveal(), claims: subject.claims }
    return createSharedSource(
      { ...this.#sharing, cache: settings.sharedCache },
      {
        issuer,
        key: sharedKeyOf({ issuer, settings, subject: parts, request }),
        subject,
        askingMillis: settings.timeoutMillis,
        accept: (response, previous, at) => acceptIssued(response, this.#askedBy(question, previous), at),
        ask: (previous) => this.#exchange(question, previous),
      },
    )
  }

  #exchange(question: Question, previous: VerifiedCredential | undefined): Promise<AnsweredToken> {
    const exchange = { issuer: this.#issuer.issuer, subject: question.subject, previous }
    return traceExchange(exchange, () => this.#request(question, previous))
  }

  async #request(question: Question, previous: VerifiedCredential | undefined): Promise<AnsweredToken> {
    const { grant, request, tokens, onResponse } = question
    const response = await this.#endpoint.request(grantOf(grant, request, (await tokens?.()) ?? {}))
    // The refresh token that was sent is spent even if the access token is not accepted (RFC 6749 §6).
    onResponse?.(response)
    return { ...(await acceptIssued(response, this.#askedBy(question, previous))), response }
  }

  #askedBy({ grant, request, subject }: Question, previous: VerifiedCredential | undefined): IssueRequest {
    return { issuer: this.#issuer, settings: this.#settings, traits: this.#traits, grant, request, subject, previous }
  }
}
