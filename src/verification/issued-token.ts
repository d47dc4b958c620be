/** Checks a token that this service was given to use elsewhere, as far as it can be looked into. */

import { decodeCompactJws } from '../token/compact-jws.ts'
import { Credential } from '../token/credential.ts'
import { TokenRejectedError } from '../token/errors.ts'
import type { VerifiedCredential, VerifiedFacts } from '../token/verified-credential.ts'
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
  readonly fingerprintKey: string | undefined
  readonly watch: VerifiedFacts['watch']
}

/**
 * A JWS is verified like any token of its issuer, but for another audience; an opaque token is what the response says
 * that it is, because the response came from the issuer itself.
 *
 * @throws TokenError where it is not acceptable, or cannot be checked now.
 */
export async function verifyIssuedToken(issued: IssuedToken): Promise<VerifiedCredential> {
  const { text, issuer, described, fingerprintKey, watch } = issued
  const decoded = decodeCompactJws(text)
  if (decoded === undefined && isJws(text)) throw new TokenRejectedError('ERR_TOKEN_MALFORMED')
  const claims = decoded === undefined ? described : await verifiedClaims(decoded, issued)
  return createVerifiedCredential({
    credential: new Credential(text),
    signingInput: decoded?.signingInput ?? text,
    issuer: issuer.issuer,
    claims,
    scopeClaims: issuer.scopeClaims,
    fingerprintKey: fingerprintKey ?? issuer.issuer,
    watch,
  })
}

async function verifiedClaims(
  { header, payload }: NonNullable<ReturnType<typeof decodeCompactJws>>,
  { text, issuer, audience }: IssuedToken,
): Promise<Readonly<Record<string, unknown>>> {
  const policy: Issuer = { ...issuer, audience, typ: null, requiredClaims: ['exp'], maxTokenAgeSeconds: undefined }
  if (payload['iss'] !== issuer.issuer) throw new TokenRejectedError('ERR_TOKEN_ISSUER')
  const code = checkHeader(header, policy) ?? checkClaims(payload, policy)
  if (code !== undefined) throw new TokenRejectedError(code)
  await verifySignature(text, await issuer.keys.candidates(header), policy)
  return payload
}

function isJws(text: string): boolean {
  return text.split('.', 4).length === 3
}
