/** An authorization server for tests: its keys, its tokens, its documents and its failures. */

import type { ExchangeOptions } from '../../config/exchange.ts'
import type { IntrospectionOptions } from '../../config/introspection.ts'
import type { IssuerOptions } from '../../config/issuers.ts'
import { refuseProduction } from '../production.ts'
import type { BadTokenKind } from './bad-token.ts'
import { BAD_TOKENS } from './bad-token.ts'
import { createTestClock } from './clock.ts'
import type { Flavour } from './flavours/flavour.ts'
import type { FlavourName } from './flavours.ts'
import { FLAVOURS } from './flavours.ts'
import { createIssuedTokens } from './issued-tokens.ts'
import type { KeyRing } from './key-ring.ts'
import { createKeyRing } from './key-ring.ts'
import type { LoopbackServer } from './loopback-server.ts'
import { startLoopbackServer } from './loopback-server.ts'
import { makeBadToken } from './make-bad-token.ts'
import { endpointsOf, metadataOf } from './metadata.ts'
import type {
  IssuerAnswer,
  IssuerResponder,
  RotateKeysOptions,
  TestIssuer,
  TestIssuerEndpoints,
  TestIssuerOptions,
  TestTokenOptions,
} from './options.ts'
import type { OutageKind } from './outage.ts'
import { OUTAGES } from './outage.ts'
import { answerIntrospection, answerRevocation, answerTokenRequest } from './protocol.ts'
import type { RecordedRequest } from './recorded-request.ts'
import type { EndpointName } from './request-handler.ts'
import { handleRequest } from './request-handler.ts'
import type { JwsPart, TestAlgorithm } from './signing-key.ts'
import { signJws } from './signing-key.ts'
import type { TokenDefaults } from './token-maker.ts'
import { accessClaimsOf, goodTokenOf, headerOf } from './token-maker.ts'

/**
 * Starts an authorization server in this process: real HTTP on 127.0.0.1, with metadata, keys, tokens, token exchange,
 * introspection and revocation. Its tokens are made without waiting, every wrong token has a name, and it fails as a
 * test wants it to.
 *
 * For tests only: it gives a token to everything that asks. It logs no user in, and has no authorization endpoint, no
 * PKCE and no DPoP. End it with `await using` or `close()`.
 *
 * @throws Error of `node:net` if `port` is not free.
 * @throws TypeError if `flavour` or `algorithm` does not exist.
 */
export async function createTestIssuer(options: TestIssuerOptions = {}): Promise<TestIssuer> {
  refuseProduction()
  checkName('flavour', options.flavour, FLAVOURS)
  checkName('algorithm', options.algorithm, ALGORITHMS)
  const keys = createKeyRing(options.algorithm ?? FLAVOURS[options.flavour ?? 'plain'].algorithm)
  let issuer: LoopbackIssuer | undefined
  const server = await startLoopbackServer((request, response) => {
    if (issuer !== undefined) void handleRequest(issuer, request, response)
  }, options.port)
  issuer = new LoopbackIssuer(server, keys, options)
  return issuer
}

const ALGORITHMS = { ES256: 1, RS256: 1, PS256: 1, EdDSA: 1 } as const satisfies Record<TestAlgorithm, 1>

/** JavaScript has no types, and an outage that does not exist would fail nothing. */
function checkName(option: string, name: string | undefined, names: object): void {
  if (name === undefined || Object.hasOwn(names, name)) return
  throw new TypeError(`${option}: expected ${Object.keys(names).join(', ')}`)
}

/** As which client the ready-made options authenticate, if the test names no clients. */
const CLIENT = { clientId: 'user-service', clientSecret: 'test-secret' }

class LoopbackIssuer implements TestIssuer {
  readonly flavour: FlavourName
  readonly issuer: string
  readonly audience: string
  readonly endpoints: TestIssuerEndpoints
  readonly configuration: IssuerOptions
  readonly clock = createTestClock()
  readonly requests: RecordedRequest[] = []
  readonly responders = new Map<EndpointName, IssuerResponder>()
  outage: OutageKind | undefined
  readonly #server: LoopbackServer
  readonly #keys: KeyRing
  readonly #style: Flavour
  readonly #defaults: TokenDefaults
  readonly #tokens = createIssuedTokens(() => this.#keys.published)
  readonly #clients: TestIssuerOptions['clients']
  /** What this service proves itself with. Behind getters, so that no output of the whole object has it. */
  readonly #client: typeof CLIENT
  readonly #paths: ReadonlyMap<string, EndpointName>

