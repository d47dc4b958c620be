/** What a test issuer is asked for: its options, and those of its tokens. */

import type { ExchangeOptions } from '../../config/exchange.ts'
import type { IntrospectionOptions } from '../../config/introspection.ts'
import type { IssuerOptions } from '../../config/issuers.ts'
import type { BadTokenKind } from './bad-token.ts'
import type { TestClock } from './clock.ts'
import type { FlavourName } from './flavours.ts'
import type { OutageKind } from './outage.ts'
import type { RecordedRequest } from './recorded-request.ts'
import type { JwsPart, TestAlgorithm } from './signing-key.ts'

/** Options of {@link createTestIssuer}. */
export interface TestIssuerOptions {
  /**
   * As whom the issuer speaks: which `iss`, `typ` and claims its tokens have, and where its endpoints are. `plain`
   * follows RFC 9068. The others are described in the guide to issuers: `keycloak`, `auth0`, `entra` (version 2) and
   * `cognito`. Default `plain`.
   */
  readonly flavour?: FlavourName
  /**
   * The algorithm of its first key: `ES256`, `RS256`, `PS256` or `EdDSA`. An RSA key takes about 0.1 s to make. Default
   * `ES256` for `plain`, and `RS256` for the others, which have no other.
   */
  readonly algorithm?: TestAlgorithm
  /**
   * The service that its tokens are for. Default: `user-service`; for `auth0` and `entra` the audience of the guide to
   * issuers. `cognito` puts it before its scopes (`user-service/access`) and has no `aud`.
   */
  readonly audience?: string
  /** The `sub` of tokens that do not say another one. Default `alice`. */
  readonly subject?: string
  /** The scopes of tokens that do not say others. Default: none, and `cognito` the one that its configuration needs. */
  readonly scopes?: readonly string[]
  /**
   * The clients of its endpoints, by their `client_id`, with their secrets. Other clients and other secrets are
   * answered `invalid_client`. Default: each client is accepted that names itself, with any secret, assertion or
   * certificate.
   */
  readonly clients?: Readonly<Record<string, string>>
  /** The port on 127.0.0.1, 0 to 65535. Default 0: any that is free. */
  readonly port?: number
}

/** What a token of a test issuer says. What is left out has its default. */
export interface TestTokenOptions {
  /** `sub`. Default: that of the issuer's options. */
  readonly subject?: string
  /** Where the flavour has its scopes: `scope`, `scp` or `permissions`. Default: those of the issuer's options. */
  readonly scopes?: readonly string[]
  /** Where the flavour has its roles. Default: none. */
  readonly roles?: readonly string[]
  /** `aud`. `cognito` has none unless it is given here. Default: that of the issuer's options. */
  readonly audience?: string | readonly string[]
  /** The client that the token was issued to: `client_id`, or `azp` and `appid`. Default `test-client`. */
  readonly clientId?: string
  /** Time from `iat` to `exp`, in seconds; negative for a token that has expired. Default 1800. */
  readonly expiresIn?: number
  /** Time from `iat` to `nbf`, in seconds. Default: no `nbf`, unless the flavour has one. */
  readonly notBefore?: number
  /** `sid`, the session (OpenID Connect Front-Channel Logout 1.0 §3). Default: none. */
  readonly sessionId?: string
  /** The `sub` of `act`: the service that acts for the subject (RFC 8693 §4.1). Default: none. */
  readonly actor?: string
  /** Claims that are added, or replace those above; `undefined` removes one. Default: none. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** Members of the header that are added or replaced; `undefined` removes one. Default: none. */
  readonly header?: Readonly<Record<string, unknown>>
}

/** Options of `rotateKeys`. */
export interface RotateKeysOptions {
  /** Whether the former keys stay published, so that their tokens stay good. Default true. */
  readonly keepOld?: boolean
  /** The algorithm of the new key. Default: that of the key that signed until now. */
  readonly algorithm?: TestAlgorithm
  /** The name of the new key; some issuers reuse that of the old one. Default: a new name. */
  readonly kid?: string
}

