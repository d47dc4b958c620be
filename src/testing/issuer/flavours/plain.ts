/** An issuer that follows RFC 9068 to the letter. */

import type { Flavour } from './flavour.ts'

export const PLAIN: Flavour = {
  algorithm: 'ES256',
  audience: 'user-service',
  paths: { issuer: '', jwks: '/jwks', token: '/token', introspection: '/introspect', revocation: '/revoke' },
  typ: 'at+jwt',
  scopes: () => [],
  access: ({ subject, audience, otherAudience, clientId, tokenId, scopes, roles, sessionId }) => ({
    sub: subject,
    aud: otherAudience ?? audience,
    client_id: clientId,
    jti: tokenId,
    scope: scopes.length === 0 ? undefined : scopes.join(' '),
    roles: roles.length === 0 ? undefined : roles,
    sid: sessionId,
  }),
  id: ({ subject, clientId, issuedAt, sessionId }) => ({
    sub: subject,
    aud: clientId,
    auth_time: issuedAt,
    nonce: 'n-0S6_WzA2MjX9kpQ',
    at_hash: 'MTIzNDU2Nzg5MDEyMzQ1Ng',
    sid: sessionId,
  }),
  configuration: (audience) => ({ audience, typ: 'at+jwt' }),
}
