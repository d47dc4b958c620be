/** A user pool of Amazon Cognito, with a resource server that is named as the service. */

import type { Flavour, TokenFacts } from './flavour.ts'

const POOL = '/eu-central-1_EXAMPLE'

function user({ subject, issuedAt, tokenId, roles }: TokenFacts): object {
  return {
    sub: subject,
    origin_jti: 'a',
    event_id: 'b',
    jti: tokenId,
    auth_time: issuedAt,
    'cognito:groups': roles.length === 0 ? undefined : roles,
  }
}

export const COGNITO: Flavour = {
  algorithm: 'RS256',
  audience: 'user-service',
  paths: {
    issuer: POOL,
    jwks: `${POOL}/.well-known/jwks.json`,
    token: '/oauth2/token',
    introspection: '/oauth2/introspect',
    revocation: '/oauth2/revoke',
  },
  typ: undefined,
  scopes: (audience) => [`${audience}/access`],
  access: (facts) => ({
    ...user(facts),
    // Only with resource binding; without, it has none.
    aud: facts.otherAudience,
    token_use: 'access',
    client_id: facts.clientId,
    version: 2,
    username: facts.subject,
    scope: ['openid', ...facts.scopes].join(' '),
  }),
  id: (facts) => ({
    ...user(facts),
    token_use: 'id',
    aud: facts.clientId,
    'cognito:username': facts.subject,
    at_hash: 'MTIzNDU2Nzg5MDEyMzQ1Ng',
  }),
  forService: (audience) => ({ scope: audience === undefined ? 'openid' : `openid ${audience}/access` }),
  configuration: (audience) => ({
    audience: null,
    requiredClaims: ['exp', 'iat', 'sub', 'client_id', 'token_use'],
    requiredScopes: [`${audience}/access`],
    roleClaims: ['cognito:groups'],
  }),
}
