/** The options of a relay: one source for code, configuration files and environment variables. */

import type * as z from 'zod'
import type { AuditLogger } from './audit/audit.ts'
import type { EgressMode } from './destination/decision.ts'
import type { DetectorMode } from './destination/detector.ts'
import type { Rule } from './destination/rules.ts'
import type { TokenSourceSettings } from './exchange/exchangers.ts'
import type { ClientAuthentication, ClientSettings } from './exchange/settings.ts'
import type { SharedTokenCache } from './exchange/shared-cache.ts'
import type { IngressMode } from './ingress/gate.ts'
import type { AuditSettings } from './options-audit.ts'
import { issuerSchema, optionsSchema } from './options-schema.ts'
import { tokenSourceSchema } from './options-token-source.ts'
import type { OnUnavailable } from './revocation/check.ts'
import type { RevocationList } from './revocation/list.ts'
import type { SealingKey } from './sealing/key.ts'
import type { ReplayWindow } from './sealing/replay-window.ts'
import { checkOptions, OptionError } from './token/checked-options.ts'
import { own } from './token/own.ts'
import type { ClaimRule, IssuerSettings } from './verification/issuer.ts'
import type { IssuerResolver } from './verification/issuers.ts'

export { OptionError } from './token/checked-options.ts'

/** How the published keys of an issuer are fetched and kept. */
export interface KeySetOptions {
  /** Total time for one fetch, in milliseconds. Positive; default 5000. */
  readonly timeoutMillis?: number
  /** How long an unknown `kid` waits for the next fetch, counted from every attempt, in milliseconds. Default 30000. */
  readonly cooldownMillis?: number
  /** How long fetched keys are used before they are fetched again, in milliseconds. Positive; default 600000. */
  readonly maxAgeMillis?: number
  /** How long older keys serve while the issuer cannot be reached, in milliseconds, after `maxAgeMillis`. Default 3600000. */
  readonly staleMillis?: number
  /** Largest metadata or key set document that is read, in bytes. Positive; default 1048576. */
  readonly maxBytes?: number
}

/** How the issuer is asked about tokens that are no JWTs (RFC 7662). */
export interface IntrospectionOptions {
  /** Where to ask: https, or http on the loopback interface. */
  readonly endpoint: string
  /** What this service is called at the issuer. */
  readonly clientId: string
  /** Its secret there. */
  readonly clientSecret: string
  /** How the secret is sent (OpenID Connect Core 1.0 §9). Default `client_secret_basic`. */
  readonly clientAuthentication?: 'client_secret_basic' | 'client_secret_post'
  /** Total time for one answer, in milliseconds. Positive; default 5000. */
  readonly timeoutMillis?: number
  /** How long an answer is used again, in milliseconds, and never past `exp`. 0 asks every time; default 5000. */
  readonly cacheMillis?: number
}

/**
 * This service as a client of the issuer, for tokens of its own making: other ones for the callers' (`exchange` of a
 * destination), and its own ones (`relay.tokenSource`). Files are looked at before each use: rotate them as you like.
 */
