/** Token exchange, client credentials and refresh with a real Keycloak (standard token exchange, version 2). */

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { DestinationExchangeOptions, ExchangeOptions, TokenRelay } from '../../src/index.ts'
import { createTokenRelay, runAs, runWithToken } from '../../src/index.ts'
import { claimsOf, outcome } from '../support/exchange-rig.ts'
import type { Sink } from '../support/sink.ts'
import { startSink } from '../support/sink.ts'
import type { Keycloak, TokenAnswer } from './keycloak.ts'
import { requestToken, startKeycloak } from './keycloak.ts'

const REALM = 'exchange'
const ALICE = { username: 'alice', password: 'alice' }

let keycloak: Keycloak
let issuer: string
let sink: Sink
let relay: TokenRelay | undefined
beforeAll(async () => {
  keycloak = await startKeycloak()
  sink = await startSink()
  issuer = `${keycloak.origin}/realms/${REALM}`
  await keycloak.admin('POST', '', { realm: REALM, enabled: true })
  for (const name of ['billing', 'admin-api']) {
    await keycloak.admin('POST', `/${REALM}/clients`, { clientId: name, secret: 'a' })
  }
  await keycloak.admin('POST', `/${REALM}/clients`, client('web', ['user-service']))
  await keycloak.admin('POST', `/${REALM}/clients`, client('elsewhere', ['profile-service']))
  await keycloak.admin('POST', `/${REALM}/clients`, client('user-service', ['billing', 'admin-api']))
  await keycloak.admin('POST', `/${REALM}/users`, {
    username: ALICE.username,
    enabled: true,
    email: 'alice@example.com',
    firstName: 'Alice',
    lastName: 'Example',
    credentials: [{ type: 'password', value: ALICE.password, temporary: false }],
  })
}, 300_000)
afterAll(async () => {
  await sink?.[Symbol.asyncDispose]()
  await keycloak?.[Symbol.asyncDispose]()
})
afterEach(async () => {
  await relay?.shutdown()
  sink.clear()
})

/** A confidential client whose tokens may be for `audiences`. */
function client(name: string, audiences: readonly string[]): object {
  return {
    clientId: name,
    secret: `${name}-secret`,
    directAccessGrantsEnabled: true,
    serviceAccountsEnabled: true,
    attributes: { 'access.token.header.type.rfc9068': 'true', 'standard.token.exchange.enabled': 'true' },
    protocolMappers: audiences.map((audience) => ({
      name: audience,
      protocol: 'openid-connect',
      protocolMapper: 'oidc-audience-mapper',
      config: { 'included.custom.audience': audience, 'access.token.claim': 'true' },
    })),
  }
}

const login = (name = 'web'): Promise<TokenAnswer> =>
  requestToken(keycloak.origin, REALM, {
    ...ALICE,
    grant_type: 'password',
    client_id: name,
    client_secret: `${name}-secret`,
    scope: 'openid profile email',
  })

/** user-service, found at the issuer by discovery. */
function start(rule?: DestinationExchangeOptions, changes: Partial<ExchangeOptions> = {}, audience = 'user-service') {
  const exchange = { clientId: 'user-service', clientSecret: 'user-service-secret', ...changes }
  relay = createTokenRelay({
    issuers: [{ issuer, audience, exchange }],
    destinations: [{ to: sink.origin, ...(rule === undefined ? {} : { exchange: rule }) }],
  })
  return relay
}

async function send(token: string): Promise<readonly string[]> {
  await runWithToken(token, async () => (await fetch(sink.origin)).text())
  return (sink.received.at(-1)?.authorization ?? []).map((value) => value.slice(7))
}

it('a token for one audience is exchanged for one for another audience, of the same subject and session [F15]', async () => {
  const { verify } = start({ audience: 'billing' })
  const { access_token: token } = await login()
  const { subject, sessionId } = await verify(token)
  const claims = claimsOf(await send(token))
  expect(claims).toMatchObject({ iss: issuer, sub: subject, sid: sessionId, aud: 'billing', azp: 'user-service' })
})

it.each(['client_secret_basic', 'client_secret_post'] as const)('the client proves itself by %s', async (method) => {
  start({ audience: 'billing' }, { clientAuthentication: method })
  expect(await send((await login()).access_token)).toHaveLength(1)
})

it('scopes that Keycloak adds by itself are refused, unless they are named [F16]', async () => {
  const { access_token: token } = await login()
  for (const rule of [{ scope: 'profile' }, { audience: 'billing', scope: 'profile' }]) {
    const { prepare, shutdown } = start(rule)
    expect(await outcome(runWithToken(token, () => prepare(sink.origin)))).toBe('ERR_TOKEN_EXCHANGE_RESULT')
    expect(await send(token)).toEqual([])
    await shutdown()
  }
  start({ audience: 'billing', scope: 'profile email' })
  expect(
    String(claimsOf(await send(token))['scope'])
      .split(' ')
      .toSorted(),
  ).toEqual(['email', 'profile'])
})

it('what Keycloak refuses is not sent: an unknown audience, a token of others, a wrong secret [F17]', async () => {
  const { access_token: token } = await login()
  const other = (await login('elsewhere')).access_token
  for (const [text, rule, changes, audience] of [
    [token, { audience: 'nobody' }, {}, 'user-service'],
    [other, { audience: 'billing' }, {}, 'profile-service'],
    [token, { audience: 'billing' }, { clientSecret: 'guessed' }, 'user-service'],
  ] as const) {
    const { prepare, shutdown } = start(rule, changes, audience)
    expect(await outcome(runWithToken(text, () => prepare(sink.origin)))).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
    expect(await send(text)).toEqual([])
    await shutdown()
  }
})

it('a session that was ended at Keycloak gets no other token [C5]', async () => {
  const { verify, prepare } = start({ audience: 'billing' })
  const { access_token: token } = await login()
  const { sessionId } = await verify(token)
  await keycloak.admin('DELETE', `/${REALM}/sessions/${sessionId}`)
  expect(await outcome(runWithToken(token, () => prepare(sink.origin)))).toBe('ERR_TOKEN_EXCHANGE_REFUSED')
})

it('client credentials: the service is itself', async () => {
  const source = start().tokenSource({ grant: 'client_credentials' })
  await runAs(source, async () => (await fetch(sink.origin)).text())
  expect(claimsOf([sink.received[0]?.authorization[0]?.slice(7) ?? ''])).toMatchObject({ azp: 'user-service' })
})

it('a refresh token: of the same subject, once for all who ask', async () => {
  const { verify, tokenSource } = start(undefined, { clientId: 'web', clientSecret: 'web-secret' })
  const { access_token: token, refresh_token: refreshToken = '' } = await login()
  const source = tokenSource({ grant: 'refresh_token', refreshToken })
  const tokens = await Promise.all(Array.from({ length: 10 }, () => source.get()))
  expect(new Set(tokens).size).toBe(1)
  expect(tokens[0]?.subject).toBe((await verify(token)).subject)
})
