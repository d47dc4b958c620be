/** The test issuer: its endpoints, its keys, its clock, its failures, and what it says of the requests it had. */

import { spawnSync } from 'node:child_process'
import { inspect } from 'node:util'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay, runWithToken } from '../../src/index.ts'
import type { OutageKind, TestIssuer } from '../../src/testing/index.ts'
import { createTestIssuer, OUTAGES } from '../../src/testing/index.ts'
import { verdict, withRelay } from '../support/relay.ts'
import { startSink } from '../support/sink.ts'

let issuer: TestIssuer
beforeEach(async () => {
  issuer = await createTestIssuer({ audience: 'user-service', clients: { web: 's3cret of web' } })
})
afterEach(() => issuer.close())
afterEach(() => void vi.useRealTimers())

function start(changes: Partial<TokenRelayOptions['issuers'][number]> = {}): TokenRelay {
  return createTokenRelay({ issuers: [{ ...issuer.configuration, ...changes }], telemetry: { log: 'off' } })
}

async function post(
  url: string,
  parameters: Readonly<Record<string, string>>,
  client: Readonly<Record<string, string>> = { client_id: 'web', client_secret: 's3cret of web' },
): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams({ ...client, ...parameters }) })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const EXCHANGE = {
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
}

describe('tokens', () => {
  it('say what they are asked to say (RFC 9068 §2)', () => {
    const options = {
      ...{ subject: 'bob', scopes: ['a', 'b'], roles: ['r'], audience: 'other', clientId: 'web', sessionId: 's' },
      ...{ expiresIn: 60, notBefore: -1, actor: 'billing', claims: { tenant: 't' }, header: { x5t: 'x' } },
    }
    const token = issuer.token(options)
    const { iat = 0, ...claims } = decodeJwt(token)
    expect(claims).toEqual({
      ...{ iss: issuer.issuer, sub: 'bob', aud: 'other', client_id: 'web', scope: 'a b', roles: ['r'], sid: 's' },
      ...{ exp: iat + 60, nbf: iat - 1, act: { sub: 'billing' }, tenant: 't', jti: expect.any(String) as string },
    })
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'ES256', kid: 'ES256-1', typ: 'at+jwt', x5t: 'x' })
  })

  it('leave out a claim that is undefined, and differ each time', () => {
    expect(decodeJwt(issuer.token({ claims: { jti: undefined } }))).not.toHaveProperty('jti')
    expect(issuer.token()).not.toBe(issuer.token())
  })

  it('are signed as they are by sign', async () => {
    const claims = { iss: issuer.issuer, aud: 'user-service', sub: 'carol', iat: 1, exp: 2 ** 33 }
    const token = issuer.sign(claims, { alg: 'ES256', kid: 'ES256-1', typ: 'at+jwt' })
    expect(decodeJwt(token)).toEqual(claims)
    await withRelay({ issuers: [issuer.configuration] }, async ({ verify }) => {
      expect(await verdict(verify(token))).toBe('verified')
    })
  })
})

