/** Verifies a token that the token endpoint of an issuer gave to this service. */

import { ownProperty } from '../base/own-property.ts'
import type { DecodedJws } from '../token/compact-jws.ts'
import { decodeCompactJws, isJws } from '../token/compact-jws.ts'
import { TokenRejectedError } from '../token/errors.ts'
import type { CredentialTraits, VerifiedCredential } from '../token/verified-credential.ts'
import { createVerifiedCredential } from '../token/verified-credential.ts'
import { checkClaims } from './claim-rules.ts'
import { checkHeader } from './header-rules.ts'
import type { Issuer } from './issuer.ts'
import { errorOf } from './refusal.ts'
import { findVerifyingKey } from './signature.ts'

/** A token as it came from the token endpoint of `issuer`, and what was said about it there. */
export interface IssuedToken {
  readonly text: string
  readonly issuer: Issuer
  /** The audience that was asked for; `null` if none was. */
  readonly audience: readonly string[] | null
  /** What the response says of an opaque token: claims in all but name (RFC 6749 §5.1). */
  readonly described: Readonly<Record<string, unknown>>
  readonly traits: CredentialTraits
}

/**
 * A JWS is verified like any token of its issuer, but for another audience. For an opaque token the response is
 * believed, because it came from the issuer itself.
 *
 * @throws TokenError if it is not acceptable, or cannot be checked now.
 */
export async function verifyIssuedToken(issued: IssuedToken): Promise<VerifiedCredential> {
  const { text, issuer, described, traits } = issued
  const decoded = decodeCompactJws(text)
  if (decoded === undefined && isJws(text)) throw new TokenRejectedError('ERR_TOKEN_MALFORMED')
  return createVerifiedCredential({
    text,
    policy: { ...traits, issuer: issuer.issuer, scopeClaims: issuer.scopeClaims, roleClaims: issuer.roleClaims },
    claims: decoded === undefined ? described : await verifiedClaims(decoded, issued),
  })
}

async function verifiedClaims({ header, payload }: DecodedJws, { text, issuer, audience }: IssuedToken) {
  // A service's own token need not say when it was issued, or to whom; every one must end.
  const policy: Issuer = { ...issuer, audience, requiredClaims: ['exp'] }
  if (ownProperty(payload, 'iss') !== issuer.issuer) throw new TokenRejectedError('ERR_TOKEN_ISSUER')
  const refusal = checkHeader(header, policy) ?? checkClaims(payload, policy)
  if (refusal !== undefined) throw errorOf(refusal, issuer)
  const keys = await issuer.keys.candidates(header)
  if (keys.length === 0) throw new TokenRejectedError('ERR_TOKEN_KEY')
  const key = await findVerifyingKey(text, ownProperty(header, 'alg') as string, keys)
  if (key === undefined) throw new TokenRejectedError('ERR_TOKEN_SIGNATURE')
  return payload
}
