/** A tenant of Microsoft Entra ID, whose API asks for version 2 of its access tokens. */

import type { Flavour, TokenFacts } from './flavour.ts'

const TENANT = '11111111-2222-3333-4444-555555555555'
const API = 'aaaaaaaa-1111-2222-3333-444444444444'

function user({ subject, issuedAt, tokenId, sessionId }: TokenFacts): object {
  return {
    sub: subject,
    tid: TENANT,
    oid: 'cccccccc-1111-2222-3333-444444444444',
    nbf: issuedAt,
    ver: '2.0',
    uti: tokenId,
    rh: '0.AAAA.',
    name: subject,
    preferred_username: `${subject}@example.com`,
    sid: sessionId,
  }
}

export const ENTRA: Flavour = {
  algorithm: 'RS256',
  audience: API,
  paths: {
    issuer: `/${TENANT}/v2.0`,
    jwks: `/${TENANT}/discovery/v2.0/keys`,
    token: `/${TENANT}/oauth2/v2.0/token`,
    introspection: `/${TENANT}/oauth2/v2.0/introspect`,
    revocation: `/${TENANT}/oauth2/v2.0/revoke`,
  },
  typ: 'JWT',
  scopes: () => ['access_as_user'],
  access: (facts) => ({
    ...user(facts),
    aud: facts.otherAudience ?? facts.audience,
    azp: facts.clientId,
    azpacr: '0',
    scp: facts.scopes.join(' '),
    roles: facts.roles.length === 0 ? undefined : facts.roles,
  }),
  id: (facts) => ({ ...user(facts), aud: facts.clientId, nonce: 'n-0S6_WzA2MjX9kpQ' }),
  configuration: (audience) => ({ audience, requiredClaims: ['exp', 'iat', 'sub', 'azp'] }),
}
