/** Other JWTs that an issuer signs, or that are sent to it, as their specifications define them. */

import type { Shape } from './shape.ts'
import { NOW, SUBJECT } from './shape.ts'

/**
 * All of them, with the issuer and the audience of an accepted access token where the specification leaves that open:
 * what else is in them must be enough.
 */
export function otherKinds(iss: string, aud: unknown): readonly Shape[] {
  const kid = 'RS256-1'
  const base = { iss, aud, jti: 'a', iat: NOW, sub: SUBJECT }
  const events = { 'https://schemas.openid.net/secevent/caep/event-type/session-revoked': { event_timestamp: NOW } }
  const logout = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  const introspected = { ...base, token_introspection: { active: true, iss, aud, sub: SUBJECT } }
  // Sent by clients, which sign with their own key and are the issuer themselves.
  const client = { iss: 'web', sub: 'web', aud: iss, jti: 'b' }
  const refused = (name: string, typ: string | undefined, claims: object, verdict: Shape['verdict']): Shape => ({
    name: `${name}${typ === undefined ? ' without typ' : ''}`,
    header: { typ, kid },
    claims: { ...claims },
    verdict,
  })
  return [
    ...['secevent+jwt', undefined].map((typ) => refused('security event', typ, { ...base, events }, 'ERR_TOKEN_TYPE')),
    ...['logout+jwt', undefined].map((typ) =>
      refused('logout token', typ, { ...base, sid: 'c', events: logout }, 'ERR_TOKEN_TYPE'),
    ),
    refused('ID-JAG', 'oauth-id-jag+jwt', { ...base, client_id: 'web', scope: 'a' }, 'ERR_TOKEN_TYPE'),
    ...['token-introspection+jwt', undefined].map((typ) =>
      refused('introspection response', typ, introspected, 'ERR_TOKEN_TYPE'),
    ),
    refused('entity statement', 'entity-statement+jwt', { ...base, jwks: { keys: [] } }, 'ERR_TOKEN_TYPE'),
    refused('status list', 'statuslist+jwt', { ...base, status_list: { bits: 1, lst: 'eJw' } }, 'ERR_TOKEN_TYPE'),
    refused('userinfo response', 'JWT', { iss, aud, sub: SUBJECT, iat: undefined, exp: undefined }, 'ERR_TOKEN_CLAIM'),
    refused(
      'authorization response (JARM)',
      'JWT',
      { iss, aud, code: 'd', state: 'e', iat: undefined },
      'ERR_TOKEN_CLAIM',
    ),
    refused('DPoP proof', 'dpop+jwt', { jti: 'f', htm: 'GET', htu: 'https://user.example.com/' }, 'ERR_TOKEN_ISSUER'),
    refused('client assertion', 'JWT', client, 'ERR_TOKEN_ISSUER'),
    refused('request object', 'oauth-authz-req+jwt', { ...client, response_type: 'code' }, 'ERR_TOKEN_ISSUER'),
  ]
}
