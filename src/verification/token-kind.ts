/** Which tokens of an issuer are no access tokens, by what only tokens of another kind say. */

import { ownProperty } from '../base/own-property.ts'
import { describeKind } from './refusal.ts'

/**
 * Claims that no access token has: hashes of an ID token (OpenID Connect Core 1.0 §3.3.2.11, FAPI 1.0, Native SSO §3.3,
 * CIBA §10.3.1), `events` of a security event or logout token (RFC 8417 §2.2), and the answer of an introspection (RFC
 * 9701 §5).
 */
const FOREIGN_CLAIMS = [
  ...['at_hash', 'c_hash', 's_hash', 'ds_hash', 'urn:openid:params:jwt:claim:rt_hash'],
  ...['events', 'token_introspection'],
]
/** In which claims issuers say the kind of a token, and what they say of access tokens. The first is the usual word. */
const KINDS: Readonly<Record<string, readonly unknown[]>> = {
  // Keycloak.
  typ: ['Bearer', 'DPoP'],
  // Cognito, and the introspection of Hydra.
  token_use: ['access', 'access_token'],
  // PingAM.
  tokenName: ['access_token'],
}
const NAMES = Object.keys(KINDS)
/** What `token_type` says of other tokens. Of access tokens it says how to send them (RFC 6749 §7.1), or anything. */
const OTHER_TYPES: readonly unknown[] = ['refresh', 'refresh_token', 'id', 'id_token']

/**
 * Says why the claims are not those of an access token, or returns `undefined`. Most issuers give all their tokens the
 * type `JWT`, or none, so the type of the header cannot tell them apart (RFC 8725 §3.11).
 *
 * Does not depend on the configured `typ`: a token that calls itself `at+jwt` and an ID token contradicts itself, as
 * from an issuer that signs all its tokens with one function. The strict type must not accept what the default refuses.
 */
export function describeOtherKind(claims: Readonly<Record<string, unknown>>): string | undefined {
  const foreign = FOREIGN_CLAIMS.find((name) => Object.hasOwn(claims, name))
  if (foreign !== undefined) return `it has ${foreign}, which access tokens do not have`
  const name = NAMES.find((each) => isOtherKind(ownProperty(claims, each), KINDS[each]))
  if (name !== undefined) {
    return `its claim ${name} is ${describeKind(ownProperty(claims, name))}, not "${String(KINDS[name]?.[0])}"`
  }
  const type = ownProperty(claims, 'token_type')
  if (typeof type === 'string' && OTHER_TYPES.includes(type.toLowerCase())) {
    return `its claim token_type is ${describeKind(type)}`
  }
  // Keycloak copied the `nonce` into access tokens before version 24, and does so again on request.
  return Object.hasOwn(claims, 'nonce') && !Object.hasOwn(claims, 'typ') ? 'it has nonce, as ID tokens have' : undefined
}

function isOtherKind(kind: unknown, accepted: readonly unknown[] = []): boolean {
  return kind !== undefined && !accepted.includes(kind)
}
