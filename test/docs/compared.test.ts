/** The page of comparisons: the answers of the relay and of express-oauth2-jwt-bearer are those that its tables show. */

import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { RequestHandler } from 'express'
import express from 'express'
import { auth } from 'express-oauth2-jwt-bearer'
import type { CryptoKey, JWK, JWTPayload } from 'jose'
import { exportJWK, exportSPKI, generateKeyPair, importJWK, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenRelay } from '../../src/index.ts'
import { createTokenRelay } from '../../src/index.ts'
import { authenticate } from '../../src/ingress/adapters/express.ts'
import type { TestIssuer } from '../support/issuer.ts'
import { close, listen, startIssuer } from '../support/issuer.ts'
import { exchange, requestOf, statuses } from '../support/raw.ts'
import { readDocument, readTable } from './markdown.ts'

const NAMES = ['otel-token-relay', 'express-oauth2-jwt-bearer'] as const
type Name = (typeof NAMES)[number]

const page = readDocument('docs/understand/compared.md')
const rows = readTable(page, 'A request with')
const FIRST_OUTAGE = 'a good token while the issuer is down, before its keys were fetched'

/** An issuer, and a service of each library that accepts its tokens. */
interface Stage extends AsyncDisposable {
  readonly issuer: TestIssuer
  readonly ports: Readonly<Record<Name, number>>
}

async function setUp(): Promise<Stage> {
  const issuer = await startIssuer('RS256')
  const audience = 'user-service'
  const relay: TokenRelay = createTokenRelay({
    issuers: [{ issuer: issuer.issuer, audience }],
    ingress: { mode: 'off' },
    telemetry: { log: 'off' },
  })
  const servers = [serve(authenticate()), serve(auth({ issuerBaseURL: issuer.issuer, audience }))]
  const [relayed = 0, other = 0] = await Promise.all(servers.map((server) => listen(server)))
  return {
    issuer,
    ports: { 'otel-token-relay': relayed, 'express-oauth2-jwt-bearer': other },
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map(close))
      await relay.shutdown()
      await issuer[Symbol.asyncDispose]()
    },
  }
}

function serve(handler: RequestHandler): Server {
  const app = express()
  app.use(handler)
  app.get('/', (_request, response) => {
    response.end()
  })
  return createServer(app)
}

async function statusOf(port: number, tokens: readonly string[]): Promise<number | undefined> {
  const fields = tokens.map((token) => `Authorization: Bearer ${token}`)
  const response = await exchange(port, requestOf('/', fields), () => false)
  return statuses(response)[0]
}

/** What is sent for each row: the tokens of as many `Authorization` lines. */
function tokensOf(issuer: TestIssuer): Readonly<Record<string, () => Promise<readonly string[]>>> {
  const claims = { iss: issuer.issuer, aud: 'user-service', sub: 'mallory', iat: 1, exp: 32_503_680_000 }
  const one =
    (...args: Parameters<TestIssuer['token']>) =>
    async () => [await issuer.token(...args)]
  return {
    'a good token': one(),
    'no token': async () => [],
    'a token for another audience': one({ aud: 'another' }),
    'a token of an issuer that is not configured': one({ iss: 'https://another.example.com' }),
    'a token without `exp`': one(without('exp')),
    'an ID token (`nonce`, `at_hash`) for this audience': one({ nonce: 'n', at_hash: 'h' }, { typ: 'JWT' }),
    'a logout token (`typ: logout+jwt`) for this audience': one({}, { typ: 'logout+jwt' }),
    'a DPoP token, sent as a bearer token': one({ cnf: { jkt: 'x'.repeat(43) } }),
    '`HS256` with the published key as the secret': async () => [
      await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', kid: 'RS256-1' })
        .sign(await publishedSecret(issuer)),
    ],
    '`alg: none`': async () => [new UnsecuredJWT(claims).encode()],
    'an unknown extension in `crit`': async () => [await withExtension(issuer)],
    'two `Authorization` lines': async () => [await issuer.token(), await issuer.token({ sub: 'bob' })],
    [FIRST_OUTAGE]: one(),
  }
}

function without(claim: string): JWTPayload {
  return { [claim]: undefined }
}

/** The published key as a text, which a library must not take for a shared secret. */
async function publishedSecret({ jwks }: TestIssuer): Promise<Uint8Array> {
  const key = (await importJWK(jwks.keys[0] as JWK, 'RS256', { extractable: true })) as CryptoKey
  return Buffer.from(await exportSPKI(key))
}

/** A token of `issuer` whose key is published from now on, with an extension that no library knows. */
async function withExtension({ issuer, jwks }: TestIssuer): Promise<string> {
  const { privateKey, publicKey } = await generateKeyPair('RS256')
  ;(jwks.keys as object[]).push({ ...(await exportJWK(publicKey)), kid: 'RS256-2', alg: 'RS256', use: 'sig' })
  return new SignJWT({ iss: issuer, aud: 'user-service', sub: 'alice' })
    .setIssuedAt()
    .setExpirationTime('5 minutes')
    .setProtectedHeader({ alg: 'RS256', kid: 'RS256-2', crit: ['x'], x: 1 })
    .sign(privateKey, { crit: { x: true } })
}

describe('what a request gets', () => {
  let stage: Stage
  beforeAll(async () => {
    stage = await setUp()
  })
  afterAll(() => stage[Symbol.asyncDispose]())

  it('has a request for each row', () => {
    expect(Object.keys(tokensOf(stage.issuer)).toSorted()).toEqual(
      rows.map((row) => row['A request with'] ?? '').toSorted(),
    )
  })

  it.each(rows.filter((row) => row['A request with'] !== FIRST_OUTAGE))('$["A request with"]', async (row) => {
    const tokens = await tokensOf(stage.issuer)[row['A request with'] ?? '']?.()
    for (const name of NAMES)
      expect([name, await statusOf(stage.ports[name], tokens ?? [])]).toEqual([name, Number(row[name])])
  })
})

it('what a good token gets while the issuer is down', async () => {
  await using stage = await setUp()
  stage.issuer.setDown(true)
  const row = rows.find((each) => each['A request with'] === FIRST_OUTAGE)
  for (const name of NAMES) {
    const status = await statusOf(stage.ports[name], [await stage.issuer.token()])
    expect([name, status]).toEqual([name, Number(row?.[name])])
  }
})
