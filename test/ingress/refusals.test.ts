/** Bad tokens of every kind at the door of a running server: no handler sees them, and they all get the same answer. */

import { createHmac } from 'node:crypto'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay, TokenRelayOptions } from '../../src/index.ts'
import { createTokenRelay, getActiveCredential } from '../../src/index.ts'
import { createMemoryRevocationList } from '../../src/revocation/memory.ts'
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
    ['A1 alg none', () => `${segment({ alg: 'none', typ: 'at+jwt' })}.${segment(goodClaims(ISSUER))}.`],
    ['A1 alg none with a signature', () => good({}, { alg: 'none' })],
    ['A2 HMAC over the public key', () => `${input}.${hmac}`],
    ['A4 a key of its own', () => attacker.token(goodClaims(ISSUER), { jwk: attacker.jwk })],
    ['A5 a key set of its own', () => attacker.token(goodClaims(ISSUER), { jku: 'http://127.0.0.1:1/jwks' })],
    ['A6 a certificate of its own', () => attacker.token(goodClaims(ISSUER), { x5c: ['AAAA'] })],
    ['A7 a kid that is a path', () => good({}, { kid: '../../dev/null' })],
    ['A8 an unknown crit', () => good({}, { crit: ['x'], x: 1 })],
    ['A9 an unencoded payload', () => good({}, { b64: false, crit: ['b64'] })],
    ['A10 a deflated payload', () => good({}, { zip: 'DEF' })],
    ['A11 an encrypted token', () => `${segment({ alg: 'RSA-OAEP', enc: 'A128GCM' })}.AA.AA.AA.AA`],
    ['A12 an id token', () => good({}, { typ: 'JWT' })],
    ['A12 a logout token', () => good({}, { typ: 'logout+jwt' })],
    ['A13 a signature of zeros', () => spelled((text) => text.replace(/\.[^.]*$/, `.${'A'.repeat(86)}`))],
    ['A15 padding', () => spelled((text) => `${text}=`)],
    ['A15 trailing bits', () => spelled((text) => `${text.slice(0, -1)}${text.endsWith('A') ? 'B' : 'C'}`)],
    ['A16 two segments', () => spelled((text) => text.slice(0, text.lastIndexOf('.')))],
    ['A16 four segments', () => spelled((text) => `${text}.AA`)],
    [
      'A21 a header member twice',
      () => signer.token(goodClaims(ISSUER), '{"alg":"none","alg":"ES256","typ":"at+jwt"}'),
    ],
    ['A22 a byte order mark', () => signer.token(Buffer.from(`\ufeff${JSON.stringify(goodClaims(ISSUER))}`))],
    ['B1 an exp that is a text', () => good({ exp: String(now + 300) })],
    [
      'B2 an exp without end',
      () => signer.token(JSON.stringify(goodClaims(ISSUER, { exp: 7 })).replace(':7', ':1e999')),
    ],
    ['B2 a token for too long', () => good({ exp: now + 90_000 })],
    ['B3 no exp', () => good({ exp: undefined })],
    ['B3 no sub', () => good({ sub: undefined })],
    ['B4 a future iat', () => good({ iat: now + 3_600 })],
    ['B4 not yet valid', () => good({ nbf: now + 60 })],
    ['B5 expired', () => good({ exp: now - 60 })],
    ['B7 another spelling of the issuer', () => good({ iss: `${ISSUER}/` })],
    ['B8 an issuer that another one speaks for', () => other.key.token(goodClaims(ISSUER))],
    ['B8 an issuer that speaks for another one', () => good({ iss: other.issuer })],
    ['B9 another audience', () => good({ aud: 'profile-service' })],
    [
      'B10 a claim twice',
      () => signer.token(JSON.stringify(goodClaims(ISSUER)).replace('{', '{"\\u0073ub":"mallory",')),
    ],
    ['B12 five thousand lists in each other', () => signer.token(`{"a":${nested}}`)],
    ['B13 bound to a key', () => good({ cnf: { jkt: 'x'.repeat(43) } })],
    ['B14 an actor that is none', () => good({ act: 'root' })],
    ['B15 an opaque text', () => 'mF_9.B5f-4.1JqM-but-longer'],
    ['B15 an API key', () => 'sk_live_51Habc'],
    [
      'C1 the signature of another token',
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

  it('A23 the answer says that the token is not valid, and not why', async () => {
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

  it('B16 what a good token says about itself breaks no line', async () => {
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
    ['D2 the keys cannot be had', (origin) => ({ issuers: [{ issuer: origin, audience: null }] })],
    [
      'the resolver cannot answer',
      () => ({ issuers: [], resolveIssuer: () => Promise.reject(new Error('out of order')) }),
    ],
    [
      'C13 the revocation list is not to be trusted',
      (origin) => ({
        issuers: [{ issuer: origin, audience: null, jwks: { keys: [signer.jwk] } }],
        revocation: { list: { ...createMemoryRevocationList(), available: false } },
      }),
    ],
    [
      'nobody can say whether an opaque token is active',
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