describe('its endpoints', () => {
  it('are named by both documents, and those by the issuer', async () => {
    for (const url of [issuer.endpoints.openidConfiguration, issuer.endpoints.metadata]) {
      const metadata = (await (await fetch(url)).json()) as Record<string, unknown>
      expect(metadata).toMatchObject({
        issuer: issuer.issuer,
        jwks_uri: issuer.jwksUri,
        token_endpoint: issuer.endpoints.token,
        introspection_endpoint: issuer.endpoints.introspection,
        revocation_endpoint: issuer.endpoints.revocation,
      })
    }
    expect((await fetch(`${issuer.issuer}/elsewhere`)).status).toBe(404)
  })

  it('publish no private member of a key', async () => {
    const text = await (await fetch(issuer.jwksUri)).text()
    expect(JSON.parse(text)).toEqual(issuer.jwks)
    expect(Object.keys(issuer.jwks.keys[0] ?? {}).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  })

  it('give a client a token for itself (RFC 6749 §4.4)', async () => {
    const { body } = await post(issuer.endpoints.token, { grant_type: 'client_credentials', scope: 'a' })
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 300, scope: 'a' })
    expect(decodeJwt(String(body['access_token']))).toMatchObject({ sub: 'web', aud: 'user-service', scope: 'a' })
  })

  it('exchange a token: narrower, for another audience, with the actor (RFC 8693)', async () => {
    const { body } = await post(issuer.endpoints.token, {
      ...EXCHANGE,
      subject_token: issuer.token({ subject: 'bob', scopes: ['a', 'b'], actor: 'first' }),
      ...{ actor_token: issuer.token({ subject: 'web' }), actor_token_type: EXCHANGE.subject_token_type },
      ...{ audience: 'billing', scope: 'a' },
    })
    expect(body).toMatchObject({ issued_token_type: EXCHANGE.subject_token_type, scope: 'a' })
    expect(decodeJwt(String(body['access_token']))).toMatchObject({
      ...{ sub: 'bob', aud: 'billing', scope: 'a', client_id: 'web' },
      act: { sub: 'web', act: { sub: 'first' } },
    })
  })

  it.each<[string, () => Record<string, string>, string]>([
    ['an unknown grant', () => ({ grant_type: 'password' }), 'unsupported_grant_type'],
    ['no grant', () => ({}), 'invalid_request'],
    ['no subject token', () => EXCHANGE, 'invalid_request'],
    ['an expired subject token', () => ({ ...EXCHANGE, subject_token: issuer.badToken('expired') }), 'invalid_request'],
    ['a forged subject token', () => ({ ...EXCHANGE, subject_token: issuer.badToken('signature') }), 'invalid_request'],
    [
      'more scopes than the subject has',
      () => ({ ...EXCHANGE, subject_token: issuer.token({ scopes: ['a'] }), scope: 'a b' }),
      'invalid_scope',
    ],
    ['an unknown refresh token', () => ({ grant_type: 'refresh_token', refresh_token: 'x' }), 'invalid_grant'],
  ])('refuse %s', async (_, parametersOf, error) => {
    expect(await post(issuer.endpoints.token, parametersOf())).toEqual({ status: 400, body: { error } })
  })

  it('refuse a client that is not known, or has another secret', async () => {
    for (const client of [
      { client_id: 'web', client_secret: 'x' },
      { client_id: 'y', client_secret: 's3cret of web' },
    ]) {
      for (const endpoint of ['token', 'introspection', 'revocation'] as const) {
        const answer = await post(issuer.endpoints[endpoint], { grant_type: 'client_credentials', token: 'x' }, client)
        expect(answer).toEqual({ status: 401, body: { error: 'invalid_client' } })
      }
    }
  })

  it('take a refresh token once', async () => {
    const parameters = { grant_type: 'refresh_token', refresh_token: issuer.refreshToken({ subject: 'bob' }) }
    const { body } = await post(issuer.endpoints.token, parameters)
    expect(decodeJwt(String(body['access_token']))).toMatchObject({ sub: 'bob' })
    expect(body['refresh_token']).not.toBe(parameters.refresh_token)
    expect((await post(issuer.endpoints.token, parameters)).body).toEqual({ error: 'invalid_grant' })
  })

  it('say whether a token is active, until it is revoked (RFC 7662, RFC 7009)', async () => {
    for (const token of [issuer.token({ subject: 'bob' }), issuer.opaqueToken({ subject: 'bob' })]) {
      expect((await post(issuer.endpoints.introspection, { token })).body).toMatchObject({ active: true, sub: 'bob' })
      expect(await post(issuer.endpoints.revocation, { token })).toEqual({ status: 200, body: {} })
      expect((await post(issuer.endpoints.introspection, { token })).body).toEqual({ active: false })
    }
  })

  it('answer as the test says, for as long as it says so', async () => {
    issuer.respond('jwks', () => ({ status: 418, headers: { 'x-a': 'b' }, body: 'tea' }))
    const response = await fetch(issuer.jwksUri)
    expect([response.status, response.headers.get('x-a'), await response.text()]).toEqual([418, 'b', 'tea'])
    issuer.respond('jwks', undefined)
    expect((await fetch(issuer.jwksUri)).status).toBe(200)
  })
})

it('a relay exchanges tokens with the ready-made options', async () => {
  await using sink = await startSink()
  const relay = createTokenRelay({
    issuers: [{ ...issuer.configuration, exchange: issuer.exchange }],
    destinations: [{ to: sink.origin, exchange: { audience: 'billing' } }],
    telemetry: { log: 'off' },
  })
  try {
    await runWithToken(issuer.token({ subject: 'bob', scopes: ['a'] }), () => fetch(sink.origin))
    const [authorization = ''] = sink.received[0]?.authorization ?? []
    expect(decodeJwt(authorization.slice(7))).toMatchObject({ sub: 'bob', aud: 'billing', scope: 'a' })
  } finally {
    await relay.shutdown()
  }
})

describe('its keys', () => {
  it('are rotated: old tokens stay good until the old key is removed', async () => {
    const relay = start({ keySet: { cooldownMillis: 0, maxAgeMillis: 1 } })
    try {
      const before = issuer.token()
      issuer.rotateKeys()
      const after = issuer.token()
      expect(decodeProtectedHeader(after).kid).toBe('ES256-2')
      expect([await verdict(relay.verify(before)), await verdict(relay.verify(after))]).toEqual([
        'verified',
        'verified',
      ])
      issuer.removeOldKeys()
      await expect.poll(() => verdict(relay.verify(before))).toBe('ERR_TOKEN_KEY')
      expect(await verdict(relay.verify(after))).toBe('verified')
    } finally {
      await relay.shutdown()
    }
  })

  it('can be replaced at once, under the old name and with another algorithm', () => {
    issuer.rotateKeys({ keepOld: false, kid: 'ES256-1' })
    expect(issuer.jwks.keys).toHaveLength(1)
    issuer.rotateKeys({ algorithm: 'EdDSA' })
    expect(issuer.jwks.keys.map(({ alg }) => alg)).toEqual(['EdDSA', 'ES256'])
    expect(decodeProtectedHeader(issuer.token()).alg).toBe('EdDSA')
  })

  it('are found by a relay that is running, each time', async () => {
    await withRelay({ issuers: [issuer.configuration] }, async ({ verify }) => {
      for (let rotation = 0; rotation < 10; rotation += 1) {
        expect(await verdict(verify(issuer.token()))).toBe('verified')
        issuer.rotateKeys()
      }
    })
  })
})

