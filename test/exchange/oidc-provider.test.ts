/** Against a real authorization server: oidc-provider, found by discovery, with an exchange grant (RFC 8693). */

import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JWTPayload } from 'jose'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import type { DestinationExchangeOptions, ExchangeOptions, TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runAs, runWithToken } from '../../src/index.ts'
import { claimsOf, outcome } from '../support/exchange-rig.ts'
import type { OidcProvider } from '../support/oidc-provider.ts'
import { startOidcProvider } from '../support/oidc-provider.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'

const USERS = 'https://users.example'
const PROFILES = 'https://profiles.example'
const BILLING = 'https://billing.example'
const SCOPE = 'profiles:read profiles:write invoices:read'

const folder = mkdtempSync(join(tmpdir(), 'oidc-'))
const keyFile = join(folder, 'key.pem')
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

let provider: OidcProvider
let sink: Sink
let relay: TokenRelay | undefined
beforeAll(async () => {
  writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'key-1' }] }
  provider = await startOidcProvider({ [USERS]: SCOPE, [PROFILES]: SCOPE, [BILLING]: 'invoices:read invoices:write' }, [
    {
      client_id: 'user-service',
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks,
    },
    { client_id: 'profile-service', client_secret: 'profile secret: 1%' },
    { client_id: 'posting', client_secret: 'a', token_endpoint_auth_method: 'client_secret_post' },
  ])
  sink = await startSink()
})
afterEach(async () => {
  await relay?.shutdown()
  relay = undefined
  sink.clear()
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await provider[Symbol.asyncDispose]()
  await sink[Symbol.asyncDispose]()
})

const BY_KEY: Partial<ExchangeOptions> = {
  clientAuthentication: 'private_key_jwt',
  privateKeyFile: keyFile,
  keyId: 'key-1',
}

/** A service whose callers' tokens are for `audience`; what it sends is exchanged as `rule` says. */
function start(audience: string, exchange: ExchangeOptions, rule?: DestinationExchangeOptions): TokenRelay {
  relay = createTokenRelay({
    issuers: [{ issuer: provider.issuer, audience, exchange }],
    destinations: [{ to: sink.origin, ...(rule === undefined ? {} : { exchange: rule }) }],
  })
  return relay
}

const userToken = (changes = {}) =>
  provider.accessToken({ sub: 'alice', clientId: 'posting', audience: USERS, scope: SCOPE, ...changes })

/** Sends a request as the subject of `token`, and returns the token that arrived. */
async function send(token: string): Promise<string> {
  await runWithToken(token, async () => (await fetch(sink.origin)).text())
  return sink.received.at(-1)?.authorization[0]?.slice(7) ?? ''
}

it('the audience changes, the scopes become fewer, and each hop adds its actor in front of the others [F15]', async () => {
  start(USERS, { clientId: 'user-service', ...BY_KEY }, { audience: PROFILES, scope: 'profiles:read invoices:read' })
  const first = await send(await userToken())
  expect(claimsOf([first])).toMatchObject({
    iss: provider.issuer,
    sub: 'alice',
    aud: PROFILES,
    scope: 'profiles:read invoices:read',
    act: { sub: 'user-service' },
  })
  // The user's own token is not for the second service, and what is for the second one is not for the first.
  expect(await outcome((relay as TokenRelay).verify(first))).toBe('ERR_TOKEN_AUDIENCE')
  await relay?.shutdown()

  const secret = { clientId: 'profile-service', clientSecret: 'profile secret: 1%' }
  start(PROFILES, secret, { resource: BILLING, scope: 'invoices:read' })
  expect(claimsOf([await send(first)])).toMatchObject({
    sub: 'alice',
    aud: BILLING,
    scope: 'invoices:read',
    act: { sub: 'profile-service', act: { sub: 'user-service' } },
  })
})

it('the actor that a service names with its own token is the one in the chain', async () => {
  start(USERS, { clientId: 'user-service', ...BY_KEY, actor: true }, { audience: BILLING, scope: 'invoices:read' })
  expect(claimsOf([await send(await userToken())])).toMatchObject({ sub: 'alice', act: { sub: 'user-service' } })
})

it('what the server refuses is refused here: more scopes, unknown audiences, callers of others [F16, F17]', async () => {
  const exchange = { clientId: 'user-service', ...BY_KEY }
  for (const rule of [{ audience: BILLING, scope: 'invoices:write' }, { audience: 'https://unknown.example' }]) {
    start(USERS, exchange, rule)
    const token = await userToken()
    expect(await outcome(runWithToken(token, () => relay?.prepare(sink.origin)))).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
    expect(await send(token)).toBe('')
    await relay?.shutdown()
  }
})

it.each<readonly [string, ExchangeOptions]>([
  ['private_key_jwt', { clientId: 'user-service', ...BY_KEY }],
  ['client_secret_basic', { clientId: 'profile-service', clientSecret: 'profile secret: 1%' }],
  ['client_secret_post', { clientId: 'posting', clientSecret: 'a', clientAuthentication: 'client_secret_post' }],
])('client credentials, and the client proves itself by %s', async (_, exchange) => {
  const { tokenSource } = start(BILLING, exchange)
  const source = tokenSource({ grant: 'client_credentials', resource: BILLING, scope: 'invoices:read' })
  await runAs(source, async () => (await fetch(sink.origin)).text())
  const claims: JWTPayload = claimsOf([sink.received[0]?.authorization[0]?.slice(7) ?? ''])
  expect(claims).toMatchObject({ sub: exchange.clientId, aud: BILLING, scope: 'invoices:read' })
})

it('a client that does not know its secret gets nothing', async () => {
  const { tokenSource } = start(BILLING, { clientId: 'profile-service', clientSecret: 'guessed' })
  expect(await outcome(tokenSource({ grant: 'client_credentials' }).get())).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
})

it('a refresh token is rotated, and used once however many ask', async () => {
  const refreshToken = await provider.refreshToken({
    sub: 'alice',
    clientId: 'posting',
    audience: BILLING,
    scope: 'invoices:read',
  })
  const { tokenSource } = start(BILLING, {
    clientId: 'posting',
    clientSecret: 'a',
    clientAuthentication: 'client_secret_post',
  })
  const source = tokenSource({ grant: 'refresh_token', refreshToken, resource: BILLING })
  const first = await Promise.all(Array.from({ length: 20 }, () => source.get()))
  expect(new Set(first).size).toBe(1)
  expect(first[0]).toMatchObject({ subject: 'alice', audience: [BILLING] })
  // The server would revoke everything if the first one were used twice.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 290_000 })
  try {
    const second = await source.get({ validForMillis: 20_000 })
    expect([second.subject, second === first[0]]).toEqual(['alice', false])
  } finally {
    vi.useRealTimers()
  }
})