/** The URLs of a test issuer. */
export interface TestIssuerEndpoints {
  /** OpenID Connect Discovery 1.0 §4. */
  readonly openidConfiguration: string
  /** RFC 8414 §3. */
  readonly metadata: string
  /** RFC 7517 §5. */
  readonly jwks: string
  /** RFC 6749 §3.2: client credentials, refresh tokens, token exchange (RFC 8693) and JWT bearer (RFC 7523). */
  readonly token: string
  /** RFC 7662. */
  readonly introspection: string
  /** RFC 7009. */
  readonly revocation: string
}

/** An answer that a test gives in place of the issuer. */
export interface IssuerAnswer {
  /** HTTP status. Default 200. */
  readonly status?: number
  /** Fields of the answer. Default: `content-type: application/json`. */
  readonly headers?: Readonly<Record<string, string>>
  /** A text or bytes are sent as they are, anything else as JSON. Default: empty. */
  readonly body?: unknown
}

/** Answers a request in place of the issuer; `undefined` leaves it to the issuer. */
export type IssuerResponder = (request: RecordedRequest) => IssuerAnswer | undefined | Promise<IssuerAnswer | undefined>

/** An authorization server for tests: in this process, on 127.0.0.1, over real HTTP. */
export interface TestIssuer extends AsyncDisposable {
  /** Its identifier: the `iss` of its tokens, and where discovery starts. */
  readonly issuer: string
  /** The service that its tokens are for. */
  readonly audience: string
  readonly flavour: FlavourName
  /** The URL of its keys. */
  readonly jwksUri: string
  readonly endpoints: TestIssuerEndpoints
  /** Its public keys as published now, newest first. */
  readonly jwks: { readonly keys: readonly Readonly<Record<string, unknown>>[] }
  /**
   * An entry for `issuers` of a relay that accepts its tokens: what the guide to issuers says for the flavour, and a
   * `cooldownMillis` of 0, so that a relay that has had keys notices new ones and the end of an outage at once. Without
   * `exchange` and `introspection`.
   */
  readonly configuration: IssuerOptions
  /** Options for `issuers[].exchange`: this service as a client of the issuer. */
  readonly exchange: ExchangeOptions
  /** Options for `issuers[].introspection`: how opaque tokens are asked about. */
  readonly introspection: IntrospectionOptions
  /** The time that the issuer believes it is. */
  readonly clock: TestClock
  /** Every request that reached it, in order. They show no token and no secret when they are printed. */
  readonly requests: readonly RecordedRequest[]
  /** Returns a good access token, which is different each time. Does not wait, and makes no request. */
  token(options?: TestTokenOptions): string
  /**
   * Returns a token that the relay refuses, for the reason that `kind` names; see {@link BAD_TOKENS}. Each differs from
   * a good one in this one thing only, and `options` are those of the good one.
   */
  badToken(kind: BadTokenKind, options?: TestTokenOptions): string
  /** Returns an access token that is no JWT. What it stands for is known to the introspection endpoint only. */
  opaqueToken(options?: TestTokenOptions): string
  /** Returns a refresh token, which the token endpoint takes once (RFC 6749 §6, RFC 9700 §4.14.2). */
  refreshToken(options?: TestTokenOptions): string
  /** Signs `claims` and `header` exactly as they are given, with the current key. Nothing is added. */
  sign(claims: JwsPart, header: JwsPart): string
  /**
   * Revokes a token, as a request to the revocation endpoint does: introspection reports it as not active, and it
   * cannot be exchanged any more. A relay that verifies JWTs by their keys does not learn of it.
   */
  revoke(token: string): void
  /** Makes a new key, which signs from now on. Relays find it by its name, at most `cooldownMillis` later. */
  rotateKeys(options?: RotateKeysOptions): void
  /** Removes all keys but the current one from the published ones, some time after `rotateKeys()`. */
  removeOldKeys(): void
  /**
   * Answers the requests for `endpoint` with `responder` from now on, before an outage and before the issuer itself;
   * `undefined` ends that.
   */
  respond(endpoint: keyof TestIssuerEndpoints, responder: IssuerResponder | undefined): void
  /**
   * From now on fails as `how` says, on its open connections too; see {@link OUTAGES}. Tokens can still be made.
   * Default `refused`. After `refused`, wait for another kind: the port is opened again.
   */
  goDown(how?: OutageKind): Promise<void>
  /** Ends an outage. The port is the same as before. */
  comeBack(): Promise<void>
  /** Stops it, and closes its connections. The same as `await using`. */
  close(): Promise<void>
}