describe('its clock', () => {
  it('is that of the process until a test moves it', async () => {
    const now = Math.floor(Date.now() / 1000)
    issuer.clock.advance(3_600)
    expect(decodeJwt(issuer.token()).iat).toBeGreaterThanOrEqual(now + 3_600)
    await withRelay({ issuers: [issuer.configuration], telemetry: { log: 'off' } }, async ({ verify }) => {
      expect(await verdict(verify(issuer.token()))).toBe('ERR_TOKEN_NOT_YET_VALID')
      issuer.clock.set(new Date(0))
      expect(decodeJwt(issuer.token()).iat).toBeLessThan(60)
      expect(await verdict(verify(issuer.token()))).toBe('ERR_TOKEN_EXPIRED')
      issuer.clock.reset()
      expect(await verdict(verify(issuer.token()))).toBe('verified')
    })
    expect(() => issuer.clock.advance(Number.NaN)).toThrow(TypeError)
  })

  it('follows fake timers, as the relay does', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const relay = start()
    try {
      const token = issuer.token({ expiresIn: 60 })
      expect(await verdict(relay.verify(token))).toBe('verified')
      vi.setSystemTime(Date.now() + 66_000)
      expect(await verdict(relay.verify(token))).toBe('ERR_TOKEN_EXPIRED')
      expect(await verdict(relay.verify(issuer.token()))).toBe('verified')
    } finally {
      await relay.shutdown()
    }
  })
})

describe('an outage', () => {
  const KINDS = Object.keys(OUTAGES) as OutageKind[]

  it.each(KINDS)('%s: nothing is decided, and tokens can still be made', async (kind) => {
    const relay = start({ keySet: { cooldownMillis: 0, timeoutMillis: 250 } })
    try {
      await issuer.goDown(kind)
      expect(await verdict(relay.verify(issuer.token()))).toBe('ERR_TOKEN_KEYS_UNAVAILABLE')
    } finally {
      await relay.shutdown()
    }
  })

  it('ends, on the same port, whatever it was', async () => {
    const { jwksUri } = issuer
    for (const kind of KINDS) {
      await issuer.goDown(kind)
      await issuer.comeBack()
      expect([kind, (await fetch(jwksUri)).status]).toEqual([kind, 200])
    }
  })

  it('is noticed on connections that are open', async () => {
    await (await fetch(issuer.jwksUri)).text()
    await issuer.goDown()
    await expect(fetch(issuer.jwksUri)).rejects.toThrow()
    await issuer.goDown('503')
    expect((await fetch(issuer.jwksUri)).status).toBe(503)
  })

  it('does not end an issuer: it can be closed meanwhile', async () => {
    await issuer.goDown('hangs')
    const hanging = fetch(issuer.jwksUri)
    await expect.poll(() => issuer.requests.length).toBe(1)
    await issuer.close()
    await expect(hanging).rejects.toThrow()
  })
})

it('requests are kept in order, and show no secret when they are printed', async () => {
  const token = issuer.token()
  await fetch(issuer.jwksUri)
  await post(issuer.endpoints.introspection, { token })
  expect(issuer.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /jwks', 'POST /introspect'])
  expect(issuer.requests[1]?.parameters.get('token')).toBe(token)
  expect(issuer.requests[1]?.headers['content-type']).toContain('form')
  const printed = [inspect(issuer, { depth: 9, showHidden: false }), JSON.stringify(issuer.requests)].join('\n')
  for (const secret of [token, 's3cret']) expect(printed).not.toContain(secret)
})

describe('in production', () => {
  const load = (environment: Readonly<Record<string, string>>) =>
    spawnSync(process.execPath, ['--input-type=module', '--eval', "await import('./src/testing/index.ts')"], {
      env: { ...process.env, NODE_ENV: '', ...environment },
      encoding: 'utf8',
    })

  it.each(['production', 'Production', ' production '])('the kit is not loaded: NODE_ENV=%j', (NODE_ENV) => {
    const { status, stderr } = load({ NODE_ENV })
    expect(status).toBe(1)
    expect(stderr).toContain('set OTEL_TOKEN_RELAY_TESTING=allow-in-production')
  })

  it.each([
    { NODE_ENV: 'test' },
    { NODE_ENV: 'development' },
    { NODE_ENV: 'production', OTEL_TOKEN_RELAY_TESTING: 'allow-in-production' },
  ])('it is with %o', (environment) => {
    expect(load(environment)).toMatchObject({ status: 0, stderr: '' })
  })
})
