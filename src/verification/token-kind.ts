/** Which tokens of an issuer are no access tokens, by what only tokens of another kind say. */

import { ownProperty } from '../base/own-property.ts'
import { describeKind } from './refusal.ts'

/**
 * Claims that no access token has: hashes of an ID token (OpenID Connect Core 1.0 §3.3.2.11, FAPI 1.0), `events` of a
 * security event or logout token (RFC 8417 §2.2), and the answer of an introspection (RFC 9701 §5).
 */
const FOREIGN_CLAIMS = ['at_hash', 'c_hash', 's_hash', 'events', 'token_introspection']
/** Keycloak names each kind of its tokens in a claim. */
const KEYCLOAK_TYPES: readonly unknown[] = ['Bearer', 'DPoP']
/** Cognito says `access`; introspection of Hydra says `access_token`. */
const TOKEN_USES: readonly unknown[] = ['access', 'access_token']

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
  const [typ, use] = [ownProperty(claims, 'typ'), ownProperty(claims, 'token_use')]
  if (typ !== undefined && !KEYCLOAK_TYPES.includes(typ)) {
    return `its claim typ is ${describeKind(typ)}, not "Bearer"`
  }
  if (use !== undefined && !TOKEN_USES.includes(use)) {
    return `its claim token_use is ${describeKind(use)}, not "access"`
  }
  // Keycloak copied the `nonce` into access tokens before version 24, and does so again on request.
  return Object.hasOwn(claims, 'nonce') && typ === undefined ? 'it has nonce, as ID tokens have' : undefined
}