  constructor(server: LoopbackServer, keys: KeyRing, options: TestIssuerOptions) {
    const { flavour = 'plain', subject = 'alice', clients } = options
    const style = FLAVOURS[flavour]
    const { audience = style.audience } = options
    const { scopes = style.scopes(audience) } = options
    const origin = `http://127.0.0.1:${server.port}`
    this.#server = server
    this.#keys = keys
    this.#style = style
    this.#clients = clients
    this.flavour = flavour
    this.audience = audience
    this.issuer = `${origin}${style.paths.issuer}`
    this.#defaults = { issuer: this.issuer, flavour: style, audience, subject, scopes }
    this.endpoints = endpointsOf(origin, style.paths)
    this.#paths = new Map(Object.entries(this.endpoints).map(([name, url]) => [new URL(url).pathname, name])) as never
    const [clientId, clientSecret] = Object.entries(clients ?? {})[0] ?? [CLIENT.clientId, CLIENT.clientSecret]
    this.#client = { clientId, clientSecret }
    // A test that rotates keys twice, or that ends an outage, does not wait half a minute.
    this.configuration = { issuer: this.issuer, ...style.configuration(audience), keySet: { cooldownMillis: 0 } }
  }

  get jwksUri(): string {
    return this.endpoints.jwks
  }

  get exchange(): ExchangeOptions {
    return this.#client
  }

  get introspection(): IntrospectionOptions {
    return { endpoint: this.endpoints.introspection, ...this.#client }
  }

  get jwks(): TestIssuer['jwks'] {
    return { keys: this.#keys.published.map(({ jwk }) => jwk) }
  }

  token(options: TestTokenOptions = {}): string {
    const key = this.#keys.current
    return signJws(key, headerOf(this.#style, key, options), this.#accessClaims(options))
  }

  badToken(kind: BadTokenKind, options: TestTokenOptions = {}): string {
    checkName('kind', kind, BAD_TOKENS)
    return makeBadToken(
      kind,
      goodTokenOf(this.#defaults, options, {
        key: this.#keys.current,
        nowMillis: this.clock.now(),
        revokedToken: () => this.#revokedToken(options),
      }),
    )
  }

  opaqueToken(options: TestTokenOptions = {}): string {
    return this.#tokens.addOpaque(this.#accessClaims(options))
  }

  refreshToken(options: TestTokenOptions = {}): string {
    return this.#tokens.addRefresh(this.#accessClaims(options))
  }

  sign(claims: JwsPart, header: JwsPart): string {
    return signJws(this.#keys.current, header, claims)
  }

  revoke(token: string): void {
    this.#tokens.revoke(token)
  }

  rotateKeys(options: RotateKeysOptions = {}): void {
    this.#keys.rotate(options)
  }

  removeOldKeys(): void {
    this.#keys.removeOld()
  }

  respond(endpoint: EndpointName, responder: IssuerResponder | undefined): void {
    if (responder === undefined) this.responders.delete(endpoint)
    else this.responders.set(endpoint, responder)
  }

  async goDown(how: OutageKind = 'refused'): Promise<void> {
    checkName('how', how, OUTAGES)
    this.outage = how
    if (how === 'refused') this.#server.stop()
    else await this.#server.restart()
  }

  async comeBack(): Promise<void> {
    this.outage = undefined
    await this.#server.restart()
  }

  close(): Promise<void> {
    return this.#server.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  endpointAt(path: string): EndpointName | undefined {
    return this.#paths.get(path)
  }

  answer(endpoint: EndpointName, request: RecordedRequest): IssuerAnswer {
    switch (endpoint) {
      case 'openidConfiguration':
      case 'metadata':
        return { body: this.#metadata() }
      case 'jwks':
        return { body: this.outage === 'empty-keys' ? { keys: [] } : this.jwks }
      case 'token':
        return answerTokenRequest(this.#protocol(), request)
      case 'introspection':
        return answerIntrospection(this.#protocol(), request)
      case 'revocation':
        return answerRevocation(this.#protocol(), request)
    }
  }

  #accessClaims(options: TestTokenOptions): Readonly<Record<string, unknown>> {
    return accessClaimsOf(this.#defaults, options, this.clock.now())
  }

  #revokedToken(options: TestTokenOptions): string {
    const token = this.opaqueToken(options)
    this.revoke(token)
    return token
  }

  #metadata(): object {
    const issuer = this.outage === 'wrong-issuer' ? 'https://issuer.example' : this.issuer
    const algorithms = [...new Set(this.#keys.published.map(({ algorithm }) => algorithm))]
    return metadataOf(issuer, this.endpoints, algorithms)
  }

  #protocol() {
    return {
      tokens: this.#tokens,
      clients: this.#clients,
      now: () => this.clock.now(),
      token: (options: TestTokenOptions) => this.token(options),
    }
  }
}