export interface ExchangeOptions {
  /** Where tokens are asked for: https, or http on the loopback interface. Default: what the issuer's metadata says. */
  readonly tokenEndpoint?: string
  /** What this service is called at the issuer. */
  readonly clientId: string
  /**
   * How it proves that: with a secret (RFC 6749 §2.3.1), with a signature (RFC 7523 §2.2), or with the certificate of
   * its connection (RFC 8705 §2). Default `client_secret_basic`.
   */
  readonly clientAuthentication?: ClientAuthentication
  /** The secret, for `client_secret_basic` and `client_secret_post`. */
  readonly clientSecret?: string
  /** A file that holds nothing but the secret. Excludes `clientSecret`. */
  readonly clientSecretFile?: string
  /** A file with the private key for `private_key_jwt`: PEM, or a JWK. */
  readonly privateKeyFile?: string
  /** The `kid` of that key at the issuer. Default: that of the JWK, or none. */
  readonly keyId?: string
  /** A file with the certificate chain of the connection (PEM), and one with its key. */
  readonly certificateFile?: string
  readonly certificateKeyFile?: string
  /** A file with the authorities that the token endpoint's certificate may come from (PEM). Default: those of Node.js. */
  readonly caFile?: string
  /** `token_exchange` (RFC 8693), or `jwt_bearer` (RFC 7523 §2.1), which Microsoft calls on-behalf-of. Default `token_exchange`. */
  readonly grant?: 'token_exchange' | 'jwt_bearer'
  /** Names this service as the actor, with a token of its own (RFC 8693 §2.1). Default false. */
  readonly actor?: boolean
  /** The claim in which the caller's token and the other one must agree. Default `sub`. */
  readonly subjectClaim?: string
  /** Total time for one answer, a second attempt included, in milliseconds. Positive; default 5000. */
  readonly timeoutMillis?: number
  /** How long before its expiry a token is replaced, in seconds; one that lives shorter is replaced half-way. Default 30. */
  readonly renewBeforeSeconds?: number
  /** Longest life of a token that is taken from the issuer, in seconds. Positive; default 86400. */
  readonly maxLifetimeSeconds?: number
  /** Most callers for whom tokens are remembered; the least recently seen one goes first. 1 to 1000000; default 10000. */
  readonly maxEntries?: number
  /**
   * Keeps the tokens that are exchanged for callers, sealed, for all processes that share it: one of them asks the issuer,
   * as far as can be. Needs a secret among `sealing.keys`. Tokens of this service itself are not kept there. Whoever makes a
   * cache closes it; `relay.shutdown()` does not. Default: each process asks for itself.
   */
  readonly sharedCache?: SharedTokenCache
}

/** The token that a destination gets in place of the caller's own. At least one member says for whom or for what it is. */
export interface DestinationExchangeOptions {
  /** `audience` of the request (RFC 8693 §2.1): what the destination is called at the issuer. */
  readonly audience?: string | readonly string[]
  /** `resource` of the request (RFC 8707 §2): URI of the destination. */
  readonly resource?: string | readonly string[]
  /** What the token may allow, as a list or separated by spaces: more than that is refused. Default: what the caller's allows. */
  readonly scope?: string | readonly string[]
  /** `access_token` or `jwt` (RFC 8693 §3). Default `access_token`. */
  readonly tokenType?: 'access_token' | 'jwt'
  /**
   * When it is got: with the first `call` that needs it, which then waits for it, or at `ingress`, before a request is
   * handled. Clients over `node:http`, `node:http2` and gRPC cannot wait: prepare at `ingress`, or with `relay.prepare`. Default `call`.
   */
  readonly prepare?: 'call' | 'ingress'
  /** `forward` sends the caller's own token where the other one cannot be had. Default `withhold`. */
  readonly onFailure?: 'withhold' | 'forward'
}

/** An authorization server whose access tokens are accepted (RFC 9068 §4). */
export interface IssuerOptions {
  /** The `iss` of its tokens, compared to the letter. Also where discovery starts unless `jwksUri` or `jwks` is given. */
  readonly issuer: string
  /**
   * What this service is called in the `aud` of its tokens: one name, or several of which one must be there.
   * `null` accepts tokens that were issued for any other service too; do not use it without another reason to trust them.
   */
  readonly audience: string | readonly string[] | null
  /** Where the keys are published: https, or http on the loopback interface. Default: discovery (RFC 8414, OpenID Connect). */
  readonly jwksUri?: string
  /** The public keys themselves (RFC 7517 §5), for issuers that publish none. Excludes `jwksUri`. */
  readonly jwks?: { readonly keys: readonly object[] }
  /** Accepted `alg` values (RFC 7518 §3.1). Asymmetric ones only; default RS256, PS256, ES256, EdDSA. */
  readonly algorithms?: readonly string[]
  /** Accepted `typ` (RFC 9068 §4). Default `at+jwt`; `null` also accepts `JWT` and none, and with them ID tokens. */
  readonly typ?: string | null
  /** Claims that must be present. Default `exp`, `iat`, `sub`. Without `exp` in it, tokens that never expire are accepted. */
  readonly requiredClaims?: readonly string[]
  /** Accepted difference between the clocks, in seconds. 0 to 300; default 5. */
  readonly clockToleranceSeconds?: number
  /** Longest accepted time since `iat`, in seconds. Positive; default: not limited. */
  readonly maxTokenAgeSeconds?: number
  /** Longest accepted time from `iat` to `exp`, in seconds. Positive; default: not limited. */
  readonly maxLifetimeSeconds?: number
  /** Scopes that every token must have; without them the answer is 403 (RFC 6750 §3.1). Default: none. */
  readonly requiredScopes?: readonly string[]
  /** The claims that make up `credential.scopes`, as lists or separated by spaces. Default `scope`, `scp`, `roles`. */
  readonly scopeClaims?: readonly string[]
  /** Rules of the application about the claims, asked in their order. Default: none. */
  readonly claimRules?: readonly ClaimRule[]
  /** Longest accepted token, in bytes. 256 to 65536; default 8192. */
  readonly maxTokenBytes?: number
  /** How keys are fetched and kept. */
  readonly keySet?: KeySetOptions
  /**
   * How the issuer is asked about opaque tokens. Default: they are refused. One issuer can have this; what a JWT has to
   * say beside its signature (`audience`, `requiredClaims`, …), the answer has to say too.
   */
  readonly introspection?: IntrospectionOptions
  /** This service as a client of the issuer. Default: it is none. */
  readonly exchange?: ExchangeOptions
}

