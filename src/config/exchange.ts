/** The options `issuers[].exchange`: this service as a client of the issuer, which asks for tokens. */

import * as v from 'valibot'
import type { Refuse } from '../base/schema.ts'
import { check, transform } from '../base/schema.ts'
import { unusableFile } from '../exchange/client-authentication.ts'
import type { ClientAuthentication, ClientSettings } from '../exchange/settings.ts'
import type { SharedTokenCache } from '../exchange/shared-cache.ts'
import {
  aBoolean,
  aFile,
  group,
  issuerUrl,
  millis,
  oneOf,
  seconds,
  text,
  variable,
  whole,
  withMethods,
} from './parts.ts'

/**
 * This service as a client of the issuer. It asks for two kinds of tokens: for other ones in place of the callers'
 * (`exchange` of a destination), and for its own (`relay.tokenSource`). Files are checked before each use, so they can
 * be rotated at any time.
 */
export interface ExchangeOptions {
  /**
   * The token endpoint: https, or http on the loopback interface or with `allowCleartext` of the issuer. Default: the
   * one in the issuer's metadata.
   */
  readonly tokenEndpoint?: string
  /** The `client_id` of this service at the issuer. */
  readonly clientId: string
  /**
   * How this service proves its identity. `client_secret_basic` and `client_secret_post`: with a secret (RFC 6749
   * §2.3.1). `private_key_jwt`: with a signature (RFC 7523 §2.2). `tls_client_auth` and `self_signed_tls_client_auth`:
   * with the certificate of its connection (RFC 8705 §2). Default `client_secret_basic`.
   */
  readonly clientAuthentication?: ClientAuthentication
  /** The secret, for `client_secret_basic` and `client_secret_post`. Default: none. */
  readonly clientSecret?: string
  /** A file that holds only the secret. Excludes `clientSecret`. Default: none. */
  readonly clientSecretFile?: string
  /**
   * A file with the private key for `private_key_jwt`: PEM (PKCS #8, PKCS #1, SEC 1) or a JWK; RSA, EC or Ed25519.
   * Default: none.
   */
  readonly privateKeyFile?: string
  /** The `kid` of that key at the issuer. Default: that of the JWK, or none. */
  readonly keyId?: string
  /** A file with the client certificate of the connection and its chain (PEM; RFC 8705). Default: none. */
  readonly certificateFile?: string
  /** A file with the private key of that certificate (PEM). Default: none. */
  readonly certificateKeyFile?: string
  /**
   * A file with the authorities that the token endpoint's certificate may come from (PEM). Default: those of Node.js.
   */
  readonly caFile?: string
  /**
   * How tokens are asked for: `token_exchange` (RFC 8693), or `jwt_bearer` (RFC 7523 §2.1), which Microsoft calls
   * on-behalf-of. Default `token_exchange`.
   */
  readonly grant?: 'token_exchange' | 'jwt_bearer'
  /**
   * `true` names this service as the actor, with its own token (RFC 8693 §2.1). Not for `jwt_bearer`. Default false.
   */
  readonly actor?: boolean
  /** The claim that must be equal in the caller's token and in the exchanged one. Default `sub`. */
  readonly subjectClaim?: string
  /** Longest time for one answer, including a second attempt, in milliseconds, at least 1. Default 5000. */
  readonly timeoutMillis?: number
  /**
   * How long before its expiry a token is replaced, in seconds, at least 0. A token that lives shorter is replaced
   * after half its life. Default 30.
   */
  readonly renewBeforeSeconds?: number
  /** Longest life of a token that is accepted from the issuer, in seconds, at least 1. Default 86400. */
  readonly maxLifetimeSeconds?: number
  /**
   * Most callers' tokens for which exchanged ones are remembered, fewer if they are large: 1 to 1000000. The least
   * recently used one is dropped first. Default 10000.
   */
  readonly maxEntries?: number
  /**
   * Shares exchanged tokens, sealed, among the processes of a fleet, so that usually one of them asks the issuer. Needs
   * a secret among `sealing.keys`. Does not hold tokens of this service itself. The application that creates a cache
   * closes it; `relay.shutdown()` does not. Default: none, each process asks for itself.
   */
  readonly sharedCache?: SharedTokenCache
}

const METHODS = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'tls_client_auth',
  'self_signed_tls_client_auth',
] as const

/** What each authentication method needs; of several names in a row one is enough. */
const NEEDED: Readonly<Record<ClientAuthentication, readonly (readonly (keyof ExchangeOptions)[])[]>> = {
  client_secret_basic: [['clientSecret', 'clientSecretFile']],
  client_secret_post: [['clientSecret', 'clientSecretFile']],
  private_key_jwt: [['privateKeyFile']],
  tls_client_auth: [['certificateFile'], ['certificateKeyFile']],
  self_signed_tls_client_auth: [['certificateFile'], ['certificateKeyFile']],
}

/** Proofs that only one kind of method uses. A certificate may come with any method. */
const PROOFS = ['clientSecret', 'clientSecretFile', 'privateKeyFile'] as const

