/** Bad tokens of every kind at the door of a running server: no handler sees them, and they all get the same answer. */

import { createHmac } from 'node:crypto'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { createMemoryRevocationList } from '../../src/revocation/entries.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import { close, listen } from '../support/issuer.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import { ISSUER, optionsFor } from '../support/relay.ts'
import { createSigner, goodClaims, segment } from '../support/signer.ts'

const signer = createSigner()
const attacker = createSigner('ES256', 'ES256-1')
const other = { issuer: 'https://other.example', key: createSigner('ES256', 'ES256-1') }
const now = Math.floor(Date.now() / 1000)
const good = (claims: Readonly<Record<string, unknown>> = {}, header = {}): string =>
  signer.token(goodClaims(ISSUER, claims), header)
const spelled = (change: (text: string) => string): string => change(good())

const served: string[] = []
let relay: TokenRelay
let server: Server
let port: number

async function start(options: TokenRelayOptions): Promise<void> {
  relay = createTokenRelay(options)
  relay.instrumentation.enable()
  server = createServer((_, response) => {
    served.push(getActiveCredential()?.subject ?? 'nobody')
    response.end('handled')
  })
  port = await listen(server)
}
async function stop(): Promise<void> {
  await close(server)
  await relay.shutdown()
}

/** The whole answer, but for the time. */
async function send(token: string): Promise<string> {
  const answer = await exchange(port, requestOf('/', [`Authorization: Bearer ${token}`]), () => false)
  return answer.replace(/\r\nDate: [^\r]*/i, '')
}

describe('401', () => {
  beforeAll(() => {
    const second = { issuer: other.issuer, audience: 'user-service', jwks: { keys: [other.key.jwk] } }
    const first = {
      ...optionsFor([signer.jwk]).issuers[0],
      maxLifetimeSeconds: 86_400,
      claimRules: [(claims: Readonly<Record<string, unknown>>) => claims['tenant'] !== 'evil'],
    } as TokenRelayOptions['issuers'][number]
    return start({ issuers: [first, second] })
  })
  afterAll(stop)

  const input = `${segment({ alg: 'HS256', kid: 'ES256-1', typ: 'at+jwt' })}.${segment(goodClaims(ISSUER))}`
  const hmac = createHmac('sha256', JSON.stringify(signer.jwk)).update(input).digest('base64url')
  const nested = `${'['.repeat(5_000)}${']'.repeat(5_000)}`

  it.each<[string, () => string]>([
    ['alg none [A1]', () => `${segment({ alg: 'none', typ: 'at+jwt' })}.${segment(goodClaims(ISSUER))}.`],
    ['alg none with a signature [A1]', () => good({}, { alg: 'none' })],
    ['HMAC over the public key [A2]', () => `${input}.${hmac}`],
    ['its own key [A4]', () => attacker.token(goodClaims(ISSUER), { jwk: attacker.jwk })],
    ['its own key set [A5]', () => attacker.token(goodClaims(ISSUER), { jku: 'http://127.0.0.1:1/jwks' })],
    ['its own certificate [A6]', () => attacker.token(goodClaims(ISSUER), { x5c: ['AAAA'] })],
    ['a kid that is a path [A7]', () => good({}, { kid: '../../dev/null' })],
    ['an unknown crit [A8]', () => good({}, { crit: ['x'], x: 1 })],
    ['an unencoded payload [A9]', () => good({}, { b64: false, crit: ['b64'] })],
    ['a deflated payload [A10]', () => good({}, { zip: 'DEF' })],
    ['an encrypted token [A11]', () => `${segment({ alg: 'RSA-OAEP', enc: 'A128GCM' })}.AA.AA.AA.AA`],
    ['an id token [A12]', () => good({ nonce: 'n-0S6_WzA2Mj' }, { typ: 'JWT' })],
    ['a refresh token of Keycloak [A12]', () => good({ typ: 'Refresh' }, { typ: 'JWT' })],
    ['an id token of Cognito [A12]', () => good({ token_use: 'id' }, { typ: undefined })],
    ['a logout token [A12]', () => good({}, { typ: 'logout+jwt' })],
    ['a signature of zeros [A13]', () => spelled((text) => text.replace(/\.[^.]*$/, `.${'A'.repeat(86)}`))],
    ['padding [A15]', () => spelled((text) => `${text}=`)],
    ['trailing bits [A15]', () => spelled((text) => `${text.slice(0, -1)}${text.endsWith('A') ? 'B' : 'C'}`)],
    ['two segments [A16]', () => spelled((text) => text.slice(0, text.lastIndexOf('.')))],
    ['four segments [A16]', () => spelled((text) => `${text}.AA`)],
    [
      'a header member twice [A21]',
      () => signer.token(goodClaims(ISSUER), '{"alg":"none","alg":"ES256","typ":"at+jwt"}'),
    ],
    ['a byte order mark [A22]', () => signer.token(Buffer.from(`\ufeff${JSON.stringify(goodClaims(ISSUER))}`))],
    ['an exp that is a text [B1]', () => good({ exp: String(now + 300) })],
    [
      'an exp without end [B2]',
      () => signer.token(JSON.stringify(goodClaims(ISSUER, { exp: 7 })).replace(':7', ':1e999')),
    ],
    ['a token for too long [B2]', () => good({ exp: now + 90_000 })],
    ['no exp [B3]', () => good({ exp: undefined })],
    ['no sub [B3]', () => good({ sub: undefined })],
    ['a future iat [B4]', () => good({ iat: now + 3_600 })],
    ['not yet valid [B4]', () => good({ nbf: now + 60 })],
    ['expired [B5]', () => good({ exp: now - 60 })],
    ['another spelling of the issuer [B7]', () => good({ iss: `${ISSUER}/` })],
    ['an issuer that another one speaks for [B8]', () => other.key.token(goodClaims(ISSUER))],
    ['an issuer that speaks for another one [B8]', () => good({ iss: other.issuer })],
    ['another audience [B9]', () => good({ aud: 'profile-service' })],
    [
      'a claim twice [B10]',
      () => signer.token(JSON.stringify(goodClaims(ISSUER)).replace('{', '{"\\u0073ub":"mallory",')),
    ],
    ['five thousand lists in each other [B12]', () => signer.token(`{"a":${nested}}`)],
    ['bound to a key [B13]', () => good({ cnf: { jkt: 'x'.repeat(43) } })],
    ['an actor that is none [B14]', () => good({ act: 'root' })],
    ['an opaque text [B15]', () => 'mF_9.B5f-4.1JqM-but-longer'],
    ['an API key [B15]', () => 'sk_live_51Habc'],
    [
      'the signature of another token [C1]',
      () => `${good({ sub: 'mallory' }).replace(/\.[^.]*$/, '')}.${good().split('.')[2]}`,
    ],
    ['a claim rule says no', () => good({ tenant: 'evil' })],
  ])('%s', async (_, tokenOf) => {
    const token = tokenOf()
    served.length = 0
    expect(await send(good())).toContain('handled')
    expect(await send(token)).toBe(await send('garbage'))
    expect(served).toEqual(['alice'])
  })

  it('the answer says that the token is not valid, and not why [A23]', async () => {
    const answer = await send(good({ aud: 'another' }))
    expect(statuses(answer)).toEqual([401])
    const [head = '', body] = answer.split('\r\n\r\n')
    expect(head.toLowerCase().split('\r\n').slice(1).sort()).toEqual([
      'cache-control: no-store',
      'connection: close',
      'content-length: 58',
      'content-type: application/problem+json',
      'www-authenticate: bearer error="invalid_token"',
    ])
    expect(body).toBe('{"type":"about:blank","title":"Unauthorized","status":401}')
  })

  it('what a good token says about itself breaks no line [B16]', async () => {
    const hostile = ['a\r\nx: y', '\u001b[31mred', '%s%n%x jndi:ldap://x', 'x'.repeat(2_000), '<script>', '\ud800']
    for (const sub of hostile) {
      served.length = 0
      expect(statuses(await send(good({ sub, email: sub })))).toEqual([200])
      expect(served).toHaveLength(1)
    }
  })
})