/** A place to which callers' tokens may go. */
export interface DestinationOptions {
  /**
   * `scheme://host[:port]` (`https`, `http`, `grpcs`, `grpc`), or `system:name` (`kafka`, `rabbitmq`, `bullmq`, `nats`,
   * `aws_sqs`, `aws_sns`, `mqtt`). One `*` may stand for one whole leading host label, or end a queue name.
   */
  readonly to: string
  /** Accepts `http` or `grpc` on other hosts than the loopback interface: tokens can be read on the way. Default false. */
  readonly allowCleartext?: boolean
  /**
   * Messaging only, and never `false` for a `worker:`. `true` seals the token with the first key of `sealing.keys`, and withholds it where there is none; the
   * `kid` of another key seals with that one. `false` lets the token lie in the broker in clear text, readable by whoever
   * reads the queue, and accepts it from there. Default true.
   */
  readonly seal?: boolean | string
  /**
   * What happens to work that goes on after the request which its caller came with has ended, that is after `close` of
   * its response, stream or upgraded socket: `withhold` sends no token, `allow` sends it until it expires. A client that
   * closes its side ends the request, too, unless the server allows it (`httpAllowHalfOpen`). Default `withhold`.
   */
  readonly detached?: 'withhold' | 'allow'
  /**
   * Largest header section that the destination reads, in bytes; where the token would make it larger, it is withheld,
   * rather than answered 431. Fields that are set after the request was made are not counted. 256 to 1048576; default
   * 16384, which is what Node.js reads.
   */
  readonly maxHeaderBytes?: number
  /** Another token in place of the caller's own. Needs `exchange` of an issuer. Default: the caller's own is forwarded. */
  readonly exchange?: DestinationExchangeOptions
  /** Messaging only: how messages that come from there are worked on. */
  readonly consume?: DestinationConsumeOptions
}

/** What becomes of messages whose token is not good any more, or that have none. */
export interface DestinationConsumeOptions {
  /**
   * A token that was good when it was sealed, and has expired or was revoked meanwhile: `reject` does not work on the
   * message; `exchange` gets a fresh token for the same subject, unless it was revoked; `workload` works on it as this
   * service itself. Both need `exchange` of the issuer, and a secret among `sealing.keys`: whoever has a public key could
   * seal an old token. Default `reject`.
   */
  readonly onExpired?: 'reject' | 'exchange' | 'workload'
  /** A message without a token: `reject` does not work on it, `nobody` does so without a caller. Default `reject`. */
  readonly onMissing?: 'reject' | 'nobody'
}

/** How requests are sent on. */
export interface EgressOptions {
  /**
   * `enforce` sends tokens to the named destinations. `report` decides as ever, tells it in events and metrics, and sends
   * none: for finding out which destinations to name. Default `enforce`.
   */
  readonly mode?: EgressMode
  /**
   * For development: `warn` tells OpenTelemetry's diagnostic logger, once for each place in the application, of calls to
   * named destinations that no caller makes: as nobody, with a token that is not verified, after the request of their
   * caller, or for several callers at once. It looks at the stack of every call, and replaces `fetch`, `setTimeout`,
   * `setInterval` and `setImmediate` of the global object. Default `off`.
   */
  readonly detector?: DetectorMode
}

