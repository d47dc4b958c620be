/** Tokens of an issuer that are no access tokens, although their header does not say so. */

import { describe, expect, it } from 'vitest'
import type { IssuerOptions } from '../../src/index.ts'
import { detailOf } from '../../src/token/refusal-detail.ts'
import { ISSUER, optionsFor, refusal, verdict, withRelay } from '../support/relay.ts'
import { createSigner, goodClaims } from '../support/signer.ts'

const signer = createSigner()

function verify(claims: object, issuer: Partial<IssuerOptions> = {}, typ?: string): Promise<unknown> {
  const token = signer.token(goodClaims(ISSUER, { ...claims }), { typ })
  return withRelay(optionsFor([signer.jwk], issuer), (relay) => relay.verify(token))
}

/** What else is right for the service, and is said of another kind of token. */
const MARKS: readonly (readonly [string, object])[] = [
  ['the nonce of an ID token', { nonce: 'n-0S6_WzA2Mj' }],
  ['a nonce that is null', { nonce: null }],
  ['an empty nonce', { nonce: '' }],
  ['the hash of an access token', { at_hash: 'MTIzNDU2Nzg5MDEyMzQ1Ng' }],
  ['the hash of a code', { c_hash: 'LDktKdoQak3Pk0cnXxCltA' }],
  ['the hash of a state', { s_hash: '76sa5dd' }],
  ['the hash of a device secret', { ds_hash: '77QmUPtjPfzWtF2AnpK9RQ' }],
  ['the hash of a refresh token', { 'urn:openid:params:jwt:claim:rt_hash': 'sHahCuSpXCRg5mkDDvvr4w' }],
  ['events', { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }],
  ['events that are empty', { events: {} }],
  ['the answer of an introspection', { token_introspection: { active: true } }],
  ...['ID', 'Refresh', 'Offline', 'Logout', 'bearer', 'JWT', '', null, 7, ['Bearer'], { Bearer: true }].map(
    (typ) => [`the typ claim ${JSON.stringify(typ)}`, { typ }] as const,
  ),
  ...['id', 'refresh', 'refresh_token', 'Access', '', null, 7, ['access']].map(
    (use) => [`token_use ${JSON.stringify(use)}`, { token_use: use }] as const,
  ),
  ...['id_token', 'refresh_token', 'Access_Token', '', null, 7, ['access_token']].map(
    (name) => [`tokenName ${JSON.stringify(name)}`, { tokenName: name, token_type: 'Bearer' }] as const,
  ),
  ...['refresh', 'Refresh', 'refresh_token', 'id_token', 'ID'].map(
    (type) => [`token_type ${JSON.stringify(type)}`, { token_type: type }] as const,
  ),
  ['nonce and hash, although Keycloak calls it Bearer', { typ: 'Bearer', nonce: 'x', at_hash: 'x' }],
  ['a good use and a bad type', { token_use: 'access', typ: 'ID' }],
  ['a good type and a bad use', { token_use: 'id', typ: 'Bearer' }],
  ['a nonce, although Cognito calls it access', { token_use: 'access', nonce: 'x' }],
]

describe.each<[string, Partial<IssuerOptions>, string | undefined]>([
  ['no typ', {}, undefined],
  ['typ JWT', {}, 'JWT'],
  ['typ at+jwt', {}, 'at+jwt'],
  ['the strict typ', { typ: 'at+jwt' }, 'at+jwt'],
  ['a configured typ', { typ: ['JWT', 'custom+jwt'] }, 'custom+jwt'],
])('with %s', (_, issuer, typ) => {
  it.each(MARKS)('refuses %s [A12]', async (_mark, claims) => {
    await expect(verify(claims, issuer, typ)).rejects.toMatchObject(refusal('ERR_TOKEN_TYPE'))
  })

  it.each([
    ['without any mark', {}],
    ['that Keycloak calls Bearer', { typ: 'Bearer' }],
    ['of an older Keycloak, with a nonce', { typ: 'Bearer', nonce: 'n-0S6_WzA2Mj' }],
    ['that Cognito calls access', { token_use: 'access' }],
    ['that Hydra calls access_token', { token_use: 'access_token' }],
    ['that PingAM calls access_token', { tokenName: 'access_token', token_type: 'Bearer' }],
    ['whose token_type is the word of its issuer', { token_type: 'access' }],
    ['whose token_type is no text', { token_type: 7 }],
    ['that says how the user logged in', { auth_time: 1_700_000_000, acr: '1', amr: ['pwd'], azp: 'web', sid: 's' }],
  ])('accepts one %s', async (_good, claims) => {
    expect(await verify(claims, issuer, typ)).toMatchObject({ subject: 'alice' })
  })
})

it('calls it of another type, whatever else is wrong with it', async () => {
  const wrong = { nonce: 'x', aud: 'web', exp: 1, iat: undefined }
  expect(await verdict(verify(wrong))).toBe('ERR_TOKEN_TYPE')
})

it('a token that Keycloak binds to a key is an access token without its proof [B13]', async () => {
  expect(await verdict(verify({ typ: 'DPoP', cnf: { jkt: 'x'.repeat(43) } }))).toBe('ERR_TOKEN_BOUND')
})

it.each([
  [{ nonce: 'm4rk3r' }, 'it has nonce, as ID tokens have'],
  [{ at_hash: 'm4rk3r' }, 'it has at_hash, which access tokens do not have'],
  [{ typ: 'Refresh' }, 'its claim typ is "Refresh", not "Bearer"'],
  [{ typ: 'm4rk3r' }, 'its claim typ is another value, not "Bearer"'],
  [{ token_use: 'id' }, 'its claim token_use is "ID", not "access"'],
  [{ tokenName: 'refresh_token' }, 'its claim tokenName is "refresh_token", not "access_token"'],
  [{ token_type: 'refresh' }, 'its claim token_type is "Refresh"'],
  [{ token_use: ['m4rk3r'] }, 'its claim token_use is not a text, not "access"'],
])('the operator may read why: %j', async (claims, found) => {
  const error = await verify(claims).catch((refused: object) => refused)
  expect(detailOf(error as object)).toMatchObject({ found })
})
