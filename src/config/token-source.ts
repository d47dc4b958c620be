/** The options of `relay.tokenSource`: which tokens a source gets. */

import * as v from 'valibot'
import { check } from '../base/schema.ts'
import type { TokenSourceSettings } from '../exchange/exchanger.ts'
import { group, names, oneOf, scopes, text } from './parts.ts'

/** Which tokens a {@link TokenSource} of a relay has. */
export interface TokenSourceOptions {
  /** The issuer of the tokens. Default: the only one that has `exchange`; required if there are several. */
  readonly issuer?: string
  /**
   * `client_credentials` (RFC 6749 §4.4): tokens of this service itself. `refresh_token` (§6): tokens of the subject
   * that `refreshToken` was issued for.
   */
  readonly grant: 'client_credentials' | 'refresh_token'
  /** For the grant `refresh_token`, which needs it. If the issuer rotates it, the new one is kept in memory only. */
  readonly refreshToken?: string
  /** `audience` of the request: what the tokens are for. Default: the issuer decides. */
  readonly audience?: string | readonly string[]
  /** `resource` of the request (RFC 8707 §2). Default: the issuer decides. */
  readonly resource?: string | readonly string[]
  /**
   * What the tokens may allow, as a list or separated by spaces: a token that allows more is refused. Default: the
   * issuer decides.
   */
  readonly scope?: string | readonly string[]
}

const tokenSourceMembers = group({
  issuer: v.optional(text('expected the name of an issuer that has exchange')),
  grant: oneOf('client_credentials', 'refresh_token'),
  refreshToken: v.optional(text('expected a text')),
  audience: names(),
  resource: names(),
  scope: scopes(),
})
export const tokenSourceSchema = v.pipe(
  tokenSourceMembers,
  check(({ refreshToken, grant }, refuse) => {
    const [isGiven, isWanted] = [refreshToken !== undefined, grant === 'refresh_token']
    if (isGiven === isWanted) return
    const message = isWanted ? 'required with the grant refresh_token' : 'is for the grant refresh_token only'
    refuse(['refreshToken'], message)
  }),
  v.transform(
    ({ issuer, refreshToken, audience, resource, scope }): TokenSourceSettings => ({
      issuer,
      refreshToken,
      request: { audience, resource, scope, tokenType: 'access_token' },
    }),
  ),
)