/** How requests are let in. */
export interface IngressOptions {
  /**
   * `require` answers 401 to requests without a valid token, `optional` only to those with a bad one, `off` lets all
   * pass unverified (and then nothing is forwarded). Default `require`.
   */
  readonly mode?: IngressMode
  /**
   * Paths that are open to all, such as `/health`; `/assets/*` opens everything below, `/assets` and `/assets/` not.
   * Compared with the path as sent: a spelling that would have to be decoded or cleaned first is not public. No
   * credential is set there.
   */
  readonly publicPaths?: readonly string[]
  /**
   * URL of this service's protected resource metadata, named in every `WWW-Authenticate` as `resource_metadata`
   * (RFC 9728 §5.1): https, or http on the loopback interface. Default: where `protectedResource` is served, if it is.
   */
  readonly resourceMetadata?: string
  /** Has the gate serve the protected resource metadata of this service (RFC 9728), in every mode. Default: not served. */
  readonly protectedResource?: ProtectedResourceOptions
  /**
   * Lets CORS preflight requests pass without a token and without a credential: `OPTIONS` with `Origin` and
   * `Access-Control-Request-Method`, without a body or method override, which browsers send by themselves. It does not
   * answer them: the application's code for `OPTIONS` runs. Default false: they are answered 401.
   */
  readonly allowPreflight?: boolean
}

/** What this service says about itself at `/.well-known/oauth-protected-resource` (RFC 9728 §2). */
export interface ProtectedResourceOptions {
  /**
   * The resource identifier: this service's URL as clients know it, without query or fragment. https, or http on the
   * loopback interface. Its path is the end of the path of the metadata (§3.1).
   */
  readonly resource: string
  /** Scopes that clients may ask for. Default: not said. */
  readonly scopesSupported?: readonly string[]
}

/** How tokens are taken back before they expire. */
export interface RevocationOptions {
  /**
   * Where taken-back tokens are kept. Default: in the memory of this process, for this process. Whoever makes a list
   * closes it; `relay.shutdown()` does not.
   */
  readonly list?: RevocationList
  /**
   * What happens while the list cannot be trusted: `reject` answers 503 and forwards nothing, `accept` lets pass what is
   * not known to be revoked. Default `reject`.
   */
  readonly onUnavailable?: OnUnavailable
}

/** What is told about tokens. */
export interface TelemetryOptions {
  /**
   * How those who act for a token's subject (`sub` of `act`, RFC 8693 §4.1) stand in `auth.token.actors`: as keyed
   * hashes, or as `plain` text, where they are names of services and never of people. Default `hash`.
   */
  readonly actors?: 'hash' | 'plain'
}

/** Who is told every decision about a token, sampled or not. */
export interface AuditOptions {
  /**
   * The path of a file that every decision is appended to, as a line of JSON that is bound to the one before it by a hash.
   * One file per process, which is locked. Default: none.
   */
  readonly file?: string
  /**
   * Binds the lines, so that nobody without it can write others: 32 to 4096 characters. Needs `file`. Default: none, and
   * whoever can write the file can write another whole trail.
   */
  readonly key?: string
  /** The path of a file that holds nothing but such a key. Excludes `key`. */
  readonly keyFile?: string
  /** A file that has become larger is put aside, and a new one goes on from it, in bytes. 4096 to 268435456; default 67108864. */
  readonly maxFileBytes?: number
  /**
   * What happens while the file cannot be written. `block`: nobody is let in before that is recorded, and once the file is
   * known to fail no token leaves. `continue`: all goes on, and is told as an error and by `auth.audit.failures`. Required
   * where there is a `file`.
   */
  readonly onFailure?: 'block' | 'continue'
  /** Whether the subject of a token is told, as a keyed hash (`fingerprintKey`), or not at all. Default `hash`. */
  readonly subjects?: 'hash' | 'omit'
  /** A `Logger` of `@opentelemetry/api-logs` that gets every decision as a log record. Default: none. */
  readonly logger?: AuditLogger
}

/** A key that tokens in messages are sealed with, or opened: exactly one of `secret`, `secretFile`, `jwk`, `jwkFile`. */
export interface SealingKeyOptions {
  /** The name of the key in messages: up to 64 letters, digits and `. _ ~ -`. Never two keys under one name. */
  readonly kid: string
  /**
   * 32 random bytes in base64url, the same for producers and consumers (`A256KW`): a token that opens was sealed by one of
   * them.
   */
  readonly secret?: string
  /** The path of a file that holds such a secret. */
  readonly secretFile?: string
  /**
   * A P-256 or X25519 key (RFC 7517, RFC 8037) for `ECDH-ES+A256KW`. With its public part one can seal, and only with
   * `d` open. Whoever has the public part can seal, so that it does not say who did.
   */
  readonly jwk?: object
  /** The path of a file that holds such a key as JSON. */
  readonly jwkFile?: string
}

