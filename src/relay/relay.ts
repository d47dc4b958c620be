/** What a relay offers to the application. */

import type { TextMapPropagator } from '@opentelemetry/api'
import type { TokenSourceOptions } from '../config/token-source.ts'
import type { Explanation } from '../destination/explain.ts'
import type { ObservedDestination } from '../destination/observed.ts'
import type { GetTokenOptions, TokenSource } from '../exchange/token-source.ts'
import type { Admitter } from '../ingress/admitter.ts'
import type { RelayInstrumentation } from '../ingress/http/instrumentation.ts'
import type { RevocationEntry } from '../revocation/list.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'

/** The relay of this thread. */
export interface TokenRelay extends Admitter {
  /**
   * Puts incoming tokens into the context, for a `CompositePropagator` beside the W3C ones. Its `inject` writes only to
   * carriers whose destination is known and is not HTTP; HTTP requests and calls of `@grpc/grpc-js` are decided on the
   * wire, with or without it.
   */
  readonly propagator: TextMapPropagator
  /**
   * For the `instrumentations` of an SDK or `registerInstrumentations`. Reading this property puts the gate in front of
   * **every** HTTP server of this thread: whether the SDK starts, is disabled or fails does not matter.
   * With `ingress.mode: 'require'`, `'optional'` or `'report'` in the options, the gate stands as soon as the relay is
   * created. Programs that only use adapters write `ingress.mode: 'off'`, or never read this property.
   */
  readonly instrumentation: RelayInstrumentation
  /**
   * Checks a token as the gate does: `requiredScopes` of its issuer included, no other authorization.
   *
   * @throws TokenRejectedError if the token is bad, InsufficientScopeError if it is good and not enough, UndecidedError
   * if that cannot be decided.
   */
  verify(token: string): Promise<VerifiedCredential>
  /**
   * Revokes one verified token, by its `jti`, or what the entry says. From now on this process refuses it, incoming and
   * outgoing; other processes that share the list do so when the promise is fulfilled, or at most a second later.
   *
   * @throws TypeError if an entry is not valid, or a credential has no `tokenId`: revoke its session or subject.
   * @throws Error of the list if other processes could not learn of it; this process refuses the token nevertheless.
   */
  revoke(what: VerifiedCredential | RevocationEntry): Promise<void>
  /**
   * Whether tokens can be decided now: the keys of every configured issuer are there, and the revocation list can be
   * trusted. For readiness probes, which also keep the keys fresh if few requests come: keys that are missing or about
   * to be too old are fetched in the background. Issuers with `introspection` and those of `resolveIssuer` do not
   * count. Also `false` if a server has handed out a request that was not decided on: there is no gate, `ingress.mode`
   * is not `off`, and neither an adapter nor `admit`, `checkScopes`, `checkRoles` or `verify` is in use.
   */
  ready(): boolean
  /**
   * Fetches the keys of all configured issuers, so that the first request does not wait for them.
   *
   * @throws UndecidedError if an issuer cannot be reached. The relay tries again when tokens of that issuer come.
   */
  hydrate(): Promise<void>
  /**
   * Says what would happen to the caller's token at `destination`, a URL or a destination as rules name it, and why.
   * Without a caller: to a good token. What only the wire shows (proxies, sockets, redirects, own headers) is not known
   * here. A URL with a user name is explained for clients that make an `Authorization` of it.
   */
  explain(destination: string | URL): Explanation
  /**
   * The destinations of callers' requests while `egress.mode` is `report`, the most frequent first; 1000 at most. Empty
   * while the mode is `enforce`.
   */
  observedDestinations(): readonly ObservedDestination[]
  /**
   * Gets the token that a request of the caller to `destination` will need (`exchange` of its rule), for clients that
   * cannot wait when they send it. Resolves at once if nothing would be sent anyway: there is no caller, no rule names
   * the destination, or `egress.mode` is `report`.
   *
   * @throws ExchangeError if no token can be had, or none that is valid for `validForMillis` (the caller's own token,
   * which cannot be renewed, need not be); TokenRejectedError if the caller's token is not good any more, or its
   * request is over; UndecidedError if that cannot be decided; the reason of `signal` if that is aborted.
   */
  prepare(destination: string | URL, options?: GetTokenOptions): Promise<void>
  /**
   * Gets tokens without a request: for this service itself, or for the subject of a refresh token. For `runAs`. Create
   * one source and keep it: each source gets its own token.
   *
   * @throws TypeError with code `ERR_RELAY_OPTION` if no issuer has `exchange`, or a member is wrong.
   */
  tokenSource(options: TokenSourceOptions): TokenSource
  /**
   * A processor or an exporter of spans or log records that passes everything on to `processor` without tokens: those
   * that this relay has verified or got by an exchange, as long as they are in use, in pieces of 12 characters and
   * more, and what is shaped like a JWT or a JWE; as they are and in the usual encodings. Every member is searched when
   * it is read, which is when it is exported; `[REDACTED]` replaces what was found, a value that refers to itself, and
   * what is deeper than 64 objects or beyond 100,000 values or 4 Mi characters of one span or record. Objects are
   * exported as copies of their enumerable members. Metrics, and what other processors export, are not searched.
   */
  redact<T extends object>(processor: T): T
  /**
   * Ends this relay: it forwards nothing any more, and another relay may be created. The gate, if there is one, stays
   * and is shut unless `ingress.mode` is `report`: every request is answered 503 until the process ends, or another
   * relay takes the gate over.
   */
  shutdown(): Promise<void>
}

/** A relay is active already, in this copy of the package or in another one. A second one would bypass its rules. */
export class RelayActiveError extends Error {
  override readonly name = 'RelayActiveError'
  readonly code = 'ERR_RELAY_ACTIVE'

  constructor() {
    super('a token relay is active in this thread already: shut it down before creating another one')
  }
}
