/** A realm of Keycloak 26, as a new one is, with an audience mapper and a client role. */

import type { Flavour, TokenFacts } from './flavour.ts'

const REALM = '/realms/shop'
const PROTOCOL = `${REALM}/protocol/openid-connect`

function session({ subject, clientId, sessionId = '7b6f7d0e-6a5c-4d7a-9a0e-0d3cf1a7a9b2' }: TokenFacts): object {
  return { sub: subject, azp: clientId, sid: sessionId, acr: '1' }
}

export const KEYCLOAK: Flavour = {
  algorithm: 'RS256',
  audience: 'user-service',
  paths: {
    issuer: REALM,
    jwks: `${PROTOCOL}/certs`,
    token: `${PROTOCOL}/token`,
    introspection: `${PROTOCOL}/token/introspect`,
    revocation: `${PROTOCOL}/revoke`,
  },
  typ: 'JWT',
  scopes: () => ['profile', 'email'],
  access: (facts) => ({
    ...session(facts),
    jti: `onrtro:${facts.tokenId}`,
    aud: facts.otherAudience ?? [facts.audience, 'account'],
    typ: 'Bearer',
    realm_access: { roles: ['offline_access', 'default-roles-shop', 'uma_authorization'] },
    resource_access: {
      ...(facts.roles.length === 0 ? {} : { [facts.audience]: { roles: facts.roles } }),
      account: { roles: ['manage-account', 'manage-account-links', 'view-profile'] },
    },
    scope: facts.scopes.join(' '),
    preferred_username: facts.subject,
    email_verified: true,
  }),
  id: (facts) => ({
    ...session(facts),
    jti: facts.tokenId,
    aud: facts.clientId,
    typ: 'ID',
    at_hash: 'MTIzNDU2Nzg5MDEyMzQ1Ng',
    preferred_username: facts.subject,
  }),
  configuration: (audience) => ({
    audience,
    // A name with dots cannot be part of a path.
    roleClaims: [
      'realm_access.roles',
      audience.includes('.') ? ['resource_access', audience, 'roles'] : `resource_access.${audience}.roles`,
    ],
  }),
}