/** How tokens are sealed into messages, so that they can be read in no broker. */
export interface SealingOptions {
  /**
   * The first one seals where a rule does not name another; all of them open. To rotate, add the new key at the end
   * everywhere, then move it to the front, then remove the old one after `maxAgeSeconds`. Default: none.
   */
  readonly keys?: readonly SealingKeyOptions[]
  /** What this service is called in messages. Default: `OTEL_SERVICE_NAME`, else the first audience of the first issuer. */
  readonly producer?: string
  /**
   * How long a sealed token can be opened, in seconds; of producer and consumer the shorter one counts. What has expired
   * by then is refused as any other token, unless `consume.onExpired` says otherwise. More than 0; default 3600.
   */
  readonly maxAgeSeconds?: number
  /** Tokens are padded to a multiple of this, in bytes, so that their length tells less. 1 to 4096; default 256. */
  readonly paddingBytes?: number
  /**
   * How often one message may be opened. More than once for brokers that deliver a message again after a failure.
   * 1 to 1000; default 1.
   */
  readonly maxOpenings?: number
  /** Counts openings. Default: in the memory of this thread, for its last 100000 messages; hand-overs for all threads. */
  readonly replayWindow?: ReplayWindow
}

/** How verified tokens are remembered. */
export interface CacheOptions {
  /** Most tokens that are remembered, fewer where they are large. 0 to 10000000; 0 remembers none. Default 10000. */
  readonly maxEntries?: number
}

/** See `resolveIssuer` of {@link TokenRelayOptions}. */
export type ResolveIssuer = (issuer: string) => Promise<IssuerOptions | undefined>

/** Options of {@link createTokenRelay}. */
export interface TokenRelayOptions {
  /** Whose tokens are accepted; each `issuer` once. At least one, or none where there is `resolveIssuer`. */
  readonly issuers: readonly IssuerOptions[]
  /**
   * Names further issuers, for services with many tenants: called with the `iss` of a token that is not verified yet,
   * never for one of `issuers`. Resolves with the options of exactly that issuer, or with `undefined` where it is not
   * accepted. Answers are kept for 10 minutes, refusals for 30 seconds, both for 1000 issuers at most; while it rejects,
   * or takes more than 5 seconds, known issuers stay and tokens of others are answered 503. `introspection` cannot be
   * set here.
   */
  readonly resolveIssuer?: ResolveIssuer
  /** Where tokens may go. Default: nowhere. */
  readonly destinations?: readonly DestinationOptions[]
  /** How requests are let in. */
  readonly ingress?: IngressOptions
  /** How requests are sent on. */
  readonly egress?: EgressOptions
  /** How tokens are sealed into messages. */
  readonly sealing?: SealingOptions
  /** How tokens are taken back before they expire. */
  readonly revocation?: RevocationOptions
  /** How verified tokens are remembered. */
  readonly cache?: CacheOptions
  /** Who is told every decision about a token. */
  readonly audit?: AuditOptions
  /** What is told about tokens. */
  readonly telemetry?: TelemetryOptions
  /**
   * Key of the fingerprints in events, at least 16 characters, the same in all services that share traces. Default: the
   * issuer's name, which makes fingerprints comparable everywhere but lets whoever holds a token recompute its own.
   */
  readonly fingerprintKey?: string
}

/** Options after validation, with every default filled in. */
export interface Settings {
  readonly issuers: readonly IssuerSettings[]
  readonly resolveIssuer: IssuerResolver | undefined
  readonly rules: readonly Rule[]
  /** This service as a client of issuers, by their names. */
  readonly exchanges: ReadonlyMap<string, ClientSettings>
  readonly ingress: {
    readonly mode: IngressMode
    readonly publicPaths: readonly string[]
    readonly resourceMetadata: string | undefined
    readonly protectedResource:
      | { readonly resource: string; readonly scopesSupported: readonly string[] | undefined }
      | undefined
    readonly allowPreflight: boolean
  }
  readonly egress: { readonly mode: EgressMode; readonly detector: DetectorMode }
  readonly sealing: {
    readonly keys: readonly SealingKey[]
    readonly producer: string | undefined
    readonly maxAgeSeconds: number
    readonly paddingBytes: number
    readonly maxOpenings: number
    readonly replayWindow: ReplayWindow | undefined
  }
  readonly revocation: { readonly list: RevocationList | undefined; readonly onUnavailable: OnUnavailable }
  readonly cache: { readonly maxEntries: number }
  readonly audit: AuditSettings
  readonly telemetry: { readonly actors: 'hash' | 'plain' }
  readonly fingerprintKey: string | undefined
}

