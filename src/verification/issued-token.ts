/** Checks a token that this service was given to use elsewhere, as far as it can be looked into. */

import type { DecodedJws } from '../token/compact-jws.ts'
import { decodeCompactJws, isJws } from '../token/compact-jws.ts'
import { TokenRejectedError } from '../token/errors.ts'
import { own } from '../token/own.ts'
import type { CredentialTraits, VerifiedCredential } from '../token/verified-credential.ts'
import { createVerifiedCredential } from '../token/verified-credential.ts'
import { checkClaims } from './claim-rules.ts'
import { checkHeader } from './header-rules.ts'
import type { Issuer } from './issuer.ts'
import { verifySignature } from './signature.ts'

/** A token as it came from the token endpoint of `issuer`, and what was said about it there. */
export interface IssuedToken {
  readonly text: string
  readonly issuer: Issuer
  /** For whom it was asked; `null` where nobody was named. */
  readonly audience: readonly string[] | null
  /** What the response says of a token that does not speak for itself: claims in all but name (RFC 6749 §5.1). */
  readonly described: Readonly<Record<string, unknown>>
  readonly traits: CredentialTraits
}

/**
 * A JWS is verified like any token of its issuer, but for another audience; an opaque token is what the response says
 * that it is, because the response came from the issuer itself.
 *
 * @throws TokenError where it is not acceptable, or cannot be checked now.
 */
export async function verifyIssuedToken(issued: IssuedToken): Promise<VerifiedCredential> {
  const { text, issuer, described, traits } = issued
  const decoded = decodeCompactJws(text)
  if (decoded === undefined && isJws(text)) throw new TokenRejectedError('ERR_TOKEN_MALFORMED')
  return createVerifiedCredential({
    text,
    policy: { ...traits, issuer: issuer.issuer, scopeClaims: issuer.scopeClaims },
    claims: decoded === undefined ? described : await verifiedClaims(decoded, issued),
  })
}

async function verifiedClaims({ header, payload }: DecodedJws, { text, issuer, audience }: IssuedToken) {
  // A service's own token need not say when it was issued, or to whom; every one must end.
  const policy: Issuer = { ...issuer, audience, requiredClaims: ['exp'] }
  if (own(payload, 'iss') !== issuer.issuer) throw new TokenRejectedError('ERR_TOKEN_ISSUER')
  const code = checkHeader(header, policy) ?? checkClaims(payload, policy)
  if (code !== undefined) throw new TokenRejectedError(code)
  await verifySignature(text, own(header, 'alg') as string, await issuer.keys.candidates(header), policy)
  return payload
}
