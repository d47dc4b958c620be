/** Tokens, keys and sessions of a real Keycloak. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { IssuerOptions, TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { waitFor } from '../support/patience.ts'
import { refusal, verdict } from '../support/relay.ts'
import type { Keycloak, TokenAnswer } from './keycloak.ts'
import { requestToken, startKeycloak } from './keycloak.ts'

const REALM = 'shop'
const CLIENT = { client_id: 'web', client_secret: 'web-secret' }
const MAX_AGE = 3_000

let keycloak: Keycloak
let issuer: string
let relay: TokenRelay | undefined
beforeAll(async () => {
  keycloak = await startKeycloak()
  issuer = `${keycloak.origin}/realms/${REALM}`
  await keycloak.admin('POST', '', { realm: REALM, enabled: true })
  await keycloak.admin('POST', `/${REALM}/clients`, clientWith('web', 'user-service', true))
  await keycloak.admin('POST', `/${REALM}/clients`, clientWith('plain', 'user-service', false))
  await keycloak.admin('POST', `/${REALM}/clients`, clientWith('other', 'profile-service', true))
  await keycloak.admin('POST', `/${REALM}/users`, {
    username: 'alice',
    enabled: true,
    email: 'alice@example.com',
    firstName: 'Alice',
    lastName: 'Example',
    credentials: [{ type: 'password', value: 'alice', temporary: false }],
  })
}, 300_000)
afterAll(() => keycloak?.[Symbol.asyncDispose]())
afterEach(() => relay?.shutdown())

/** A confidential client whose tokens are for `audience`; `rfc9068` makes it call them `at+jwt`. */
function clientWith(name: string, audience: string, rfc9068: boolean): object {
  return {
    clientId: name,
    secret: `${name}-secret`,
    directAccessGrantsEnabled: true,
    serviceAccountsEnabled: true,
    attributes: { 'access.token.header.type.rfc9068': String(rfc9068) },
    protocolMappers: [
      {
        name: 'audience',
        protocol: 'openid-connect',
        protocolMapper: 'oidc-audience-mapper',
        config: { 'included.custom.audience': audience, 'access.token.claim': 'true' },
      },
    ],
  }
}

function login(client = 'web'): Promise<TokenAnswer> {
  return requestToken(keycloak.origin, REALM, {
    grant_type: 'password',
    client_id: client,
    client_secret: `${client}-secret`,
    username: 'alice',
    password: 'alice',
    scope: 'openid profile',
  })
}

function start(changes: Partial<IssuerOptions> = {}): TokenRelay {
  const keySet = { maxAgeMillis: MAX_AGE, cooldownMillis: 200 }
  relay = createTokenRelay({ issuers: [{ issuer, audience: 'user-service', keySet, ...changes }] })
  return relay
}

describe('discovery', () => {
  it('finds the keys of the realm by the name of the issuer alone', async () => {
    const { verify, hydrate, ready } = start()
    await hydrate()
    expect(ready()).toBe(true)
    const credential = await verify((await login()).access_token)
    expect(credential).toMatchObject({ issuer, audience: expect.arrayContaining(['user-service']) as string[] })
    expect(credential.scopes).toEqual(expect.arrayContaining(['openid', 'profile']))
    expect(credential.sessionId).toEqual(expect.any(String))
    expect(credential.tokenId).toEqual(expect.any(String))
  })

  it('accepts the token of a service, too', async () => {
    const { access_token: token } = await requestToken(keycloak.origin, REALM, {
      ...CLIENT,
      grant_type: 'client_credentials',
    })
    expect(await start().verify(token)).toMatchObject({ claims: { azp: 'web' } })
  })
})

