/** Another token for another audience: kept per caller's token and per request, and never used without the caller's. */

import { LRUCache } from 'lru-cache'
import type { TokenRequest } from '../destination/token-request.ts'
import { keyOfRequest } from '../destination/token-request.ts'
import { traceExchange } from '../telemetry/exchange-span.ts'
import { ExchangeError } from '../token/errors.ts'
import type { VerifiedCredential, VerifiedFacts } from '../token/verified-credential.ts'
import type { Issuer } from '../verification/issuer.ts'
import type { GrantTokens, GrantType } from './grant.ts'
import { grantOf } from './grant.ts'
import { acceptIssued } from './issued.ts'
import type { ClientSettings } from './settings.ts'
import type { Attempt, TokenResponse } from './token-endpoint.ts'
import { createTokenEndpoint } from './token-endpoint.ts'
import type { GetTokenOptions, TokenSource } from './token-source.ts'
import { createTokenSource } from './token-source.ts'

/** This service as a client of one issuer. */
export interface Exchanger {
  /** The token for `request` that is at hand for the caller of `subject`; never waits. */
  current(subject: VerifiedCredential, request: TokenRequest): VerifiedCredential | undefined
  /** The same, got now where it is not at hand. Rejects with an {@link ExchangeError}. */
  prepare(subject: VerifiedCredential, request: TokenRequest, options?: GetTokenOptions): Promise<VerifiedCredential>
  /** Tokens of the service itself (RFC 6749 §4.4). */
  clientCredentials(request: TokenRequest): TokenSource
  /** Tokens of whoever `refreshToken` was issued for (RFC 6749 §6). One that is rotated takes its place. */
  refreshToken(refreshToken: string, request: TokenRequest): TokenSource
}

export interface ExchangerOptions {
  readonly issuer: Issuer
  readonly settings: ClientSettings
  readonly fingerprintKey: string | undefined
  readonly watch: VerifiedFacts['watch']
  readonly attempt: Attempt
}

/** One question to the token endpoint. */
interface Question {
  readonly type: GrantType
  readonly request: TokenRequest
  readonly subject?: VerifiedCredential
  readonly tokens?: () => GrantTokens | Promise<GrantTokens>
  readonly onResponse?: (response: TokenResponse) => void
}

const WHATEVER_IS_DEFAULT: TokenRequest = { audience: [], resource: [], scope: [], tokenType: 'access_token' }

export function createExchanger(options: ExchangerOptions): Exchanger {
  const { issuer, settings, fingerprintKey, watch, attempt } = options
  const endpoint = createTokenEndpoint(issuer.issuer, settings, attempt)
  // By the whole text of the caller's token, as tokens are remembered everywhere, and then by the whole request.
  const bySubject = new LRUCache<string, Map<string, TokenSource>>({ max: settings.maxEntries })
  const actor = settings.actor ? ask({ type: 'client_credentials', request: WHATEVER_IS_DEFAULT }) : undefined

  function ask({ type, request, subject, tokens, onResponse }: Question): TokenSource {
    return createTokenSource({
      renewBeforeMillis: settings.renewBeforeMillis,
      // Nothing that came from a token outlives it.
      notAfterMillis: subject?.expiresAtMillis ?? Number.POSITIVE_INFINITY,
      obtain: (previous) =>
        traceExchange({ issuer: issuer.issuer, subject, previous }, async () => {
          const response = await endpoint.request(grantOf(type, request, (await tokens?.()) ?? {}))
          const credential = await acceptIssued(response, { issuer, settings, request, subject, fingerprintKey, watch })
          onResponse?.(response)
          return credential
        }),
    })
  }

  function exchange(subject: VerifiedCredential, request: TokenRequest): TokenSource {
    const tokens = async (): Promise<GrantTokens> => ({
      subject: subject.reveal(),
      actor: (await actor?.get())?.reveal(),
    })
    return ask({ type: settings.grant, request, subject, tokens })
  }

  function sourceFor(subject: VerifiedCredential, request: TokenRequest): TokenSource {
    const text = subject.reveal()
    let sources = bySubject.get(text)
    if (sources === undefined) {
      sources = new Map()
      bySubject.set(text, sources)
    }
    const key = keyOfRequest(request)
    const known = sources.get(key)
    if (known !== undefined) return known
    const source = exchange(subject, request)
    sources.set(key, source)
    return source
  }

  return {
    current: (subject, request) => bySubject.get(subject.reveal())?.get(keyOfRequest(request))?.current,
    prepare: async (subject, request, getOptions) => {
      if (subject.issuer !== issuer.issuer) throw new ExchangeError('ERR_TOKEN_EXCHANGE_REFUSED')
      return sourceFor(subject, request).get(getOptions)
    },
    clientCredentials: (request) => ask({ type: 'client_credentials', request }),
    refreshToken(refreshToken, request) {
      let latest = refreshToken
      return ask({
        type: 'refresh_token',
        request,
        tokens: () => ({ refresh: latest }),
        onResponse: (response) => {
          latest = response.refreshToken ?? latest
        },
      })
    },
  }
}
