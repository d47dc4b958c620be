/** The options `issuers[].introspection`: how the issuer is asked about opaque tokens. */

import * as v from 'valibot'
import { group, issuerUrl, millis, oneOf, text, variable } from './parts.ts'

/** How the issuer is asked about tokens that are not JWTs (RFC 7662). */
export interface IntrospectionOptions {
  /** The introspection endpoint: https, or http on the loopback interface or with `allowCleartext` of the issuer. */
  readonly endpoint: string
  /** The `client_id` of this service at the issuer. */
  readonly clientId: string
  /** The secret of this client. */
  readonly clientSecret: string
  /**
   * How the secret is sent (OpenID Connect Core 1.0 §9): `client_secret_basic` or `client_secret_post`. Default
   * `client_secret_basic`.
   */
  readonly clientAuthentication?: 'client_secret_basic' | 'client_secret_post'
  /** Longest time for one answer, in milliseconds, at least 1. Default 5000. */
  readonly timeoutMillis?: number
  /**
   * How long an answer is used again, in milliseconds, at least 0, and never past `exp`. 0 asks about every request.
   * Default 5000.
   */
  readonly cacheMillis?: number
}

export const introspectionSchema = group({
  endpoint: v.pipe(
    issuerUrl('required: an https URL, or http on the loopback interface'),
    variable('TOKEN_RELAY_INTROSPECTION_ENDPOINT', 'text'),
  ),
  clientId: v.pipe(
    text('required: what this service is called at the issuer'),
    variable('TOKEN_RELAY_INTROSPECTION_CLIENT_ID', 'text'),
  ),
  clientSecret: v.pipe(
    text('required: the secret of the client'),
    variable('TOKEN_RELAY_INTROSPECTION_CLIENT_SECRET', 'text'),
  ),
  clientAuthentication: v.pipe(
    v.optional(oneOf('client_secret_basic', 'client_secret_post'), 'client_secret_basic'),
    variable('TOKEN_RELAY_INTROSPECTION_CLIENT_AUTHENTICATION', 'text'),
  ),
  timeoutMillis: v.pipe(v.optional(millis(1), 5_000), variable('TOKEN_RELAY_INTROSPECTION_TIMEOUT_MILLIS', 'number')),
  cacheMillis: v.pipe(v.optional(millis(0), 5_000), variable('TOKEN_RELAY_INTROSPECTION_CACHE_MILLIS', 'number')),
})
