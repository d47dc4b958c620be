/** The pages on moving from other libraries: the program before and the program after get the same tokens. */

import { request } from 'node:http'
import type { JWTPayload } from 'jose'
import { generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { column, readDocument, readTable } from './markdown.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

/** The values of the headers `Authorization` of each request, by what its token is. */
async function requests(): Promise<Readonly<Record<string, readonly string[]>>> {
  const { issuer } = stage
  const now = Math.floor(Date.now() / 1000)
  const bearer = async (claims: Readonly<Record<string, unknown>>, header = {}) => [
    `Bearer ${await issuer.token(claims as JWTPayload, header)}`,
  ]
  const claims = {
    iss: issuer.issuer,
    sub: 'alice',
    aud: 'user-service',
    scope: 'profiles:read',
    exp: now + 300,
    iat: now,
  }
  const { privateKey } = await generateKeyPair('ES256')
  const header = { alg: 'ES256', kid: 'ES256-1', typ: 'at+jwt' }
  const good = await issuer.token()
  return {
    good: [`Bearer ${good}`],
    'good, of a type JWT': await bearer({}, { typ: 'JWT' }),
    'for several audiences': await bearer({ aud: ['other', 'user-service'] }),
    'the scheme in other letters': [`bEARER ${good}`],
    none: [],
    'the scheme without a token': ['Bearer'],
    'another scheme': ['Basic YTpi'],
    text: ['Bearer text'],
    'two `Authorization` headers': [`Bearer ${good}`, `Bearer ${good}`],
    'for another audience': await bearer({ aud: 'other' }),
    'without `aud`': await bearer({ aud: undefined }),
    'of another issuer': await bearer({ iss: 'https://other.example.com' }),
    'without `iss`': await bearer({ iss: undefined }),
    'expired for an hour': await bearer({ iat: now - 7_200, exp: now - 3_600 }),
    'expired for 3 seconds': await bearer({ iat: now - 600, exp: now - 3 }),
    'not valid yet': await bearer({ nbf: now + 3_600 }),
    'without `exp`': await bearer({ exp: undefined }),
    'without `sub`': await bearer({ sub: undefined }),
    'with another scope': await bearer({ scope: 'mail' }),
    'without a scope': await bearer({ scope: undefined }),
    'an ID token, with `nonce`': await bearer({ nonce: 'n-1' }, { typ: 'JWT' }),
    'a logout token, `typ: logout+jwt`': await bearer({}, { typ: 'logout+jwt' }),
    'bound to a key (`cnf`)': await bearer({ cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } }),
    'signed by another key': [`Bearer ${await new SignJWT(claims).setProtectedHeader(header).sign(privateKey)}`],
    'of an unknown key': [
      `Bearer ${await new SignJWT(claims).setProtectedHeader({ ...header, kid: 'other' }).sign(privateKey)}`,
    ],
    'signed with a secret': [
      `Bearer ${await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'ES256-1' }).sign(Buffer.alloc(32, 1))}`,
    ],
    'not signed': [`Bearer ${new UnsecuredJWT(claims).encode()}`],
  }
}

/** The status of the answer to GET `/` with these headers. */
function statusOf(authorization: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = authorization.flatMap((value) => ['authorization', value])
    request({ port: stage.port, path: '/', headers: ['host', 'localhost', ...headers], agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
      .on('error', reject)
      .end()
  })
}

async function verdictsOf(program: string): Promise<ReadonlyMap<string, number>> {
  const verdicts = new Map<string, number>()
  await withProgram(program, async () => {
    for (const [name, authorization] of Object.entries(await requests())) {
      verdicts.set(name, await statusOf(authorization))
    }
  })
  stage.issuer.setDown(true)
  await withProgram(program, async () => {
    verdicts.set('good, while the issuer is down', await statusOf([`Bearer ${await stage.issuer.token()}`]))
  }).finally(() => stage.issuer.setDown(false))
  return verdicts
}

async function withProgram(program: string, work: () => Promise<void>): Promise<void> {
  await using _ = await stage.start(`node ${program}`, stage.local.folder)
  await work()
}

describe.each([
  ['docs/guides/from-passport-jwt.md', 'passport-jwt', 'passport-before.mjs', 'passport-after.mjs'],
  [
    'docs/guides/from-express-oauth2-jwt-bearer.md',
    'express-oauth2-jwt-bearer',
    'oauth2-before.mjs',
    'oauth2-after.mjs',
  ],
])('%s', (page, name, before, after) => {
  it('passport-before.mjs and passport-after.mjs, oauth2-before.mjs and oauth2-after.mjs differ as the table says', async () => {
    const [old, now] = [await verdictsOf(before), await verdictsOf(after)]
    const differences = [...old].flatMap(([token, status]) =>
      status === now.get(token) ? [] : [[token, String(status), String(now.get(token))]],
    )
    const rows = readTable(readDocument(page), 'Token')
    const [tokens, theirs, ours] = ['Token', name, 'Here'].map((each) => column(rows, each))
    expect(differences.toSorted()).toEqual(tokens?.map((token, i) => [token, theirs?.[i], ours?.[i]]).toSorted())
    expect(rows.length).toBeGreaterThan(0)
    expect([old.get('good'), now.get('good'), now.get('none'), now.get('with another scope')]).toEqual([
      200, 200, 401, 403,
    ])
  })
})

it.each([
  ['passport-before.mjs', null],
  ['passport-after.mjs', 'Bearer error="invalid_token"'],
])('the challenge of %s to a bad token', async (program, challenge) => {
  await withProgram(program, async () => {
    const response = await stage.get('/', await stage.issuer.token({ aud: 'other' }))
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, challenge])
  })
})
