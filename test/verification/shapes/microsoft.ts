/** Tokens of Microsoft Entra ID, versions 1 and 2, and of AD FS, from their published references. */

import type { IssuerShapes } from './shape.ts'
import { HASH, NONCE, NOW, SUBJECT } from './shape.ts'

const TENANT = '11111111-2222-3333-4444-555555555555'
const API = 'aaaaaaaa-1111-2222-3333-444444444444'
const CLIENT = 'bbbbbbbb-1111-2222-3333-444444444444'
const OBJECT = 'cccccccc-1111-2222-3333-444444444444'
const header = { typ: 'JWT', kid: 'RS256-1' }

const common = { tid: TENANT, oid: OBJECT, nbf: NOW, rh: '0.AAAA.', uti: 'AAAAAAAAAAAA', aio: 'AXQAi' }
const v2 = { ...common, iss: `https://login.microsoftonline.com/${TENANT}/v2.0`, sub: SUBJECT, ver: '2.0' }
const user = { name: 'A B', preferred_username: 'alice@example.com' }
const v2Access = { ...v2, ...user, aud: API, azp: CLIENT, azpacr: '0', scp: 'access_as_user', roles: ['Tasks.Admin'] }
const v2Id = { ...v2, ...user, aud: CLIENT, nonce: NONCE }

export const ENTRA_V2: IssuerShapes = {
  block: 'entra-v2',
  roles: ['Tasks.Admin'],
  shapes: [
    { name: 'access token of a user', header, claims: v2Access, verdict: 'verified' },
    {
      name: 'access token of an application',
      header,
      claims: { ...v2, aud: API, azp: CLIENT, azpacr: '1', sub: OBJECT, idtyp: 'app', roles: ['Tasks.Read.All'] },
      verdict: 'verified',
    },
    { name: 'ID token', header, claims: v2Id, verdict: 'ERR_TOKEN_TYPE' },
    {
      name: 'ID token of a hybrid flow',
      header,
      claims: { ...v2Id, c_hash: HASH, at_hash: HASH },
      verdict: 'ERR_TOKEN_TYPE',
    },
    {
      name: 'ID token without nonce',
      header,
      claims: { ...v2Id, nonce: undefined, aud: CLIENT },
      verdict: 'ERR_TOKEN_CLAIM',
    },
    {
      name: 'ID token without nonce of the one registration',
      header,
      claims: { ...v2Id, nonce: undefined, aud: API, roles: ['Tasks.Admin'] },
      verdict: 'ERR_TOKEN_CLAIM',
    },
    {
      name: 'access token for another API',
      header,
      claims: { ...v2Access, aud: CLIENT },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
    {
      name: 'access token of version 1',
      header: { ...header, x5t: 'RS256-1' },
      claims: {
        ...common,
        iss: `https://sts.windows.net/${TENANT}/`,
        aud: `api://${API}`,
        appid: CLIENT,
        sub: SUBJECT,
      },
      verdict: 'ERR_TOKEN_ISSUER',
    },
    {
      name: 'access token of another tenant',
      header,
      claims: { ...v2Access, iss: 'https://login.microsoftonline.com/99999999-2222-3333-4444-555555555555/v2.0' },
      verdict: 'ERR_TOKEN_ISSUER',
    },
    {
      name: 'refresh token, which is opaque',
      header,
      claims: '0.AXQAi1234567890.AgABAAEAAAD',
      verdict: 'ERR_TOKEN_MALFORMED',
    },
  ],
}

const v1 = { ...common, iss: `https://sts.windows.net/${TENANT}/`, sub: SUBJECT, ver: '1.0', ipaddr: '203.0.113.7' }
const v1User = { name: 'A B', unique_name: 'alice@example.com', upn: 'alice@example.com', amr: ['pwd'] }
const v1Header = { ...header, x5t: 'RS256-1' }
const v1Access = {
  ...{ ...v1, ...v1User, aud: 'api://user-service', appid: CLIENT, appidacr: '0', acr: '1' },
  ...{ scp: 'access_as_user', roles: ['Tasks.Admin'], idp: 'https://sts.windows.net/x/' },
}

export const ENTRA_V1: IssuerShapes = {
  block: 'entra-v1',
  roles: ['Tasks.Admin'],
  shapes: [
    { name: 'access token of a user', header: v1Header, claims: v1Access, verdict: 'verified' },
    {
      name: 'access token of an application',
      header: v1Header,
      claims: {
        ...v1,
        aud: 'api://user-service',
        appid: CLIENT,
        appidacr: '1',
        sub: OBJECT,
        roles: ['Tasks.Read.All'],
      },
      verdict: 'verified',
    },
    {
      name: 'ID token',
      header: v1Header,
      claims: { ...v1, ...v1User, aud: CLIENT, nonce: NONCE },
      verdict: 'ERR_TOKEN_TYPE',
    },
    {
      name: 'ID token without nonce',
      header: v1Header,
      claims: { ...v1, ...v1User, aud: 'api://user-service' },
      verdict: 'ERR_TOKEN_CLAIM',
    },
    {
      name: 'access token for Microsoft Graph',
      header: { ...v1Header, nonce: NONCE },
      claims: { ...v1Access, aud: '00000003-0000-0000-c000-000000000000' },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
  ],
}

const trust = 'http://adfs.example.com/adfs/services/trust'
const adfsLogin = {
  apptype: 'Public',
  appid: CLIENT,
  authmethod: 'urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport',
  auth_time: '2026-01-02T03:04:05.678Z',
  ver: '1.0',
}
const adfsHeader = { typ: 'JWT', x5t: 'RS256-1', kid: 'RS256-1' }
const adfsAccess = { iss: trust, aud: 'https://user.example.com', scp: 'openid access_as_user', ...adfsLogin }
const adfsId = {
  iss: 'https://adfs.example.com/adfs',
  aud: CLIENT,
  sub: SUBJECT,
  upn: 'alice@example.com',
  nonce: NONCE,
}

export const ADFS: IssuerShapes = {
  block: 'adfs',
  roles: [],
  shapes: [
    { name: 'access token', header: adfsHeader, claims: adfsAccess, verdict: 'verified' },
    { name: 'access token with sub', header: adfsHeader, claims: { ...adfsAccess, sub: SUBJECT }, verdict: 'verified' },
    {
      name: 'access token for another API',
      header: adfsHeader,
      claims: { ...adfsAccess, aud: 'microsoft:identityserver:other' },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
    {
      name: 'access token of an older version, without kid',
      header: { typ: 'JWT', kid: undefined, x5t: 'RS256-1' },
      claims: adfsAccess,
      verdict: 'verified',
    },
    {
      name: 'access token of a client that requested no resource',
      header: adfsHeader,
      claims: { ...adfsAccess, aud: 'urn:microsoft:userinfo', scp: 'openid' },
      verdict: 'ERR_TOKEN_AUDIENCE',
    },
    { name: 'ID token', header: adfsHeader, claims: adfsId, verdict: 'ERR_TOKEN_ISSUER' },
    {
      name: 'ID token, if it had that issuer',
      header: adfsHeader,
      claims: { ...adfsId, iss: trust },
      verdict: 'ERR_TOKEN_TYPE',
    },
    {
      name: 'ID token without nonce, if it had that issuer and audience',
      header: adfsHeader,
      claims: { ...adfsId, iss: trust, aud: 'https://user.example.com', nonce: undefined },
      verdict: 'ERR_TOKEN_CLAIM',
    },
  ],
}
