/** A tenant of Auth0, with the access token profile "Auth0", permissions, and an Action that adds roles. */

import type { Flavour } from './flavour.ts'

export const AUTH0: Flavour = {
  algorithm: 'RS256',
  audience: 'https://user.example.com',
  paths: {
    issuer: '/',
    jwks: '/.well-known/jwks.json',
    token: '/oauth/token',
    introspection: '/oauth/introspect',
    revocation: '/oauth/revoke',
  },
  typ: 'JWT',
  scopes: () => [],
  access: ({ issuer, subject, audience, otherAudience, clientId, scopes, roles, sessionId }) => ({
    sub: subject,
    aud: otherAudience ?? [audience, `${issuer}userinfo`],
    azp: clientId,
    scope: ['openid', 'profile', ...scopes].join(' '),
    permissions: scopes,
    [`${audience}/roles`]: roles.length === 0 ? undefined : roles,
    sid: sessionId,
  }),
  id: ({ subject, clientId, issuedAt, sessionId = 'xK3rX8' }) => ({
    sub: subject,
    aud: clientId,
    name: subject,
    updated_at: new Date(issuedAt * 1000).toISOString(),
    sid: sessionId,
    nonce: 'n-0S6_WzA2MjX9kpQ',
  }),
  configuration: (audience) => ({
    audience,
    scopeClaims: ['scope', 'permissions'],
    roleClaims: [`${audience}/roles`],
  }),
}
