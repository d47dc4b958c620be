/** A presented credential becomes a verified one, or an error that says why not. */

import type { JWTPayload, JWTVerifyOptions } from 'jose'
import { errors, jwtVerify } from 'jose'
import type { DecodedJws } from '../token/compact-jws.ts'
import { decodeCompactJws } from '../token/compact-jws.ts'
import type { Credential } from '../token/credential.ts'
import { TokenError, TokenRejectedError, UndecidedError } from '../token/errors.ts'
import { own } from '../token/own.ts'
import type { VerifiedCredential } from '../token/verified-credential.ts'
import { createVerifiedCredential } from '../token/verified-credential.ts'
import { checkClaims } from './claim-rules.ts'
import { checkHeader } from './header-rules.ts'
import type { Issuer } from './issuer.ts'
import type { PublishedKey } from './published-keys.ts'

export interface Verifier {
  /** Resolves with the verified credential; rejects with a {@link TokenError} and with nothing else. */
  verify(credential: Credential): Promise<VerifiedCredential>
}

export function createVerifier(issuers: readonly Issuer[], fingerprintKey: string | undefined): Verifier {
  const byName = new Map(issuers.map((issuer) => [issuer.issuer, issuer]))

  return {
    async verify(credential) {
      try {
        const text = credential.reveal()
        const decoded = decodeCompactJws(text)
        if (decoded === undefined) throw new TokenRejectedError('ERR_TOKEN_MALFORMED')
        const issuer = issuerOf(decoded, byName)
        checkBeforeKeys(text, decoded, issuer)
        const claims = await verifySignatureAndClaims(text, decoded.header, issuer)
        return createVerifiedCredential({
          credential,
          signingInput: decoded.signingInput,
          issuer: issuer.issuer,
          claims,
          fingerprintKey: fingerprintKey ?? issuer.issuer,
        })
      } catch (error) {
        throw asTokenError(error)
      }
    },
  }
}

/** The unverified `iss` chooses the issuer, and with it the only keys that may verify the token (RFC 8725 §3.8). */
function issuerOf(decoded: DecodedJws, issuers: ReadonlyMap<string, Issuer>): Issuer {
  const iss = own(decoded.payload, 'iss')
  const issuer = typeof iss === 'string' ? issuers.get(iss) : undefined
  if (issuer === undefined) throw new TokenRejectedError('ERR_TOKEN_ISSUER')
  return issuer
}

/** Everything that can refuse a token without a key, so that garbage costs neither a fetch nor a signature check. */
function checkBeforeKeys(text: string, decoded: DecodedJws, issuer: Issuer): void {
  if (text.length > issuer.maxTokenBytes) throw new TokenRejectedError('ERR_TOKEN_TOO_LARGE')
  const code = checkHeader(decoded.header, issuer)
  if (code !== undefined) throw new TokenRejectedError(code)
}

async function verifySignatureAndClaims(
  text: string,
  header: DecodedJws['header'],
  issuer: Issuer,
): Promise<Record<string, unknown>> {
  const payload = await verifyWithAny(await issuer.keys.candidates(header), text, issuer)
  const code = checkClaims(payload, issuer)
  if (code !== undefined) throw new TokenRejectedError(code)
  return payload
}

/** Tries each candidate: two keys with one `kid`, as in a sloppy rotation, must not lock anybody out. */
async function verifyWithAny(keys: readonly PublishedKey[], text: string, issuer: Issuer): Promise<JWTPayload> {
  for (const [index, { getKey }] of keys.entries()) {
    try {
      return (await jwtVerify(text, getKey, joseOptions(issuer))).payload
    } catch (error) {
      const another = error instanceof errors.JWSSignatureVerificationFailed && index < keys.length - 1
      if (!another) throw error
    }
  }
  throw new TokenRejectedError('ERR_TOKEN_KEY')
}

function joseOptions(issuer: Issuer): JWTVerifyOptions {
  return {
    algorithms: [...issuer.algorithms],
    issuer: issuer.issuer,
    requiredClaims: [...issuer.requiredClaims],
    clockTolerance: issuer.clockToleranceSeconds,
    currentDate: new Date(),
    ...(issuer.audience === null ? {} : { audience: [...issuer.audience] }),
    ...(issuer.maxTokenAgeSeconds === undefined ? {} : { maxTokenAge: issuer.maxTokenAgeSeconds }),
  }
}

/** jose's claim errors hold the payload, so they are translated and never kept as a `cause`. */
function asTokenError(error: unknown): TokenError {
  if (error instanceof TokenError) return error
  if (error instanceof errors.JWTExpired) {
    return new TokenRejectedError(error.claim === 'iat' ? 'ERR_TOKEN_TOO_OLD' : 'ERR_TOKEN_EXPIRED')
  }
  if (error instanceof errors.JWTClaimValidationFailed) return new TokenRejectedError(codeOfClaim(error))
  if (error instanceof errors.JOSEAlgNotAllowed) return new TokenRejectedError('ERR_TOKEN_ALGORITHM')
  if (error instanceof errors.JWSSignatureVerificationFailed) return new TokenRejectedError('ERR_TOKEN_SIGNATURE')
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) {
    return new TokenRejectedError('ERR_TOKEN_MALFORMED')
  }
  if (error instanceof errors.JWKSNoMatchingKey) return new TokenRejectedError('ERR_TOKEN_KEY')
  return new UndecidedError('ERR_TOKEN_UNDECIDED')
}

function codeOfClaim(error: errors.JWTClaimValidationFailed) {
  if (error.reason === 'missing' || error.reason === 'invalid') return 'ERR_TOKEN_CLAIM'
  if (error.claim === 'aud') return 'ERR_TOKEN_AUDIENCE'
  if (error.claim === 'nbf' || error.claim === 'iat') return 'ERR_TOKEN_NOT_YET_VALID'
  return 'ERR_TOKEN_CLAIM'
}
