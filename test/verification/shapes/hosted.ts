/** Tokens of Auth0, Okta, Amazon Cognito and Google, from their published references. */

import type { IssuerShapes } from './shape.ts'
import { ENCRYPTED, HASH, LOGIN, NONCE, NOW, SUBJECT } from './shape.ts'

const jwt = { typ: 'JWT', kid: 'RS256-1' }
const untyped = { typ: undefined, kid: 'RS256-1' }

const AUTH0 = 'https://example.eu.auth0.com/'
const API = 'https://user.example.com'
const auth0Access = {
  iss: AUTH0,
  sub: 'auth0|507f1f77bcf86cd799439020',
  aud: [API, `${AUTH0}userinfo`],
  azp: 'my_client_id',
  scope: 'openid profile profiles:read',
  permissions: ['profiles:read'],
  [`${API}/roles`]: ['editor'],
}
const auth0Id = {
  iss: AUTH0,
  sub: 'auth0|507f1f77bcf86cd799439020',
  aud: 'my_client_id',
  name: 'A B',
  updated_at: '2026-01-02T03:04:05.678Z',
  sid: 'xK3rX8',
  nonce: NONCE,
}

export const AUTH0_SHAPES: IssuerShapes = {
  block: 'auth0',
  roles: ['editor'],
  shapes: [
    { name: 'access token of the profile Auth0', header: jwt, claims: auth0Access, verdict: 'verified' },
    {
      name: 'access token of the profile RFC 9068',
      header: { ...jwt, typ: 'at+jwt' },
      claims: { ...auth0Access, azp: undefined, client_id: 'my_client_id', jti: '73WakrfVbNJBaAmhQtEeDv' },
      verdict: 'verified',
    },
    {
      name: 'access token of a machine',
      header: jwt,
      claims: { ...auth0Access, sub: 'my_client_id@clients', aud: API, gty: 'client-credentials' },
      verdict: 'verified',
    },
    { name: 'ID token', header: jwt, claims: auth0Id, verdict: 'ERR_TOKEN_TYPE' },
    {
      name: 'ID token without nonce',
      header: jwt,
      claims: { ...auth0Id, nonce: undefined },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
    {
      name: 'access token for the userinfo endpoint alone',
      header: jwt,
      claims: ENCRYPTED,
      verdict: 'ERR_TOKEN_MALFORMED',
    },
    { name: 'refresh token, which is opaque', header: jwt, claims: 'v1.MZ5pTvQx8sAq', verdict: 'ERR_TOKEN_MALFORMED' },
    {
      name: 'access token by the name without a slash',
      header: jwt,
      claims: { ...auth0Access, iss: AUTH0.slice(0, -1) },
      verdict: 'ERR_TOKEN_ISSUER',
    },
    {
      name: 'logout token',
      header: { ...jwt, typ: 'logout+jwt' },
      claims: { iss: AUTH0, sub: 'auth0|5', aud: 'my_client_id', jti: 'a', sid: 'b', events: {} },
      verdict: 'ERR_TOKEN_TYPE',
    },
  ],
}

const OKTA = 'https://example.okta.com/oauth2/default'
const oktaAccess = {
  ...{ ver: 1, jti: 'AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE', iss: OKTA, aud: 'api://default' },
  ...{ cid: '0oabcdefgh', uid: '00uabcdefgh', scp: ['openid', 'profile'], auth_time: NOW - 60 },
  ...{ sub: 'alice@example.com', groups: ['Everyone', 'Editors'] },
}
const oktaId = {
  ...{
    ver: 1,
    jti: 'ID.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE',
    iss: OKTA,
    aud: '0oabcdefgh',
    sub: '00uabcdefgh',
  },
  ...{ name: 'A B', amr: ['pwd'], idp: '00oabcdefgh', auth_time: NOW - 60, nonce: NONCE, at_hash: HASH },
}

export const OKTA_SHAPES: IssuerShapes = {
  block: 'okta',
  roles: ['Everyone', 'Editors'],
  shapes: [
    { name: 'access token', header: untyped, claims: oktaAccess, verdict: 'verified' },
    {
      name: 'access token of a machine',
      header: untyped,
      claims: { ...oktaAccess, uid: undefined, sub: '0oabcdefgh', scp: ['profiles:read'] },
      verdict: 'verified',
    },
    { name: 'ID token', header: untyped, claims: oktaId, verdict: 'ERR_TOKEN_TYPE' },
    {
      name: 'ID token without hash and nonce',
      header: untyped,
      claims: { ...oktaId, nonce: undefined, at_hash: undefined },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
    {
      name: 'access token of the org authorization server',
      header: { ...untyped, typ: 'application/okta-internal-at+jwt' },
      claims: { ...oktaAccess, iss: 'https://example.okta.com', aud: 'https://example.okta.com' },
      verdict: 'ERR_TOKEN_ISSUER',
    },
    {
      name: 'access token for Okta, if it had this issuer',
      header: { ...untyped, typ: 'application/okta-internal-at+jwt' },
      claims: oktaAccess,
      verdict: 'ERR_TOKEN_TYPE',
    },
  ],
}

const POOL = 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_EXAMPLE'
const cognito = {
  ...{ sub: SUBJECT, iss: POOL, origin_jti: 'a', event_id: 'b', jti: 'c', auth_time: NOW - 60 },
  'cognito:groups': ['editors'],
}
const cognitoAccess = {
  ...cognito,
  ...{ token_use: 'access', client_id: '1example23456789', version: 2, username: 'alice' },
  scope: 'openid user-service/access',
}
const cognitoId = {
  ...cognito,
  ...{
    token_use: 'id',
    aud: '1example23456789',
    'cognito:username': 'alice',
    email: 'alice@example.com',
    at_hash: HASH,
  },
}

export const COGNITO: IssuerShapes = {
  block: 'cognito',
  roles: ['editors'],
  shapes: [
    { name: 'access token', header: untyped, claims: cognitoAccess, verdict: 'verified' },
    {
      name: 'access token of a machine',
      header: untyped,
      claims: { ...cognitoAccess, sub: '1example23456789', username: undefined, scope: 'user-service/access' },
      verdict: 'verified',
    },
    {
      name: 'access token with resource binding',
      header: untyped,
      claims: { ...cognitoAccess, aud: 'https://user.example.com' },
      verdict: 'verified',
    },
    {
      name: 'access token without the scope of this service',
      header: untyped,
      claims: { ...cognitoAccess, scope: 'aws.cognito.signin.user.admin' },
      verdict: 'ERR_TOKEN_SCOPE',
    },
    { name: 'ID token', header: untyped, claims: cognitoId, verdict: 'ERR_TOKEN_TYPE' },
    {
      name: 'ID token without hash, with the scope and client_id',
      header: untyped,
      claims: { ...cognitoId, at_hash: undefined, client_id: '1example23456789', scope: 'user-service/access' },
      verdict: 'ERR_TOKEN_TYPE',
    },
    { name: 'refresh token, which is encrypted', header: untyped, claims: ENCRYPTED, verdict: 'ERR_TOKEN_MALFORMED' },
  ],
}

const SERVICE = 'https://user-service.example.run.app'
const google = {
  iss: 'https://accounts.google.com',
  sub: '110169484474386276334',
  azp: '1234.apps.googleusercontent.com',
}
const account = { email: 'caller@project.iam.gserviceaccount.com', email_verified: true }

export const GOOGLE: IssuerShapes = {
  block: 'google',
  roles: [],
  shapes: [
    {
      name: 'ID token of a service account for this service',
      header: jwt,
      claims: { ...google, ...account, azp: google.sub, aud: SERVICE },
      verdict: 'verified',
    },
    {
      name: 'ID token of a user',
      header: jwt,
      claims: {
        ...google,
        ...LOGIN,
        aud: '1234.apps.googleusercontent.com',
        at_hash: HASH,
        nonce: NONCE,
        hd: 'example.com',
      },
      verdict: 'ERR_TOKEN_TYPE',
    },
    {
      name: 'ID token of a user, without marks',
      header: jwt,
      claims: { ...google, aud: '1234.apps.googleusercontent.com', nbf: NOW, jti: 'a' },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
    {
      name: 'access token, which is opaque',
      header: jwt,
      claims: 'ya29.a0AfH6SMBexample',
      verdict: 'ERR_TOKEN_MALFORMED',
    },
    {
      name: 'assertion of a service account',
      header: jwt,
      claims: { ...account, iss: account.email, sub: account.email, aud: 'https://oauth2.googleapis.com/token' },
      verdict: 'ERR_TOKEN_ISSUER',
    },
  ],
}
