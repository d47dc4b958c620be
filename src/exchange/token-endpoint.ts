/** The token endpoint of an issuer, as the rest of this package sees it. */

import { ExchangeError } from '../token/errors.ts'
import { createClientCredentials } from './client-authentication.ts'
import type { Grant } from './grant.ts'
import type { ClientSettings } from './settings.ts'
import type { TokenResponse } from './token-protocol.ts'

export interface TokenEndpoint {
  /** Rejects only with an {@link ExchangeError}. */
  request(grant: Grant): Promise<TokenResponse>
}

/** Starts to load the protocol, which only services that exchange tokens need. Requests wait for it. */
export function createTokenEndpoint(issuer: string, settings: ClientSettings): TokenEndpoint {
  const credentials = createClientCredentials(settings)
  const loading = import('./token-protocol.ts').then(({ createTokenRequest }) =>
    createTokenRequest(issuer, settings, credentials),
  )
  // Each request learns of the failure; without one there is nothing to report.
  loading.catch(() => undefined)
  return {
    async request(grant) {
      try {
        const request = await loading
        return await request(grant)
      } catch (error) {
        // Errors of libraries may hold what was sent or received, so none of them is kept.
        throw error instanceof ExchangeError ? error : new ExchangeError('ERR_TOKEN_EXCHANGE_UNAVAILABLE')
      }
    },
  }
}