describe('what is no access token for this service is refused', () => {
  it('one for another service', async () => {
    const { access_token: token } = await login('other')
    await expect(start().verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_AUDIENCE'))
  })

  it('one of another realm', async () => {
    const { access_token: token } = await requestToken(keycloak.origin, 'master', {
      grant_type: 'password',
      client_id: 'admin-cli',
      username: 'admin',
      password: 'admin',
    })
    await expect(start().verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_ISSUER'))
  })

  it('an access token of a client with default settings, by the strict type alone', async () => {
    const { access_token: token } = await login('plain')
    await expect(start({ typ: 'at+jwt' }).verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_TYPE'))
    await relay?.shutdown()
    expect(await verdict(start().verify(token))).toBe('verified')
  })

  it('an ID token and a refresh token, whatever typ is [A12]', async () => {
    const { id_token: idToken = '', refresh_token: refreshToken = '' } = await login()
    expect(idToken.split('.')).toHaveLength(3)
    expect(refreshToken.split('.')).toHaveLength(3)
    for (const typ of ['at+jwt', null]) {
      const { verify, shutdown } = start({ typ })
      expect(await verdict(verify(idToken))).toBe('ERR_TOKEN_TYPE')
      // Signed with a secret of the realm, for Keycloak alone.
      expect(await verdict(verify(refreshToken))).toBe('ERR_TOKEN_ALGORITHM')
      await shutdown()
    }
  })
})

describe('the keys of the realm', () => {
  const components = `/${REALM}/components`
  const providerOf = (name: string, priority: number) => ({
    name,
    providerId: 'rsa-generated',
    providerType: 'org.keycloak.keys.KeyProvider',
    config: { priority: [String(priority)], algorithm: ['RS256'], keySize: ['2048'] },
  })
  const kidOf = (token: string): unknown =>
    (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid?: unknown }).kid

  it('are rotated: the first token of the new key is let in at once, and those of the old one as well [D12]', async () => {
    const { verify } = start()
    const { access_token: before } = await login()
    await verify(before)
    await keycloak.admin('POST', components, providerOf('second', 200))
    const { access_token: after } = await login()
    expect(kidOf(after)).not.toBe(kidOf(before))
    expect(await verdict(verify(after))).toBe('verified')
    expect(await verdict(verify(before))).toBe('verified')
  })

  it('are withdrawn: a remembered token of such a key is refused after maxAgeMillis [C6]', async () => {
    const id = String(await keycloak.admin('POST', components, providerOf('third', 300)))
    const { verify } = start()
    const { access_token: token } = await login()
    await verify(token)
    await keycloak.admin('DELETE', `${components}/${id}`)
    await waitFor(async () => expect(await verdict(verify(token))).toBe('ERR_TOKEN_KEY'))
    expect(await verdict(verify((await login()).access_token))).toBe('verified')
  })

  it('serve on while Keycloak hangs [D3]', async () => {
    const { verify } = start({ keySet: { maxAgeMillis: 500, cooldownMillis: 200, timeoutMillis: 300 } })
    const tokens = await Promise.all(Array.from({ length: 5 }, () => login()))
    await verify(tokens[0]?.access_token ?? '')
    keycloak.freeze()
    try {
      const until = Date.now() + 3_000
      while (Date.now() < until) {
        for (const { access_token: token } of tokens) expect(await verdict(verify(token))).toBe('verified')
      }
    } finally {
      keycloak.thaw()
    }
  })
})

it('a session that was ended is refused, with every token of it and with no other [C5]', async () => {
  const { verify, revoke } = start()
  const { access_token: token, refresh_token: refreshToken = '' } = await login()
  const other = await login()
  const { sessionId = '' } = await verify(token)
  await verify(other.access_token)
  const refreshed = await requestToken(keycloak.origin, REALM, {
    ...CLIENT,
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
  })
  expect((await verify(refreshed.access_token)).sessionId).toBe(sessionId)

  await keycloak.admin('DELETE', `/${REALM}/sessions/${sessionId}`)
  await revoke({ issuer, sessionId, expiresAtMillis: Date.now() + 3_600_000 })
  for (const each of [token, refreshed.access_token]) {
    await expect(verify(each)).rejects.toMatchObject(refusal('ERR_TOKEN_REVOKED'))
  }
  expect(await verdict(verify(other.access_token))).toBe('verified')
})

it('a token that is bound to a key by DPoP (RFC 9449) is refused as a bearer token [B13]', async () => {
  const { generateKeyPair, exportJWK, SignJWT } = await import('jose')
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const proof = await new SignJWT({
    htm: 'POST',
    htu: `${issuer}/protocol/openid-connect/token`,
    jti: crypto.randomUUID(),
    iat: Math.floor(Date.now() / 1000),
  })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(publicKey) })
    .sign(privateKey)
  const response = await fetch(`${issuer}/protocol/openid-connect/token`, {
    method: 'POST',
    headers: { dpop: proof },
    body: new URLSearchParams({ ...CLIENT, grant_type: 'client_credentials' }),
  })
  const { access_token: token, token_type: type } = (await response.json()) as {
    access_token: string
    token_type: string
  }
  expect(type).toBe('DPoP')
  await expect(start().verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_BOUND'))
})
