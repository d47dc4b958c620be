/** oidc-provider with the exchange grant of the demo: clients are services, tokens of users are made without a login. */

import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { JSONWebKeySet } from 'jose'
import type { Client, Context } from 'oidc-provider'
import { errors, Provider } from 'oidc-provider'
import { close, listen } from '../../examples/demo/stage/loopback.ts'
import { ProviderStore } from '../../examples/demo/stage/provider-store.ts'
import type { ExchangeTarget } from '../../examples/demo/stage/token-exchange.ts'
import { addActor, addTokenExchange, TOKEN_EXCHANGE } from '../../examples/demo/stage/token-exchange.ts'

export interface OidcProvider extends AsyncDisposable {
  readonly issuer: string
  /** An access token as a login of `sub` at `clientId` would give it. */
  accessToken(facts: TokenFacts): Promise<string>
  refreshToken(facts: TokenFacts): Promise<string>
  /** An ID token, as the token endpoint gives it for a refresh token. The client's secret is `secret`. */
  idToken(facts: TokenFacts): Promise<string>
}

interface TokenFacts {
  readonly sub: string
  readonly clientId: string
  /** One of the keys of `apis`. */
  readonly audience: string
  readonly scope: string
}

/** `apis` are the scopes that services offer, by their audience; `clients` is what oidc-provider calls client metadata. */
export async function startOidcProvider(
  apis: Readonly<Record<string, string>>,
  clients: readonly object[],
): Promise<OidcProvider> {
  const server = createServer()
  const issuer = await listen(server)
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const members = { alg: 'ES256', use: 'sig', kid: 'test' }
  const provider = new Provider(issuer, {
    adapter: ProviderStore,
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), ...members }] },
    cookies: { keys: [randomUUID()] },
    clients,
    clientDefaults: {
      id_token_signed_response_alg: 'ES256',
      grant_types: [TOKEN_EXCHANGE, 'client_credentials', 'refresh_token'],
      redirect_uris: [],
      response_types: [],
    },
    findAccount: (_ctx: Context, accountId: string) => ({ accountId, claims: () => ({ sub: accountId }) }),
    formats: { customizers: { jwt: addActor } },
    rotateRefreshToken: true,
    interactions: { url: () => '/' },
    renderError: () => undefined,
    ttl: { AccessToken: 300, ClientCredentials: 300, RefreshToken: 300, Grant: 300, Session: 300, Interaction: 300 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // A service that asks for itself, without saying where it will go, gets a token for the first API.
        defaultResource: (_ctx: Context, _client: Client, asked?: string) => asked ?? Object.keys(apis)[0],
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx: Context, audience: string) => apiOf(audience),
      },
    },
  })
  addTokenExchange(provider, {
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), ...members }] as JSONWebKeySet['keys'] },
    targetOf: (audience) => (audience in apis ? apiOf(audience) : undefined),
  })
  server.on('request', provider.callback())

  function apiOf(audience: string): ExchangeTarget {
    const scope = apis[audience]
    if (scope === undefined) throw new errors.InvalidTarget()
    return { scope, audience, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }
  }

  async function factsOf({ sub, clientId, audience, scope }: TokenFacts, oidcScope = ''): Promise<object> {
    const client = await provider.Client.find(clientId)
    const grant = new provider.Grant({ accountId: sub, clientId })
    grant.addResourceScope(audience, scope)
    if (oidcScope !== '') grant.addOIDCScope(oidcScope)
    return { accountId: sub, client, scope, grantId: await grant.save(), gty: 'authorization_code' }
  }

  return {
    issuer,
    async accessToken(facts) {
      const token = new provider.AccessToken(await factsOf(facts))
      token.resourceServer = new provider.ResourceServer(facts.audience, apiOf(facts.audience))
      return token.save()
    },
    async refreshToken(facts) {
      return new provider.RefreshToken({ ...(await factsOf(facts)), resource: facts.audience }).save()
    },
    async idToken(facts) {
      // A login has a nonce. Without it the token says by its `aud` only that it is no access token.
      const login = { scope: `openid ${facts.scope}`, nonce: 'n-0S6_WzA2MjX9kpQ', resource: facts.audience }
      const refreshed = new provider.RefreshToken({ ...(await factsOf(facts, 'openid')), ...login })
      const response = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa(`${facts.clientId}:secret`)}` },
        body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: await refreshed.save() }),
      })
      return ((await response.json()) as { id_token: string }).id_token
    },
    [Symbol.asyncDispose]: () => close(server),
  }
}
