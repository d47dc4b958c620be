/** Another token for another audience: kept per caller's token and per request, and never used without the caller's. */

import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import type { TokenRequest } from '../destination/token-request.ts'
import { keyOfRequest } from '../destination/token-request.ts'
import { traceExchange } from '../telemetry/exchange-span.ts'
import { Credential } from '../token/credential.ts'
import type { CredentialTraits, VerifiedCredential } from '../token/verified-credential.ts'
import type { Issuer } from '../verification/issuer.ts'
import type { GrantTokens, GrantType } from './grant.ts'
import { grantOf } from './grant.ts'
import type { Asked } from './issued.ts'
import { acceptIssued } from './issued.ts'
import type { ClientSettings } from './settings.ts'
import type { Answered, Sharing } from './shared-source.ts'
import { createSharedSource, sharedKeyOf } from './shared-source.ts'
import type { TokenResponse } from './token-endpoint.ts'
import { createTokenEndpoint } from './token-endpoint.ts'
import type { GetTokenOptions, RenewableSource, RenewingOptions, TokenSource } from './token-source.ts'
import { createTokenSource } from './token-source.ts'

/** This service as a client of one issuer. */
export interface Exchanger {
  /** The token for `request` that is at hand for the caller of `subject`; never waits. */
  current(subject: VerifiedCredential, request: TokenRequest): VerifiedCredential | undefined
  /** The same, got now where it is not at hand. Rejects with an `ExchangeError`, or the reason of `signal`. */
  get(subject: VerifiedCredential, request: TokenRequest, options?: GetTokenOptions): Promise<VerifiedCredential>
  /** Another one in place of `refused`. Rejects with an `ExchangeError`. */
  renew(subject: VerifiedCredential, request: TokenRequest, refused: VerifiedCredential): Promise<VerifiedCredential>
  /**
   * A fresh token for this service in place of `subject`, which has expired: whether there is one is for the issuer to say.
   * Not verified as incoming ones are. Rejects with an `ExchangeError`.
   */
  reissue(subject: VerifiedCredential): Promise<Credential>
  /** Tokens of the service itself (RFC 6749 §4.4). */
  clientCredentials(request: TokenRequest): TokenSource
  /** Tokens of whoever `refreshToken` was issued for (RFC 6749 §6). One that is rotated takes its place. */
  refreshToken(refreshToken: string, request: TokenRequest): TokenSource
}

export interface ExchangerOptions {
  readonly issuer: Issuer
  readonly settings: ClientSettings
  readonly traits: CredentialTraits
  /** How tokens that were exchanged for callers are shared, where `settings` have a cache for them. */
  readonly sharing: Omit<Sharing, 'cache'>
}

/** One question to the token endpoint, asked again for each renewal. */
interface Question {
  readonly grant: GrantType
  readonly request: TokenRequest
  readonly subject?: VerifiedCredential
  /** Whether the result may be used after `subject` has ended. */
  readonly outlives?: boolean
  readonly tokens?: () => GrantTokens | Promise<GrantTokens>
  readonly onResponse?: (response: TokenResponse) => void
}

/** What was exchanged for one token. */
interface Exchanged {
  readonly subject: VerifiedCredential
  /** As many as the configuration has different requests. */
  readonly sources: Map<string, RenewableSource>
}

export const WHATEVER_IS_DEFAULT: TokenRequest = { audience: [], resource: [], scope: [], tokenType: 'access_token' }

/** What an entry may weigh on average, in bytes: large tokens take the place of several. */
const BYTES_PER_ENTRY = 8_192
const MAX_ENTRY_BYTES = 4 * 65_536