const clientSchema = group({
  tokenEndpoint: v.pipe(v.optional(issuerUrl()), variable('TOKEN_RELAY_EXCHANGE_TOKEN_ENDPOINT', 'text')),
  clientId: v.pipe(
    text('required: what this service is called at the issuer'),
    variable('TOKEN_RELAY_EXCHANGE_CLIENT_ID', 'text'),
  ),
  clientAuthentication: v.pipe(
    v.optional(v.picklist(METHODS, `expected one of ${METHODS.join(', ')}`), 'client_secret_basic'),
    variable('TOKEN_RELAY_EXCHANGE_CLIENT_AUTHENTICATION', 'text'),
  ),
  clientSecret: v.pipe(
    v.optional(text('expected the secret of the client')),
    variable('TOKEN_RELAY_EXCHANGE_CLIENT_SECRET', 'text'),
  ),
  clientSecretFile: v.pipe(v.optional(aFile()), variable('TOKEN_RELAY_EXCHANGE_CLIENT_SECRET_FILE', 'text')),
  privateKeyFile: v.pipe(v.optional(aFile()), variable('TOKEN_RELAY_EXCHANGE_PRIVATE_KEY_FILE', 'text')),
  keyId: v.pipe(v.optional(text('expected the kid of the key')), variable('TOKEN_RELAY_EXCHANGE_KEY_ID', 'text')),
  certificateFile: v.pipe(v.optional(aFile()), variable('TOKEN_RELAY_EXCHANGE_CERTIFICATE_FILE', 'text')),
  certificateKeyFile: v.pipe(v.optional(aFile()), variable('TOKEN_RELAY_EXCHANGE_CERTIFICATE_KEY_FILE', 'text')),
  caFile: v.pipe(v.optional(aFile()), variable('TOKEN_RELAY_EXCHANGE_CA_FILE', 'text')),
  grant: v.pipe(
    v.optional(oneOf('token_exchange', 'jwt_bearer'), 'token_exchange'),
    variable('TOKEN_RELAY_EXCHANGE_GRANT', 'text'),
  ),
  actor: v.pipe(v.optional(aBoolean(), false), variable('TOKEN_RELAY_EXCHANGE_ACTOR', 'boolean')),
  subjectClaim: v.pipe(
    v.optional(text('expected a claim name'), 'sub'),
    variable('TOKEN_RELAY_EXCHANGE_SUBJECT_CLAIM', 'text'),
  ),
  timeoutMillis: v.pipe(v.optional(millis(1), 5_000), variable('TOKEN_RELAY_EXCHANGE_TIMEOUT_MILLIS', 'number')),
  renewBeforeSeconds: v.pipe(
    v.optional(seconds(0), 30),
    variable('TOKEN_RELAY_EXCHANGE_RENEW_BEFORE_SECONDS', 'number'),
  ),
  maxLifetimeSeconds: v.pipe(
    v.optional(seconds(1), 86_400),
    variable('TOKEN_RELAY_EXCHANGE_MAX_LIFETIME_SECONDS', 'number'),
  ),
  maxEntries: v.pipe(
    v.optional(whole(1, 1_000_000, 'entries'), 10_000),
    variable('TOKEN_RELAY_EXCHANGE_MAX_ENTRIES', 'number'),
  ),
  sharedCache: v.optional(
    withMethods<SharedTokenCache>('expected a shared cache of tokens', 'find', 'keep', 'release'),
  ),
})
type Client = v.InferOutput<typeof clientSchema>

export const exchangeSchema = v.pipe(
  clientSchema,
  check(refuseWrongProof),
  transform((client: Client, refuse): ClientSettings => {
    const { renewBeforeSeconds, maxLifetimeSeconds, ...rest } = client
    const settings = {
      ...rest,
      renewBeforeMillis: renewBeforeSeconds * 1000,
      maxLifetimeMillis: maxLifetimeSeconds * 1000,
    }
    const unusable = unusableFile(settings)
    if (unusable !== undefined) refuse([unusable], 'a file is missing, or does not hold what is expected')
    return settings
  }),
)

function refuseWrongProof(client: Client, refuseAt: Refuse): void {
  const isGiven = (name: keyof Client): boolean => client[name] !== undefined
  const refuse = (name: string, problem: string) => refuseAt([name], problem)
  const needed = NEEDED[client.clientAuthentication]
  for (const names of needed) {
    if (!names.some(isGiven)) refuse(names[0] ?? '', `required with ${client.clientAuthentication}`)
  }
  for (const name of PROOFS) {
    if (isGiven(name) && !needed.flat().includes(name)) refuse(name, `is not used with ${client.clientAuthentication}`)
  }
  if (isGiven('clientSecret') && isGiven('clientSecretFile')) refuse('clientSecret', 'contradicts clientSecretFile')
  if (isGiven('certificateFile') !== isGiven('certificateKeyFile')) {
    const missing = isGiven('certificateFile') ? 'certificateKeyFile' : 'certificateFile'
    refuse(missing, 'certificate and key go together')
  }
  if (client.actor && client.grant === 'jwt_bearer') refuse('actor', 'is for the grant token_exchange only')
}
