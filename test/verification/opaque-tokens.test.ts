/** Opaque tokens of a real authorization server (oidc-provider): asked about there, refused once it has taken them back. */

import { createServer } from 'node:http'
import { Provider } from 'oidc-provider'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ProviderStore } from '../../examples/demo/stage/provider-store.ts'
import type { IssuerOptions, TokenRelay } from '../../src/index.ts'
import { close, listen } from '../support/issuer.ts'
import { refusal, verdict, withRelay } from '../support/relay.ts'
import { createSigner } from '../support/signer.ts'

const AUDIENCE = 'https://api.example'
const CLIENT = { client_id: 'app', client_secret: 'app-secret' }
const SERVICE = { client_id: 'user-service', client_secret: 's:e%c r+t/' }
const { privateKey } = createSigner()
const key = { ...privateKey.export({ format: 'jwk' }), kid: 'key', alg: 'ES256', use: 'sig' }

const server = createServer()
let issuer: string
beforeAll(async () => {
  issuer = `http://127.0.0.1:${await listen(server)}`
  const provider = new Provider(issuer, {
    adapter: ProviderStore,
    jwks: { keys: [key] },
    cookies: { keys: ['key'] },
    clients: [CLIENT, SERVICE].map((client) => ({
      ...client,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    ttl: { ClientCredentials: 300 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({ scope: 'read write', audience: AUDIENCE, accessTokenFormat: 'opaque' }),
      },
    },
  })
  server.on('request', provider.callback())
})
afterAll(() => close(server))

async function post(path: string, body: Readonly<Record<string, string>>): Promise<Record<string, unknown>> {
  const response = await fetch(issuer + path, { method: 'POST', body: new URLSearchParams({ ...CLIENT, ...body }) })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return path === '/token' ? ((await response.json()) as Record<string, unknown>) : {}
}

async function opaqueToken(): Promise<string> {
  const answer = await post('/token', { grant_type: 'client_credentials', scope: 'read', resource: AUDIENCE })
  return String(answer['access_token'])
}

async function use(run: (relay: TokenRelay) => Promise<void>, changes: Partial<IssuerOptions> = {}): Promise<void> {
  const introspection = {
    endpoint: `${issuer}/token/introspection`,
    clientId: SERVICE.client_id,
    clientSecret: SERVICE.client_secret,
    cacheMillis: 0,
  }
  // Tokens of a client have no subject.
  const options = { issuer, audience: AUDIENCE, requiredClaims: ['exp'], introspection, ...changes }
  await withRelay({ issuers: [options] }, run)
}

it('is verified as the server says', async () => {
  const token = await opaqueToken()
  expect(token).not.toContain('.')
  await use(async ({ verify }) => {
    expect(await verify(token)).toMatchObject({ issuer, audience: [AUDIENCE], scopes: ['read'], subject: undefined })
  })
})

it('is refused for another audience', async () => {
  const token = await opaqueToken()
  await use(
    async ({ verify }) => {
      await expect(verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_AUDIENCE'))
    },
    { audience: 'another' },
  )
})

it('is refused once it was revoked there (RFC 7009) [C5]', async () => {
  const token = await opaqueToken()
  await use(async ({ verify }) => {
    expect(await verdict(verify(token))).toBe('verified')
    await post('/token/revocation', { token })
    await expect(verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_INACTIVE'))
  })
})

it('cannot be decided if the issuer does not know the service', async () => {
  const token = await opaqueToken()
  const introspection = { endpoint: `${issuer}/token/introspection`, clientId: 'unknown', clientSecret: 'wrong' }
  await use(
    async ({ verify }) => {
      await expect(verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_INTROSPECTION_UNAVAILABLE'))
    },
    { introspection },
  )
})