export function createExchanger({ issuer, settings, traits, sharing }: ExchangerOptions): Exchanger {
  const endpoint = createTokenEndpoint(issuer.issuer, settings)
  // By the whole text of the caller's token, as tokens are remembered everywhere: neither its subject nor a hash of it
  // stands for it.
  const bySubject = new LRUCache<string, Exchanged>({
    max: settings.maxEntries,
    // One token always fits: otherwise nobody would find the exchange that is under way for it.
    maxSize: Math.max(settings.maxEntries * BYTES_PER_ENTRY, MAX_ENTRY_BYTES),
    // The text and its claims, and as much for what it was exchanged for.
    sizeCalculation: (_, text) => text.length * 4,
  })
  const forThisService: TokenRequest = { ...WHATEVER_IS_DEFAULT, audience: issuer.audience?.slice(0, 1) ?? [] }
  const actor = settings.actor ? ask({ grant: 'client_credentials', request: WHATEVER_IS_DEFAULT }) : undefined

  function ask(question: Question): RenewableSource {
    const { subject, outlives = false } = question
    return createTokenSource({
      renewBeforeMillis: settings.renewBeforeMillis,
      // Nothing that came from a token outlives it, but for what takes the place of one that has ended.
      notAfterMillis: (outlives ? undefined : subject?.expiresAtMillis) ?? Number.POSITIVE_INFINITY,
      obtain: shared(question) ?? ((previous) => exchange(question, previous)),
    })
  }

  /** Tokens of this service itself are its own, and what takes the place of a token that has ended is for one message. */
  function shared(question: Question): RenewingOptions['obtain'] | undefined {
    const { subject, request, outlives = false } = question
    const cache = settings.sharedCache
    if (cache === undefined || subject === undefined || outlives) return undefined
    const parts = { text: subject.reveal(), claims: subject.claims }
    return createSharedSource(
      { ...sharing, cache },
      {
        issuer: issuer.issuer,
        key: sharedKeyOf({ issuer: issuer.issuer, settings, subject: parts, request }),
        subject,
        askingMillis: settings.timeoutMillis,
        accept: (response, previous, at) => acceptIssued(response, askedBy(question, previous), at),
        ask: (previous) => exchange(question, previous),
      },
    )
  }

  function exchange(question: Question, previous: VerifiedCredential | undefined): Promise<Answered> {
    const { subject } = question
    return traceExchange({ issuer: issuer.issuer, subject, previous }, () => obtain(question, previous))
  }

  async function obtain(question: Question, previous: VerifiedCredential | undefined): Promise<Answered> {
    const { grant, request, tokens, onResponse } = question
    const response = await endpoint.request(grantOf(grant, request, (await tokens?.()) ?? {}))
    // Whatever becomes of the access token, the refresh token that was sent is spent (RFC 6749 §6).
    onResponse?.(response)
    return { ...(await acceptIssued(response, askedBy(question, previous))), response }
  }

  function askedBy({ grant, request, subject }: Question, previous: VerifiedCredential | undefined): Asked {
    return { issuer, settings, traits, grant, request, subject, previous }
  }

  /** One text may get other facts: an issuer that is asked about opaque tokens may answer otherwise next time. */
  function exchangedFor(subject: VerifiedCredential): Exchanged | undefined {
    const known = bySubject.get(subject.reveal())
    if (known === undefined || known.subject === subject) return known
    // Verified anew, and the same: found without comparing from now on.
    return isDeepStrictEqual(known.subject.claims, subject.claims) ? remember({ ...known, subject }) : undefined
  }

  function sourceFor(subject: VerifiedCredential, request: TokenRequest, outlives = false): RenewableSource {
    const { sources } = exchangedFor(subject) ?? remember({ subject, sources: new Map() })
    const key = `${outlives ? 'reissue ' : ''}${keyOfRequest(request)}`
    const question = { grant: settings.grant, request, subject, outlives, tokens: () => tokensOf(subject) }
    const source = sources.get(key) ?? ask(question)
    sources.set(key, source)
    return source
  }

  function remember(exchanged: Exchanged): Exchanged {
    bySubject.set(exchanged.subject.reveal(), exchanged)
    return exchanged
  }

  async function tokensOf(subject: VerifiedCredential): Promise<GrantTokens> {
    const acting = await actor?.get()
    return { subject: subject.reveal(), actor: acting?.reveal() }
  }

  return {
    current: (subject, request) => exchangedFor(subject)?.sources.get(keyOfRequest(request))?.current,
    get: (subject, request, options) => sourceFor(subject, request).get(options),
    renew: (subject, request, refused) => sourceFor(subject, request).renew(refused),
    async reissue(subject) {
      const token = await sourceFor(subject, forThisService, true).get()
      return new Credential(token.reveal())
    },
    clientCredentials: (request) => ask({ grant: 'client_credentials', request }),
    refreshToken(refreshToken, request) {
      let latest = refreshToken
      return ask({
        grant: 'refresh_token',
        request,
        tokens: () => ({ refresh: latest }),
        onResponse: (response) => {
          latest = response.refreshToken ?? latest
        },
      })
    },
  }
}
