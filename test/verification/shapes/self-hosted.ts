/** Tokens of oidc-provider, Spring Authorization Server, Zitadel and Ory Hydra. */

import type { IssuerShapes } from './shape.ts'
import { HASH, LOGIN, NONCE, NOW, SUBJECT } from './shape.ts'

const jwt = { typ: 'JWT', kid: 'RS256-1' }
const untyped = { typ: undefined, kid: 'RS256-1' }

const PROVIDER = 'https://id.example.com'
const providerAccess = {
  ...{
    iss: PROVIDER,
    sub: SUBJECT,
    aud: 'https://user.example.com',
    jti: 'a',
    client_id: 'web',
    scope: 'profiles:read',
  },
}
const providerId = { iss: PROVIDER, sub: SUBJECT, aud: 'web', nonce: NONCE, at_hash: HASH, sid: 'b' }

export const OIDC_PROVIDER: IssuerShapes = {
  block: 'oidc-provider',
  roles: [],
  shapes: [
    { name: 'access token', header: { ...jwt, typ: 'at+jwt' }, claims: providerAccess, verdict: 'verified' },
    { name: 'ID token', header: jwt, claims: providerId, verdict: 'ERR_TOKEN_TYPE' },
    { name: 'ID token without typ', header: untyped, claims: providerId, verdict: 'ERR_TOKEN_TYPE' },
    {
      name: 'ID token without marks, for this service',
      header: jwt,
      claims: { iss: PROVIDER, sub: SUBJECT, aud: 'https://user.example.com' },
      verdict: 'ERR_TOKEN_TYPE',
    },
    {
      name: 'logout token',
      header: { ...jwt, typ: 'logout+jwt' },
      claims: { iss: PROVIDER, sub: SUBJECT, aud: 'web', jti: 'c', sid: 'b', events: {} },
      verdict: 'ERR_TOKEN_TYPE',
    },
    { name: 'opaque access token', header: jwt, claims: 'qXcsZbcHKQ0xrk0jPZuVFq', verdict: 'ERR_TOKEN_MALFORMED' },
  ],
}

const SPRING = 'https://auth.example.com'
const springAccess = {
  ...{ iss: SPRING, sub: 'alice', aud: ['user-service'], nbf: NOW, scope: ['openid', 'profile'], jti: 'a' },
}
const springId = {
  iss: SPRING,
  sub: 'alice',
  aud: 'web',
  azp: 'web',
  auth_time: NOW - 60,
  jti: 'b',
  sid: 'c',
  nonce: NONCE,
}

export const SPRING_SHAPES: IssuerShapes = {
  block: 'spring',
  roles: [],
  shapes: [
    { name: 'access token with a customizer', header: untyped, claims: springAccess, verdict: 'verified' },
    {
      name: 'access token of a client, by an exchange',
      header: { ...untyped, typ: 'at+jwt' },
      claims: { ...springAccess, act: { sub: 'web' } },
      verdict: 'verified',
    },
    {
      name: 'access token with default settings',
      header: untyped,
      claims: { ...springAccess, aud: 'web' },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
    { name: 'ID token', header: untyped, claims: springId, verdict: 'ERR_TOKEN_TYPE' },
    {
      name: 'ID token without nonce',
      header: untyped,
      claims: { ...springId, nonce: undefined },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
  ],
}

const ZITADEL = 'https://example.zitadel.cloud'
const zitadel = { iss: ZITADEL, sub: '298765432109876543', aud: ['298000000000000001', '312345678901234567'] }
const zitadelAccess = {
  ...zitadel,
  ...{ jti: 'V2_1', client_id: '298000000000000001', nbf: NOW },
  'urn:zitadel:iam:org:project:roles': { admin: { '290000000000000000': 'shop.example.com' } },
}
const zitadelId = { ...zitadel, ...LOGIN, azp: '298000000000000001', client_id: '298000000000000001', sid: 'V1_2' }

export const ZITADEL_SHAPES: IssuerShapes = {
  block: 'zitadel',
  roles: [],
  shapes: [
    { name: 'access token', header: jwt, claims: zitadelAccess, verdict: 'verified' },
    { name: 'ID token', header: jwt, claims: { ...zitadelId, at_hash: HASH, nonce: NONCE }, verdict: 'ERR_TOKEN_TYPE' },
    { name: 'ID token without nonce', header: jwt, claims: { ...zitadelId, at_hash: HASH }, verdict: 'ERR_TOKEN_TYPE' },
    {
      name: 'access token of another project',
      header: jwt,
      claims: { ...zitadelAccess, aud: ['298000000000000001'] },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
    { name: 'opaque access token', header: jwt, claims: 'k3Zl6Qe8_opaque', verdict: 'ERR_TOKEN_MALFORMED' },
    {
      name: 'assertion of a service user',
      header: jwt,
      claims: { iss: zitadel.sub, sub: zitadel.sub, aud: ZITADEL },
      verdict: 'ERR_TOKEN_ISSUER',
    },
  ],
}

const HYDRA = 'https://hydra.example.com'
const hydraAccess = {
  ...{ iss: HYDRA, sub: 'alice', aud: ['user-service'], client_id: 'web', ext: {}, jti: 'a', nbf: NOW },
  scp: ['openid', 'offline'],
}
const hydraId = {
  iss: HYDRA,
  sub: 'alice',
  aud: ['web'],
  at_hash: HASH,
  ...LOGIN,
  jti: 'b',
  rat: NOW,
  sid: 'c',
  nonce: NONCE,
}

export const HYDRA_SHAPES: IssuerShapes = {
  block: 'hydra',
  roles: [],
  shapes: [
    { name: 'access token', header: jwt, claims: hydraAccess, verdict: 'verified' },
    {
      name: 'access token without an audience',
      header: jwt,
      claims: { ...hydraAccess, aud: [] },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
    { name: 'ID token', header: jwt, claims: hydraId, verdict: 'ERR_TOKEN_TYPE' },
    { name: 'opaque access token', header: jwt, claims: 'ory_at_wP4e8-example.s1g', verdict: 'ERR_TOKEN_MALFORMED' },
    { name: 'opaque refresh token', header: jwt, claims: 'ory_rt_wP4e8-example.s1g', verdict: 'ERR_TOKEN_MALFORMED' },
    {
      name: 'logout token',
      header: jwt,
      claims: {
        iss: HYDRA,
        aud: ['web'],
        jti: 'c',
        sid: 'd',
        events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
      },
      verdict: 'ERR_TOKEN_TYPE',
    },
  ],
}
