/** This service as a client of every issuer that it asks for tokens. */

import type { TokenRequest } from '../destination/token-request.ts'
import type { Issuers } from '../verification/issuers.ts'
import type { Exchanger, ExchangerOptions } from './exchanger.ts'
import { createExchanger } from './exchanger.ts'
import type { ClientSettings } from './settings.ts'
import type { TokenSource } from './token-source.ts'

/** Which tokens a source has. */
export interface TokenSourceSettings {
  /** `undefined`: the one issuer that has `exchange`. */
  readonly issuer: string | undefined
  /** `undefined`: those of the service itself. */
  readonly refreshToken: string | undefined
  readonly request: TokenRequest
}

export interface Exchangers {
  readonly byIssuer: ReadonlyMap<string, Exchanger>
  /** `undefined` where no such issuer has `exchange`, or it is not clear which one is meant. */
  source(settings: TokenSourceSettings): TokenSource | undefined
}

export interface ExchangersOptions extends Pick<ExchangerOptions, 'traits' | 'sharing'> {
  readonly settings: ReadonlyMap<string, ClientSettings>
  readonly issuers: Issuers
}

export function createExchangers(options: ExchangersOptions): Exchangers {
  const { settings, issuers, traits, sharing } = options
  const byIssuer = new Map<string, Exchanger>()
  for (const issuer of issuers.configured) {
    const own = settings.get(issuer.issuer)
    if (own === undefined) continue
    byIssuer.set(issuer.issuer, createExchanger({ issuer, settings: own, traits, sharing }))
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
