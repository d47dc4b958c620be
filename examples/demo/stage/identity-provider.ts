/** A real authorization server (oidc-provider): logs alice in, issues RFC 9068 access tokens (ES256), exchanges them. */

import { generateKeyPairSync, randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { JSONWebKeySet } from 'jose'
import type { Context } from 'oidc-provider'
import { errors, Provider } from 'oidc-provider'
import { close, listen } from './loopback.ts'
import { ProviderStore } from './provider-store.ts'
import type { ExchangeTarget } from './token-exchange.ts'
import { addActor, addTokenExchange, TOKEN_EXCHANGE } from './token-exchange.ts'

export interface IdentityProvider extends AsyncDisposable {
  readonly issuer: string
}

export interface IdentityProviderOptions {
  /** Called with every token that an exchange issues. */
  readonly onExchanged: (token: string) => void
}

/** The only user there is. */
export const USER = 'alice'
/** The audience of our two services. */
export const OUR_API = 'https://api.demo.example'
/** The audience of other services: their tokens are as genuine as ours. */
export const OTHER_API = 'https://other.demo.example'
/** The client whose tokens are valid for five minutes. */
export const APP = 'app'
/** The client whose tokens are valid for one second. */
export const HASTY_APP = 'hasty-app'
/** What alice lets her apps do. */
export const SCOPE = 'profiles:read invoices:read'
/** The audience of billing-service, which takes no tokens of ours: they have to be exchanged. */
export const BILLING = 'https://billing.demo.example'
export const BILLING_SCOPE = 'invoices:read'
/** The service that may exchange tokens, and its secret. */
export const EXCHANGER = { clientId: 'profile-service', clientSecret: 'profile-service-of-the-demo' }
/** Nothing listens there: the login reads the code off the redirect. */
export const REDIRECT_URI = 'https://app.demo.example/callback'

const LOGIN_PATH = '/login/'
const FIVE_MINUTES = 300

export async function startIdentityProvider({ onExchanged }: IdentityProviderOptions): Promise<IdentityProvider> {
  const server = createServer()
  const issuer = await listen(server)
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = { alg: 'ES256', use: 'sig', kid: 'demo' }
  const provider = new Provider(issuer, configuration({ ...privateKey.export({ format: 'jwk' }), ...key }))
  addTokenExchange(provider, {
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), ...key }] as JSONWebKeySet['keys'] },
    targetOf: (audience) => (audience === BILLING ? api(BILLING, BILLING_SCOPE) : undefined),
    onIssued: onExchanged,
  })
  const handle = provider.callback()

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.startsWith(LOGIN_PATH)) void logIn(provider, request, response)
    else handle(request, response)
  })
  return { issuer, [Symbol.asyncDispose]: () => close(server) }
}

/** Stands for the login page: every visitor is alice. */
async function logIn(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    await provider.interactionFinished(request, response, { login: { accountId: USER } })
  } catch {
    response.writeHead(400).end()
  }
}

// oidc-provider says on the console which of its defaults are not meant for production. None of those is left here.
function configuration(signingKey: object): object {
  return {
    adapter: ProviderStore,
    jwks: { keys: [signingKey] },
    cookies: { keys: [randomUUID()] },
    clients: [...[APP, HASTY_APP].map(app), service()],
    formats: { customizers: { jwt: addActor } },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    findAccount: (_ctx: Context, accountId: string) => ({ accountId, claims: () => ({ sub: accountId }) }),
    interactions: { url: (_ctx: Context, { uid }: { readonly uid: string }) => `${LOGIN_PATH}${uid}` },
    loadExistingGrant: consent,
    renderError(ctx: Context, error: object) {
      ctx.body = error
    },
    ttl: {
      Session: FIVE_MINUTES,
      Interaction: FIVE_MINUTES,
      Grant: FIVE_MINUTES,
      AccessToken: lifetimeOf,
      ClientCredentials: FIVE_MINUTES,
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
    },
  }
}

function app(clientId: string): object {
  return { client_id: clientId, token_endpoint_auth_method: 'none', redirect_uris: [REDIRECT_URI] }
}

function service(): object {
  return {
    client_id: EXCHANGER.clientId,
    client_secret: EXCHANGER.clientSecret,
    grant_types: [TOKEN_EXCHANGE, 'client_credentials'],
    redirect_uris: [],
    response_types: [],
  }
}

/** What a consent page would ask: alice lets every app read her profile. */
async function consent({ oidc }: Context): Promise<object> {
  const { clientId } = oidc.client
  const grant = new oidc.provider.Grant({ clientId, accountId: oidc.session.accountId })
  for (const resource of [OUR_API, OTHER_API]) grant.addResourceScope(resource, SCOPE)
  await grant.save()
  return grant
}

function resourceServer(_ctx: Context, resource: string): object {
  if (resource !== OUR_API && resource !== OTHER_API) throw new errors.InvalidTarget()
  return api(resource, SCOPE)
}

function api(audience: string, scope: string): ExchangeTarget {
  return { scope, audience, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }
}

function lifetimeOf(_ctx: Context, _token: object, { clientId }: { readonly clientId: string }): number {
  return clientId === HASTY_APP ? 1 : FIVE_MINUTES
}
