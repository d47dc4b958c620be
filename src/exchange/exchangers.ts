/** This service as a client of every issuer that it asks for tokens. */

import type { TokenRequest } from '../destination/token-request.ts'
import type { Issuers } from '../verification/issuers.ts'
import type { Exchanger, ExchangerOptions } from './exchanger.ts'
import { createExchanger } from './exchanger.ts'
import type { ClientSettings } from './settings.ts'
import type { Attempt } from './token-endpoint.ts'
import type { TokenSource } from './token-source.ts'

/** Which tokens a {@link TokenSource} of a relay has. */
export interface TokenSourceOptions {
  /** Whose tokens. Default: those of the one issuer that has `exchange`; required where there are several. */
  readonly issuer?: string
  /**
   * `client_credentials` (RFC 6749 §4.4): tokens of this service itself. `refresh_token` (§6): tokens of whoever
   * `refreshToken` was issued for.
   */
  readonly grant: 'client_credentials' | 'refresh_token'
  /** For the grant `refresh_token`. One that is rotated takes its place, in memory only. */
  readonly refreshToken?: string
  /** What the tokens are for (RFC 8693 §2.1, RFC 8707 §2). Default: what the issuer thinks. */
  readonly audience?: readonly string[]
  readonly resource?: readonly string[]
  /** What they may allow: more than that is refused. Default: what the issuer thinks. */
  readonly scope?: readonly string[]
}

export interface Exchangers {
  readonly byIssuer: ReadonlyMap<string, Exchanger>
  /**
   * @throws TypeError that names the wrong member, never its value.
   */
  source(options: TokenSourceOptions): TokenSource
}

export interface ExchangersOptions extends Pick<ExchangerOptions, 'traits'> {
  readonly settings: ReadonlyMap<string, ClientSettings>
  readonly issuers: Issuers
  readonly attemptFor: (settings: ClientSettings) => Attempt
}

export function createExchangers(options: ExchangersOptions): Exchangers {
  const { settings, issuers, attemptFor, traits } = options
  const byIssuer = new Map<string, Exchanger>()
  for (const issuer of issuers.configured) {
    const own = settings.get(issuer.issuer)
    if (own === undefined) continue
    byIssuer.set(issuer.issuer, createExchanger({ issuer, settings: own, traits, attempt: attemptFor(own) }))
  }

  function exchangerFor(name: string | undefined): Exchanger {
    const only = byIssuer.size === 1 ? [...byIssuer.values()][0] : undefined
    const exchanger = name === undefined ? only : byIssuer.get(name)
    if (exchanger === undefined) throw new TypeError('issuer: expected the name of one that has exchange')
    return exchanger
  }

  return {
    byIssuer,
    source({ issuer, grant, refreshToken, audience = [], resource = [], scope = [] }) {
      const exchanger = exchangerFor(issuer)
      const request: TokenRequest = { audience, resource, scope, tokenType: 'access_token' }
      if (grant === 'client_credentials') return exchanger.clientCredentials(request)
      if (grant !== 'refresh_token') throw new TypeError('grant: expected client_credentials or refresh_token')
      if (typeof refreshToken !== 'string' || refreshToken === '') throw new TypeError('refreshToken: expected a text')
      return exchanger.refreshToken(refreshToken, request)
    },
  }
}
