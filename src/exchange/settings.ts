/** How this service gets tokens of its own making: as which client, and for what. */

import type { GrantType } from './grant.ts'
import type { SharedTokenCache } from './shared-cache.ts'

/** How a client proves to the token endpoint that it is itself (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2). */
export type ClientAuthentication =
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'private_key_jwt'
  | 'tls_client_auth'
  | 'self_signed_tls_client_auth'

/** The checked settings of this service as a client of one issuer. */
export interface ClientSettings {
  /** `undefined`: where the metadata of the issuer says. */
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
  /** Longest life of a token that is believed, in milliseconds. */
  readonly maxLifetimeMillis: number
  /** Whether the service names itself as the actor (RFC 8693 §2.1). */
  readonly actor: boolean
  readonly grant: Extract<GrantType, 'token_exchange' | 'jwt_bearer'>
  /** Subjects whose tokens are remembered; the least recently used one goes first. */
  readonly maxEntries: number
  /** The claim in which subject and exchanged token must agree. */
  readonly subjectClaim: string
  /** What was exchanged for callers, by any process of the fleet. */
  readonly sharedCache: SharedTokenCache | undefined
}