/**
 * Checks `options` and fills in the defaults.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION` that names the first wrong option by its path and never shows its value.
 */
export function parseOptions(options: unknown): Settings {
  const { issuers, destinations, ingress, egress, sealing, revocation, cache, audit, telemetry, ...rest } = checked(
    optionsSchema,
    options,
  )
  const resolve = own(rest, 'resolveIssuer') as ResolveIssuer | undefined
  return {
    issuers: issuers.map(settingsOf),
    resolveIssuer: resolve === undefined ? undefined : checkedResolver(resolve),
    rules: destinations,
    exchanges: exchangesOf(issuers),
    ingress: {
      ...ingress,
      resourceMetadata: own(ingress, 'resourceMetadata') as string | undefined,
      protectedResource: protectedResourceOf(own(ingress, 'protectedResource')),
    },
    egress,
    sealing: {
      ...sealing,
      producer: own(sealing, 'producer') as string | undefined,
      replayWindow: own(sealing, 'replayWindow') as ReplayWindow | undefined,
    },
    revocation: { ...revocation, list: own(revocation, 'list') as RevocationList | undefined },
    cache,
    audit,
    telemetry,
    fingerprintKey: own(rest, 'fingerprintKey') as Settings['fingerprintKey'],
  }
}

function protectedResourceOf(described: unknown): Settings['ingress']['protectedResource'] {
  if (described === undefined) return undefined
  const { resource, ...optional } = described as ProtectedResourceOptions
  return { resource, scopesSupported: own(optional, 'scopesSupported') as readonly string[] | undefined }
}

/**
 * Checks the options of a token source.
 *
 * @throws TypeError with code `ERR_RELAY_OPTION`, as {@link parseOptions} does.
 */
export function parseTokenSource(options: unknown): TokenSourceSettings {
  return checked(tokenSourceSchema, options)
}

/** What was left out is there as `undefined`, so that nobody reads it from a polluted `Object.prototype`. */
function settingsOf({ exchange: _, ...issuer }: z.output<typeof issuerSchema>): IssuerSettings {
  const optional = (name: keyof IssuerSettings) => own(issuer, name)
  return {
    ...issuer,
    jwks: optional('jwks') as IssuerSettings['jwks'],
    jwksUri: optional('jwksUri') as IssuerSettings['jwksUri'],
    maxTokenAgeSeconds: optional('maxTokenAgeSeconds') as IssuerSettings['maxTokenAgeSeconds'],
    maxLifetimeSeconds: optional('maxLifetimeSeconds') as IssuerSettings['maxLifetimeSeconds'],
    introspection: optional('introspection') as IssuerSettings['introspection'],
  }
}

function exchangesOf(issuers: readonly z.output<typeof issuerSchema>[]): Settings['exchanges'] {
  return new Map(
    issuers.flatMap((issuer): [string, ClientSettings][] => {
      const settings = own(issuer, 'exchange') as ClientSettings | undefined
      return settings === undefined ? [] : [[issuer.issuer, settings]]
    }),
  )
}

function checkedResolver(resolve: ResolveIssuer): IssuerResolver {
  return async (name) => {
    const options = await resolve(name)
    if (options === undefined || options === null) return undefined
    const settings = settingsOf(checked(issuerSchema, options))
    if (settings.issuer !== name) throw new OptionError('issuer', 'is another one than was asked for')
    if (Object.hasOwn(options, 'exchange')) throw new OptionError('exchange', 'cannot be resolved')
    if (settings.introspection !== undefined) throw new OptionError('introspection', 'cannot be resolved')
    return settings
  }
}

/** A list, a window, a cache and a logger are objects with a life of their own. */
function checked<T extends z.ZodType>(schema: T, options: unknown): z.output<T> {
  return checkOptions(schema, options, ['list', 'replayWindow', 'sharedCache', 'logger'])
}
