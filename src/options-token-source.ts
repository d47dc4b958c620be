/** What zod checks the options of a token source against. */

import * as z from 'zod'
import type { TokenSourceSettings } from './exchange/exchangers.ts'
import { names, scopes } from './options-exchange.ts'
import { group, text } from './options-parts.ts'
import { own } from './token/own.ts'

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
  /** `audience` of the request: what the tokens are for. Default: what the issuer thinks. */
  readonly audience?: string | readonly string[]
  /** `resource` of the request (RFC 8707 §2). Default: what the issuer thinks. */
  readonly resource?: string | readonly string[]
  /** What they may allow, as a list or separated by spaces: more is refused. Default: what the issuer thinks. */
  readonly scope?: string | readonly string[]
}

export const tokenSourceSchema = group({
  issuer: text('expected the name of an issuer that has exchange').optional(),
  grant: z.enum(['client_credentials', 'refresh_token'], 'expected client_credentials or refresh_token'),
  refreshToken: text('expected a text').optional(),
  audience: names,
  resource: names,
  scope: scopes,
})
  .superRefine((options, check) => {
    const [given, wanted] = [own(options, 'refreshToken') !== undefined, options.grant === 'refresh_token']
    if (given === wanted) return
    const message = wanted ? 'required with the grant refresh_token' : 'is for the grant refresh_token only'
    check.addIssue({ code: 'custom', path: ['refreshToken'], message })
  })
  .transform(
    ({ audience, resource, scope, ...options }): TokenSourceSettings => ({
      issuer: own(options, 'issuer') as string | undefined,
      refreshToken: own(options, 'refreshToken') as string | undefined,
      request: { audience, resource, scope, tokenType: 'access_token' },
    }),
  )
