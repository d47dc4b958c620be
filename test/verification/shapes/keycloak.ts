/**
 * Tokens of Keycloak 26.4, recorded from a new realm and a new client with default settings. Names, identifiers and
 * times are replaced, an audience mapper and a client role are added, and what else differs is in the name.
 */

import type { IssuerShapes, Shape } from './shape.ts'
import { HASH, NONCE, NOW, SUBJECT } from './shape.ts'

const ISS = 'https://keycloak.example.com/realms/shop'
const SID = '7b6f7d0e-6a5c-4d7a-9a0e-0d3cf1a7a9b2'
const header = { typ: 'JWT', kid: 'RS256-1' }
const session = { iss: ISS, sub: SUBJECT, azp: 'web', sid: SID, acr: '1' }
const profile = {
  ...{ email_verified: true, name: 'A B', preferred_username: 'alice', given_name: 'A', family_name: 'B' },
  email: 'alice@example.com',
}

const access = {
  ...session,
  ...profile,
  jti: 'onrtro:78b1ce4a-6320-0620-325a-14686183566c',
  aud: ['user-service', 'account'],
  typ: 'Bearer',
  realm_access: { roles: ['offline_access', 'default-roles-shop', 'uma_authorization'] },
  resource_access: {
    'user-service': { roles: ['editor'] },
    account: { roles: ['manage-account', 'manage-account-links', 'view-profile'] },
  },
  scope: 'openid profile email',
}
const service = {
  ...{ clientHost: '10.0.0.1', clientAddress: '10.0.0.1', client_id: 'web' },
  ...{ email_verified: false, preferred_username: 'service-account-web' },
}
const id = {
  ...session,
  ...profile,
  jti: '0d1c9a0f-7f2e-4d8e-8f4e-2f8a6c1d9b10',
  aud: 'web',
  typ: 'ID',
  at_hash: HASH,
}
const refresh = {
  ...{ ...session, acr: undefined, jti: 'a1', aud: ISS, typ: 'Refresh' },
  scope: 'openid profile basic acr web-origins service_account roles email',
}
const hmac = { alg: 'HS512', typ: 'JWT', kid: 'a0b1c2d3' }
const logout = {
  iss: ISS,
  sub: SUBJECT,
  aud: 'web',
  jti: 'b2',
  sid: SID,
  typ: 'Logout',
  events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
}

const shapes: readonly Shape[] = [
  { name: 'access token', header, claims: access, verdict: 'verified' },
  { name: 'access token with at+jwt', header: { ...header, typ: 'at+jwt' }, claims: access, verdict: 'verified' },
  {
    name: 'access token of a service account',
    header,
    claims: {
      ...{ ...access, ...service, jti: 'trrtcc:711d2ad4-a755-ee1a-13b8-fbe2361edb9d', scope: 'profile email' },
      ...{ name: undefined, given_name: undefined, family_name: undefined, email: undefined, sid: undefined },
    },
    verdict: 'verified',
  },
  { name: 'access token before version 24', header, claims: { ...access, nonce: NONCE }, verdict: 'verified' },
  { name: 'access token of an exchange', header, claims: { ...access, aud: 'user-service' }, verdict: 'verified' },
  {
    name: 'access token without an audience mapper',
    header,
    claims: { ...access, aud: 'account' },
    verdict: 'ERR_TOKEN_AUDIENCE',
  },
  {
    name: 'access token without any aud',
    header,
    claims: { ...access, aud: undefined },
    verdict: 'ERR_TOKEN_CLAIM',
  },
  {
    name: 'access token that is bound by DPoP',
    header,
    claims: { ...access, typ: 'DPoP', cnf: { jkt: 'x'.repeat(43) } },
    verdict: 'ERR_TOKEN_BOUND',
  },
  { name: 'ID token of a direct grant', header, claims: id, verdict: 'ERR_TOKEN_TYPE' },
  {
    name: 'ID token of the code flow',
    header,
    claims: { ...id, auth_time: NOW - 60, nonce: NONCE },
    verdict: 'ERR_TOKEN_TYPE',
  },
  {
    name: 'ID token without a hash, for this service',
    header,
    claims: { ...id, aud: 'user-service', at_hash: undefined },
    verdict: 'ERR_TOKEN_TYPE',
  },
  { name: 'refresh token', header: hmac, claims: refresh, verdict: 'ERR_TOKEN_ALGORITHM' },
  { name: 'refresh token, if it were signed', header, claims: refresh, verdict: 'ERR_TOKEN_TYPE' },
  {
    name: 'offline token',
    header: hmac,
    claims: { ...refresh, typ: 'Offline', exp: undefined },
    verdict: 'ERR_TOKEN_ALGORITHM',
  },
  {
    name: 'offline token, if it were signed for this service',
    header,
    claims: { ...refresh, typ: 'Offline', aud: 'user-service' },
    verdict: 'ERR_TOKEN_TYPE',
  },
  { name: 'logout token', header: { ...header, typ: 'logout+jwt' }, claims: logout, verdict: 'ERR_TOKEN_TYPE' },
  {
    name: 'logout token of an older version, for this service',
    header,
    claims: { ...logout, aud: 'user-service', typ: undefined },
    verdict: 'ERR_TOKEN_TYPE',
  },
  {
    name: 'userinfo response',
    header,
    claims: { ...profile, sub: SUBJECT, iss: ISS, aud: 'web', iat: undefined, exp: undefined },
    verdict: 'ERR_TOKEN_CLAIM',
  },
  {
    name: 'access token of another realm',
    header,
    claims: { ...access, iss: 'https://keycloak.example.com/realms/master' },
    verdict: 'ERR_TOKEN_ISSUER',
  },
]

export const KEYCLOAK: IssuerShapes = {
  block: 'keycloak',
  roles: ['offline_access', 'default-roles-shop', 'uma_authorization', 'editor'],
  shapes,
}
