/** The tokens that a relay refuses, by name, each with the code of its refusal. */

import type { TokenErrorCode } from '../../token/errors.ts'
import type { FlavourName } from './flavours.ts'

/** What is wrong with a token, and what a relay with the issuer's `configuration` says about it. */
export interface BadTokenFacts {
  /** `code` of the error of `relay.verify`, and of the refusal at the gate. */
  readonly code: TokenErrorCode
  /** What differs from a good token. */
  readonly means: string
  /** Flavours for which the code is another one. */
  readonly except?: Readonly<Partial<Record<FlavourName, TokenErrorCode>>>
  /** The code if the relay has `introspection` for the issuer. Default: the same. */
  readonly withIntrospection?: TokenErrorCode
}

// Cognito names the service in a scope, and not in `aud`.
const BY_SCOPE = { cognito: 'ERR_TOKEN_SCOPE' } as const

/** Every wrong token that a test issuer makes, with the code that a relay refuses it with. */
export const BAD_TOKENS = {
  expired: { code: 'ERR_TOKEN_EXPIRED', means: 'its `exp` was a minute ago' },
  'not-yet-valid': { code: 'ERR_TOKEN_NOT_YET_VALID', means: 'its `nbf` is in an hour' },
  future: { code: 'ERR_TOKEN_NOT_YET_VALID', means: 'its `iat` is in an hour' },
  audience: { code: 'ERR_TOKEN_AUDIENCE', means: 'it is for another service', except: BY_SCOPE },
  'no-audience': { code: 'ERR_TOKEN_CLAIM', means: 'it does not say for which service it is', except: BY_SCOPE },
  issuer: { code: 'ERR_TOKEN_ISSUER', means: 'its `iss` is another issuer' },
  'issuer-slash': {
    code: 'ERR_TOKEN_ISSUER',
    means: 'its `iss` has a slash at the end that it should not have, or none',
  },
  'no-issuer': { code: 'ERR_TOKEN_ISSUER', means: 'it has no `iss`' },
  'no-subject': { code: 'ERR_TOKEN_CLAIM', means: 'it has no `sub`' },
  'no-expiry': { code: 'ERR_TOKEN_CLAIM', means: 'it has no `exp`' },
  'no-issued-at': { code: 'ERR_TOKEN_CLAIM', means: 'it has no `iat`' },
  'expiry-text': { code: 'ERR_TOKEN_CLAIM', means: 'its `exp` is a text' },
  'expiry-infinite': { code: 'ERR_TOKEN_CLAIM', means: 'its `exp` is the number 1e999' },
  'subject-empty': { code: 'ERR_TOKEN_CLAIM', means: 'its `sub` is empty' },
  actor: { code: 'ERR_TOKEN_CLAIM', means: 'its `act` is a text' },
  'dpop-bound': {
    code: 'ERR_TOKEN_BOUND',
    means: 'it is bound to a key by DPoP (RFC 9449), and comes without a proof',
  },
  'certificate-bound': { code: 'ERR_TOKEN_BOUND', means: 'it is bound to a client certificate (RFC 8705)' },
  signature: { code: 'ERR_TOKEN_SIGNATURE', means: 'another key has signed it, under the name of the right one' },
  tampered: { code: 'ERR_TOKEN_SIGNATURE', means: 'its subject was changed after it was signed' },
  'zero-signature': { code: 'ERR_TOKEN_SIGNATURE', means: 'its signature is zeros, of the right length' },
  'unknown-key': { code: 'ERR_TOKEN_KEY', means: 'a key has signed it that is not published' },
  'other-algorithm': { code: 'ERR_TOKEN_KEY', means: 'its `alg` is one that is accepted, but not that of its key' },
  algorithm: { code: 'ERR_TOKEN_ALGORITHM', means: 'its `alg` is one that is not accepted (`ES256K`)' },
  hmac: { code: 'ERR_TOKEN_ALGORITHM', means: 'it is signed by HMAC, and the secret is the public key (`HS256`)' },
  'none-signed': { code: 'ERR_TOKEN_ALGORITHM', means: 'its `alg` is `none`, and it has a signature' },
  none: { code: 'ERR_TOKEN_MALFORMED', means: 'its `alg` is `none`, and it has no signature' },
  'embedded-key': { code: 'ERR_TOKEN_HEADER', means: 'it brings the key that has signed it (`jwk`)' },
  'key-url': { code: 'ERR_TOKEN_HEADER', means: 'it says where to fetch its key (`jku`)' },
  certificate: { code: 'ERR_TOKEN_HEADER', means: 'it brings a certificate (`x5c`)' },
  'certificate-url': { code: 'ERR_TOKEN_HEADER', means: 'it says where to fetch its certificate (`x5u`)' },
  critical: { code: 'ERR_TOKEN_HEADER', means: 'it has an extension that is critical and unknown (`crit`)' },
  unencoded: { code: 'ERR_TOKEN_HEADER', means: 'its payload claims to be unencoded (`b64`, RFC 7797)' },
  compressed: { code: 'ERR_TOKEN_HEADER', means: 'its payload claims to be compressed (`zip`)' },
  nested: { code: 'ERR_TOKEN_HEADER', means: 'its payload claims to be another JWT (`cty`)' },
  'key-id': { code: 'ERR_TOKEN_HEADER', means: 'its `kid` is a number' },
  type: { code: 'ERR_TOKEN_TYPE', means: 'its `typ` is that of no access token (`secevent+jwt`)' },
  'id-token': { code: 'ERR_TOKEN_TYPE', means: 'it is an ID token' },
  'refresh-token': { code: 'ERR_TOKEN_TYPE', means: 'it is a refresh token, as a JWT' },
  'logout-token': { code: 'ERR_TOKEN_TYPE', means: 'it is a logout token' },
  'introspection-response': { code: 'ERR_TOKEN_TYPE', means: 'it is the answer of an introspection (RFC 9701)' },
  'dpop-proof': { code: 'ERR_TOKEN_ISSUER', means: 'it is a DPoP proof, which has no `iss`' },
  'duplicate-claim': { code: 'ERR_TOKEN_MALFORMED', means: 'it has two `sub`, of which one is escaped' },
  'duplicate-header': { code: 'ERR_TOKEN_MALFORMED', means: 'its header has two `alg`' },
  'byte-order-mark': { code: 'ERR_TOKEN_MALFORMED', means: 'its claims begin with a byte order mark' },
  'not-json': { code: 'ERR_TOKEN_MALFORMED', means: 'its claims are no JSON' },
  deep: { code: 'ERR_TOKEN_MALFORMED', means: 'its claims have a thousand lists in each other' },
  padding: { code: 'ERR_TOKEN_MALFORMED', means: 'its signature is padded with `=`' },
  'four-parts': { code: 'ERR_TOKEN_MALFORMED', means: 'it has four parts', withIntrospection: 'ERR_TOKEN_INACTIVE' },
  truncated: {
    code: 'ERR_TOKEN_MALFORMED',
    means: 'it ends within its claims',
    withIntrospection: 'ERR_TOKEN_INACTIVE',
  },
  encrypted: { code: 'ERR_TOKEN_MALFORMED', means: 'it is a JWE', withIntrospection: 'ERR_TOKEN_INACTIVE' },
  opaque: {
    code: 'ERR_TOKEN_MALFORMED',
    means: 'it is a text that the issuer has not made',
    withIntrospection: 'ERR_TOKEN_INACTIVE',
  },
  revoked: {
    code: 'ERR_TOKEN_MALFORMED',
    means: 'it is an opaque token that was revoked',
    withIntrospection: 'ERR_TOKEN_INACTIVE',
  },
  oversized: { code: 'ERR_TOKEN_TOO_LARGE', means: 'it has more than 8192 bytes' },
} as const satisfies Readonly<Record<string, BadTokenFacts>>

/** A name of a wrong token. */
export type BadTokenKind = keyof typeof BAD_TOKENS

/**
 * The code with which a relay that has the issuer's `configuration` refuses `kind`.
 *
 * @param facts - the flavour of the issuer, and whether the relay has `introspection` for it. Default: plain, without.
 */
export function refusalCodeOf(
  kind: BadTokenKind,
  {
    flavour = 'plain',
    introspection = false,
  }: { readonly flavour?: FlavourName; readonly introspection?: boolean } = {},
): TokenErrorCode {
  const facts: BadTokenFacts = BAD_TOKENS[kind]
  return (introspection ? facts.withIntrospection : undefined) ?? facts.except?.[flavour] ?? facts.code
}
