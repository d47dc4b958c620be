/** How the keys of an issuer are found (OpenID Connect Discovery 1.0 §4, RFC 8414 §3), and which metadata is not believed. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { IssuerOptions, VerifiedCredential } from '../../src/index.ts'
import { metadataUrls } from '../../src/verification/keys/discovery.ts'
import type { FaultyIssuer } from '../support/faulty-issuer.ts'
import { startFaultyIssuer } from '../support/faulty-issuer.ts'
import { refusal, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()
const JWKS = { keys: [signer.jwk] }
const OIDC = '/.well-known/openid-configuration'
const OAUTH = '/.well-known/oauth-authorization-server'

let server: FaultyIssuer
let elsewhere: FaultyIssuer
beforeEach(async () => {
  server = await startFaultyIssuer()
  elsewhere = await startFaultyIssuer()
  server.answer('/jwks', { body: JWKS })
  elsewhere.answer('/jwks', { body: JWKS })
})
afterEach(async () => {
  await server[Symbol.asyncDispose]()
  await elsewhere[Symbol.asyncDispose]()
})

async function verify(issuer: string, options: Partial<IssuerOptions> = {}): Promise<VerifiedCredential> {
  return withRelay({ issuers: [{ issuer, audience: 'user-service', ...options }] }, (relay) =>
    relay.verify(signer.token(goodClaims(issuer))),
  )
}
const targets = (): string[] => server.requests.map(({ target }) => target)

describe('the addresses of the metadata', () => {
  it.each([
    ['https://id.example', 'https://id.example'],
    ['https://id.example/', 'https://id.example'],
    ['https://id.example:8443', 'https://id.example:8443'],
  ])('of %s', (issuer, origin) => {
    expect(metadataUrls(issuer)).toEqual([`${origin}${OIDC}`, `${origin}${OAUTH}`])
  })

  it.each([
    'https://id.example/tenant/a',
    'https://id.example/tenant/a/',
  ])('of %s: OpenID Connect appends to a path, RFC 8414 §3.1 inserts before it', (issuer) => {
    expect(metadataUrls(issuer)).toEqual([`https://id.example/tenant/a${OIDC}`, `https://id.example${OAUTH}/tenant/a`])
  })
})

describe('finds the keys', () => {
  it('through OpenID Connect', async () => {
    server.answer(OIDC, { body: { issuer: server.origin, jwks_uri: `${server.origin}/jwks` } })
    expect(await verify(server.origin)).toMatchObject({ subject: 'alice', issuer: server.origin })
    expect(targets()).toEqual([OIDC, '/jwks'])
  })

  it('through RFC 8414, if there is no OpenID Connect', async () => {
    server.answer(OAUTH, { body: { issuer: server.origin, jwks_uri: `${server.origin}/jwks` } })
    expect(await verify(server.origin)).toMatchObject({ subject: 'alice' })
    expect(targets()).toEqual([OIDC, OAUTH, '/jwks'])
  })

  it('of an issuer with a path, at both places', async () => {
    const issuer = `${server.origin}/tenant/a`
    server.answer(`${OAUTH}/tenant/a`, { body: { issuer, jwks_uri: `${server.origin}/jwks` } })
    expect(await verify(issuer)).toMatchObject({ subject: 'alice', issuer })
    expect(targets()).toEqual([`/tenant/a${OIDC}`, `${OAUTH}/tenant/a`, '/jwks'])
  })

  it('of an issuer that ends in a slash', async () => {
    const issuer = `${server.origin}/`
    server.answer(OIDC, { body: { issuer, jwks_uri: `${server.origin}/jwks` } })
    expect(await verify(issuer)).toMatchObject({ subject: 'alice', issuer })
  })

  it('once, however many kids are unknown: three requests in all [D1]', async () => {
    server.answer(OIDC, { body: { issuer: server.origin, jwks_uri: `${server.origin}/jwks` } })
    await withRelay({ issuers: [{ issuer: server.origin, audience: null }] }, async (relay) => {
      const flood = Array.from({ length: 500 }, (_, i) => signer.token(goodClaims(server.origin), { kid: `${i}` }))
      await Promise.all(flood.map((token) => relay.verify(token).catch(() => undefined)))
    })
    expect(targets()).toEqual([OIDC, '/jwks', '/jwks'])
  })

  it('at their new place after they have moved', async () => {
    server.answer(OIDC, { body: { issuer: server.origin, jwks_uri: `${server.origin}/jwks` } })
    const keySet = { cooldownMillis: 0 }
    await withRelay({ issuers: [{ issuer: server.origin, audience: null, keySet }] }, async (relay) => {
      await relay.hydrate()
      const moved = createSigner('ES256', 'moved')
      server.answer('/moved', { body: { keys: [moved.jwk] } })
      server.answer(OIDC, { body: { issuer: server.origin, jwks_uri: `${server.origin}/moved` } })
      server.answer('/jwks', { status: 404 })
      const token = moved.token(goodClaims(server.origin))
      await expect(relay.verify(token)).rejects.toMatchObject(refusal('ERR_TOKEN_KEYS_UNAVAILABLE'))
      expect(await relay.verify(token)).toMatchObject({ subject: 'alice' })
    })
    expect(targets()).toEqual([OIDC, '/jwks', '/jwks', OIDC, '/moved'])
  })

  it('at jwksUri, without asking for metadata, on any host', async () => {
    expect(await verify(server.origin, { jwksUri: `${elsewhere.origin}/jwks` })).toMatchObject({ subject: 'alice' })
    expect(server.requests).toEqual([])
    expect(elsewhere.requests.map(({ target }) => target)).toEqual(['/jwks'])
  })

  it('in jwks, without a request', async () => {
    expect(await verify(server.origin, { jwks: JWKS })).toMatchObject({ subject: 'alice' })
    expect(server.requests).toEqual([])
  })

  it('first when a token needs them, not before', async () => {
    await withRelay({ issuers: [{ issuer: server.origin, audience: null }] }, async (relay) => {
      await expect(relay.verify('a.b.c')).rejects.toMatchObject(refusal('ERR_TOKEN_MALFORMED'))
      await expect(relay.verify(signer.token(goodClaims('https://x.example')))).rejects.toMatchObject(
        refusal('ERR_TOKEN_ISSUER'),
      )
      await expect(relay.verify(signer.token(goodClaims(server.origin), { alg: 'none' }))).rejects.toMatchObject(
        refusal('ERR_TOKEN_ALGORITHM'),
      )
    })
    expect(server.requests).toEqual([])
  })
})

describe('in clear text [D14]', () => {
  // This machine by an address that is not one of the loopback interface: as `http://keycloak:8080` of a cluster.
  const clear = (url: string): string => url.replace('127.0.0.1', '0.0.0.0')

  it('finds nothing without allowCleartext, at start', async () => {
    await expect(verify(clear(server.origin))).rejects.toThrow('issuers[0].issuer: discovery needs')
    const jwksUri = clear(`${server.origin}/jwks`)
    await expect(verify('my issuer', { jwksUri })).rejects.toThrow('issuers[0].jwksUri: clear text')
    expect(server.requests).toEqual([])
  })

  it('finds metadata and keys with allowCleartext', async () => {
    const issuer = clear(server.origin)
    server.answer(OIDC, { body: { issuer, jwks_uri: `${issuer}/jwks` } })
    expect(await verify(issuer, { allowCleartext: true })).toMatchObject({ subject: 'alice', issuer })
    expect(targets()).toEqual([OIDC, '/jwks'])
  })

  it('finds keys at jwksUri with allowCleartext', async () => {
    const jwksUri = clear(`${server.origin}/jwks`)
    expect(await verify('my issuer', { jwksUri, allowCleartext: true })).toMatchObject({ subject: 'alice' })
  })

  it('believes metadata no more than in https: keys on another host', async () => {
    const issuer = clear(server.origin)
    server.answer(OIDC, { body: { issuer, jwks_uri: `${clear(elsewhere.origin)}/jwks` } })
    await expect(verify(issuer, { allowCleartext: true })).rejects.toMatchObject(refusal('ERR_TOKEN_KEYS_UNAVAILABLE'))
    expect(elsewhere.requests).toEqual([])
  })
})

describe('does not believe metadata [D13]', () => {
  const refused = { ...refusal('ERR_TOKEN_KEYS_UNAVAILABLE'), retryAfterSeconds: 1 }

  it.each([
    ['of another issuer', (): unknown => ({ issuer: elsewhere.origin, jwks_uri: `${server.origin}/jwks` })],
    ['with a slash more', (): unknown => ({ issuer: `${server.origin}/`, jwks_uri: `${server.origin}/jwks` })],
    ['without an issuer', (): unknown => ({ jwks_uri: `${server.origin}/jwks` })],
    ['with a list of issuers', (): unknown => ({ issuer: [server.origin], jwks_uri: `${server.origin}/jwks` })],
    ['without jwks_uri', (): unknown => ({ issuer: server.origin })],
    ['with keys on another port', (): unknown => ({ issuer: server.origin, jwks_uri: `${elsewhere.origin}/jwks` })],
    ['with keys on another host', (): unknown => ({ issuer: server.origin, jwks_uri: 'https://evil.example/jwks' })],
    ['with keys in clear text', (): unknown => ({ issuer: server.origin, jwks_uri: 'http://evil.example/jwks' })],
    ['with keys in a file', (): unknown => ({ issuer: server.origin, jwks_uri: 'file:///etc/passwd' })],
    ['with keys in itself', (): unknown => ({ issuer: server.origin, jwks_uri: 'data:application/json,{}' })],
    ['with a relative jwks_uri', (): unknown => ({ issuer: server.origin, jwks_uri: '/jwks' })],
    ['with a list of jwks_uri', (): unknown => ({ issuer: server.origin, jwks_uri: [`${server.origin}/jwks`] })],
    [
      'with userinfo in jwks_uri',
      (): unknown => ({ issuer: server.origin, jwks_uri: `${server.origin.replace('//', '//user:pass@')}/jwks` }),
    ],
    ['that is null', (): unknown => null],
    ['that is a list', (): unknown => []],
    ['that is a text', (): unknown => 'metadata'],
  ])('%s', async (_, body) => {
    server.answer(OIDC, { body: JSON.stringify(body()) })
    await expect(verify(server.origin)).rejects.toMatchObject(refused)
    expect(targets()).toEqual([OIDC])
    expect(elsewhere.requests).toEqual([])
  })

  it.each([400, 401, 403, 405, 410])('with status %i for one of two documents, and takes the other', async (status) => {
    server.answer(OIDC, { status })
    server.answer(OAUTH, { body: { issuer: server.origin, jwks_uri: `${server.origin}/jwks` } })
    expect(await verify(server.origin)).toMatchObject({ subject: 'alice' })
  })

  it.each([500, 503, 301])('with status %i, and does not look for a second one', async (status) => {
    server.answer(OIDC, { status, headers: { location: `${server.origin}${OAUTH}` } })
    server.answer(OAUTH, { body: { issuer: server.origin, jwks_uri: `${server.origin}/jwks` } })
    await expect(verify(server.origin)).rejects.toMatchObject(refused)
    expect(targets()).toEqual([OIDC])
  })

  it('that is nowhere', async () => {
    await expect(verify(server.origin)).rejects.toMatchObject(refused)
    expect(targets()).toEqual([OIDC, OAUTH])
  })
})
