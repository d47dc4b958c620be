/** The settings of this service as a client of an issuer. */

import type { GrantType } from './grant.ts'
import type { SharedTokenCache } from './shared-cache.ts'

/** How a client authenticates to the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2). */
export type ClientAuthentication =
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'private_key_jwt'
  | 'tls_client_auth'
  | 'self_signed_tls_client_auth'

/** The checked settings of this service as a client of one issuer. */
export interface ClientSettings {
  /** `undefined`: the one in the metadata of the issuer. */
  readonly tokenEndpoint: string | undefined
  readonly clientId: string
  readonly clientAuthentication: ClientAuthentication
  readonly clientSecret: string | undefined
  readonly clientSecretFile: string | undefined
  readonly privateKeyFile: string | undefined
  readonly keyId: string | undefined
  readonly certificateFile: string | undefined
  readonly certificateKeyFile: string | undefined
  readonly caFile: string | undefined
  readonly timeoutMillis: number
  /** How long before its expiry a token is replaced, in milliseconds. */
  readonly renewBeforeMillis: number
  /** Longest accepted lifetime of a token, in milliseconds. */
  readonly maxLifetimeMillis: number
  /** Whether the service names itself as the actor (RFC 8693 §2.1). */
  readonly actor: boolean
  readonly grant: Extract<GrantType, 'token_exchange' | 'jwt_bearer'>
  /** Most subjects whose tokens are remembered; the least recently used one is forgotten first. */
  readonly maxEntries: number
  /** The claim that subject and exchanged token must have in common. */
  readonly subjectClaim: string
  /** Shares the tokens that were exchanged for callers among the processes of the fleet. */
  readonly sharedCache: SharedTokenCache | undefined
}