it('403 names the scopes that are required, and 401 where to find the issuer', async () => {
  const resourceMetadata = 'https://user.example/.well-known/oauth-protected-resource'
  const requiredScopes = ['profiles:read', 'invoices:read']
  await start({ ...optionsFor([signer.jwk], { requiredScopes }), ingress: { resourceMetadata } })
  try {
    const forbidden = await send(good({ scope: 'profiles:read' }))
    expect(statuses(forbidden)).toEqual([403])
    expect(forbidden).toContain(
      `\r\nwww-authenticate: Bearer error="insufficient_scope", scope="profiles:read invoices:read", resource_metadata="${resourceMetadata}"\r\n`,
    )
    const unauthorized = await send('garbage')
    expect(unauthorized).toContain(
      `\r\nwww-authenticate: Bearer error="invalid_token", resource_metadata="${resourceMetadata}"\r\n`,
    )
    const missing = await exchange(port, requestOf('/'), () => false)
    expect(missing).toContain(`\r\nwww-authenticate: Bearer resource_metadata="${resourceMetadata}"\r\n`)
    expect(await send(good({ scope: 'profiles:read invoices:read' }))).toContain('handled')
  } finally {
    await stop()
  }
})

describe('503 says when to come back, and asks for no other token', () => {
  it.each<[string, (origin: string) => TokenRelayOptions]>([
    ['the keys cannot be had [D2]', (origin) => ({ issuers: [{ issuer: origin, audience: null }] })],
    [
      'the resolver cannot answer',
      () => ({ issuers: [], resolveIssuer: () => Promise.reject(new Error('out of order')) }),
    ],
    [
      'the revocation list is not to be trusted [C13]',
      (origin) => ({
        issuers: [{ issuer: origin, audience: null, jwks: { keys: [signer.jwk] } }],
        revocation: { list: { ...createMemoryRevocationList(), available: false } },
      }),
    ],
    [
      'the issuer cannot say whether an opaque token is active',
      (origin) => ({
        issuers: [
          {
            issuer: origin,
            audience: null,
            jwks: { keys: [signer.jwk] },
            introspection: { endpoint: `${origin}/introspect`, clientId: 'id', clientSecret: 'secret' },
          },
        ],
      }),
    ],
  ])('%s', async (name, options) => {
    await using issuer = await startFaultyIssuer()
    const opaque = name.includes('opaque')
    const token = opaque ? 'opaque-token' : signer.token(goodClaims(issuer.origin))
    await start(options(issuer.origin))
    try {
      served.length = 0
      const answer = await send(token)
      expect(statuses(answer)).toEqual([503])
      expect(answer).toMatch(/\r\nretry-after: \d+\r\n/i)
      expect(answer).not.toMatch(/www-authenticate/i)
      expect(served).toEqual([])
    } finally {
      await stop()
    }
  })
})
