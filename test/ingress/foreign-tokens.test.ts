/** Bearer tokens of other issuers, which the application checks by itself: refused, or ignored where that is allowed. */

import { createHmac } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import type { TokenRelayOptions } from '../../src/index.ts'
import { getActiveCredential } from '../../src/index.ts'
import { statuses } from '../support/raw.ts'
import { ISSUER } from '../support/relay.ts'
import type { Service } from '../support/service.ts'
import { bearer, signer, startService, tokenOf } from '../support/service.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

let service: Service
let handled: { readonly subject: string | undefined; readonly authorization: string | undefined }[] = []

async function start(ingress: NonNullable<TokenRelayOptions['ingress']>, others: Partial<TokenRelayOptions> = {}) {
  handled = []
  service = await startService({
    options: { ...others, ingress },
    handler: async ({ headers }, response) => {
      handled.push({ subject: getActiveCredential()?.subject, authorization: headers.authorization })
      await (await fetch(`${service.sink.origin}/sink/x`)).text()
      response.end('handled')
    },
  })
}
afterEach(() => service[Symbol.asyncDispose]())

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** As `jsonwebtoken` signs the sessions of passport-jwt. */
function sessionOf(claims: object): string {
  const input = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
  return `${input}.${createHmac('sha256', 'a secret of the application').update(input).digest('base64url')}`
}

/** `token` with another text in place of one of its three parts. */
function withPart(token: string, index: number, change: (part: string) => string): string {
  return token
    .split('.')
    .map((part, i) => (i === index ? change(part) : part))
    .join('.')
}

const FOREIGN: Readonly<Record<string, () => string>> = {
  'an HS256 session without an issuer': () => sessionOf({ sub: '42', exp: 2_000_000_000 }),
  'an HS256 session of another issuer': () => sessionOf({ iss: 'the-application', sub: '42' }),
  'a token of another authorization server': () => createSigner().token(goodClaims('https://other.example')),
  'a token whose issuer differs by a slash': () => signer.token(goodClaims(`${ISSUER}/`)),
  'a token whose issuer is no text': () => signer.token({ ...goodClaims(ISSUER), iss: [ISSUER] }),
  'an opaque token': () => 'sk_live_51H7d9w2eZvKYlo2C',
  'a signed cookie with two dots': () => 'eyJ1c2VyIjo0Mn0.Zq3vQw.fA1_2b3c4d5e6f',
  'a token in five parts': () => [encode({ alg: 'dir', enc: 'A256GCM' }), '', 'aaaa', 'bbbb', 'cccc'].join('.'),
}

const claimsAsText = JSON.stringify(goodClaims(ISSUER))

/** They name the configured issuer, whatever else is wrong with them. */
const OURS: Readonly<Record<string, () => string>> = {
  'an expired token': () => tokenOf({ exp: 1_000_000, iat: 999_000 }),
  'a token for another audience': () => tokenOf({ aud: 'another' }),
  'a forged token': () => createSigner().token(goodClaims(ISSUER)),
  'an HS256 token in the name of the issuer': () => sessionOf(goodClaims(ISSUER)),
  'a token without a signature': () => withPart(tokenOf(), 2, () => ''),
  'a token whose signature is cut off': () => withPart(tokenOf(), 2, (part) => part.slice(0, -1)),
  'a token whose header is damaged': () => withPart(tokenOf(), 0, (part) => `${part}A`),
  'a token of two parts': () => tokenOf().split('.').slice(0, 2).join('.'),
  'a token of four parts': () => `${tokenOf()}.AAAA`,
  'a token that has a claim twice': () => signer.token(claimsAsText.replace('{', '{"sub":"root",')),
  'a token that has another issuer, too': () =>
    signer.token(claimsAsText.replace('{', '{"iss":"https://other.example",')),
  'a token whose slashes are escaped, and that has a claim twice': () =>
    signer.token(claimsAsText.replace('{', '{"sub":"root",').replaceAll('/', '\\/')),
  'a token whose letters are escaped, and that has a claim twice': () =>
    signer.token(claimsAsText.replace('{', '{"sub":"root",').replace('https', '\\u0068ttps')),
  'a token whose claims are not base64url': () => withPart(tokenOf(), 1, (part) => `${part}A`),
}

const sent = (): readonly unknown[] => service.sink.received.flatMap(({ authorization }) => authorization)

describe.each(['optional', 'report'] as const)('ignored, in mode %s', (mode) => {
  it.each(
    Object.entries(FOREIGN),
  )('%s: the application gets it, there is no caller, and nothing is forwarded', async (_, make) => {
    await start({ mode, foreignTokens: 'ignore' })
    const token = make()
    expect(statuses(await service.send([bearer(token)]))).toEqual([200])
    expect(handled).toEqual([{ subject: undefined, authorization: `Bearer ${token}` }])
    expect(sent()).toEqual([])
  })

  it('a good token is none of these', async () => {
    await start({ mode, foreignTokens: 'ignore' })
    const token = tokenOf()
    expect(statuses(await service.send([bearer(token)]))).toEqual([200])
    expect(handled[0]?.subject).toBe('alice')
    expect(sent()).toEqual([`Bearer ${token}`])
  })
})

describe('refused in optional mode, also with ignore [E19]', () => {
  it.each(Object.entries(OURS))('%s', async (_, make) => {
    await start({ mode: 'optional', foreignTokens: 'ignore' })
    expect(statuses(await service.send([bearer(make())]))).toEqual([401])
    expect(handled).toEqual([])
  })

  it.each([
    ['two lines', (token: string) => [bearer(token), bearer(token)], 400],
    ['a list', (token: string) => [bearer(`${token}, ${token}`)], 400],
    ['a foreign and a good one', (token: string) => [bearer(token), bearer(tokenOf())], 400],
    ['one that is too long', () => [bearer(sessionOf({ text: 'x'.repeat(9_000) }))], 401],
  ] as const)('%s', async (_, fieldsOf, status) => {
    await start({ mode: 'optional', foreignTokens: 'ignore' })
    expect(statuses(await service.send(fieldsOf(sessionOf({ sub: '42' }))))).toEqual([status])
    expect(handled).toEqual([])
  })

  it('one whose issuer the resolver cannot look up now', async () => {
    const resolveIssuer = async () => Promise.reject(new Error('down'))
    await start({ mode: 'optional', foreignTokens: 'ignore' }, { resolveIssuer })
    const token = createSigner().token(goodClaims('https://tenant.example'))
    expect(statuses(await service.send([bearer(token)]))).toEqual([503])
  })
})

it('a token whose issuer the resolver does not accept is a foreign one', async () => {
  await start({ mode: 'optional', foreignTokens: 'ignore' }, { resolveIssuer: async () => undefined })
  const token = createSigner().token(goodClaims('https://tenant.example'))
  expect(statuses(await service.send([bearer(token)]))).toEqual([200])
  expect(handled[0]?.subject).toBeUndefined()
})

describe.each([
  ['require, with ignore', { mode: 'require', foreignTokens: 'ignore' }],
  ['the default mode, with ignore', { foreignTokens: 'ignore' }],
  ['optional, by default', { mode: 'optional' }],
  ['optional, with refuse', { mode: 'optional', foreignTokens: 'refuse' }],
] as const)('refused: %s [E19]', (_name, ingress) => {
  it.each(Object.entries(FOREIGN))('%s', async (_, make) => {
    await start(ingress)
    expect(statuses(await service.send([bearer(make())]))).toEqual([401])
    expect(handled).toEqual([])
  })
})
