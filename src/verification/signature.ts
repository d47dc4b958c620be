/** The one place that touches signatures: jose does. */

import type { JWTVerifyOptions } from 'jose'
import { errors, jwtVerify } from 'jose'
import type { TokenError } from '../token/errors.ts'
import { TokenRejectedError, UndecidedError } from '../token/errors.ts'
import type { Issuer } from './issuer.ts'
import type { PublishedKey } from './published-keys.ts'

/**
 * Resolves with the key that verifies the signature of `text` by `alg`, which is that of its header. Several are tried: two keys with one `kid`, as in a sloppy
 * rotation, must not lock anybody out. jose checks the registered claims on the way, as it does for everybody: those that
 * are dates as of `at`, or now.
 *
 * @throws TokenError and nothing else.
 */
export async function verifySignature(
  text: string,
  alg: string,
  keys: readonly PublishedKey[],
  issuer: Issuer,
  at?: Date,
): Promise<PublishedKey> {
  for (const [index, key] of keys.entries()) {
    try {
      await jwtVerify(text, await key.keyFor(alg), joseOptions(issuer, at))
      return key
    } catch (error) {
      const another = error instanceof errors.JWSSignatureVerificationFailed && index < keys.length - 1
      if (!another) throw asTokenError(error)
    }
  }
  throw new TokenRejectedError('ERR_TOKEN_KEY')
}

/** By issuer: they do not change. */
const optionsOf = new WeakMap<Issuer, JWTVerifyOptions>()

function joseOptions(issuer: Issuer, at: Date | undefined): JWTVerifyOptions {
  let options = optionsOf.get(issuer)
  if (options === undefined) {
    options = createOptions(issuer)
    optionsOf.set(issuer, options)
  }
  return at === undefined ? options : withoutPrototype({ ...options, currentDate: at })
}

function createOptions(issuer: Issuer): JWTVerifyOptions {
  return withoutPrototype({
    algorithms: [...issuer.algorithms],
    issuer: issuer.issuer,
    requiredClaims: [...issuer.requiredClaims],
    clockTolerance: issuer.clockToleranceSeconds,
    ...(issuer.audience === null ? {} : { audience: [...issuer.audience] }),
    ...(issuer.maxTokenAgeSeconds === undefined ? {} : { maxTokenAge: issuer.maxTokenAgeSeconds }),
  })
}

/** Nothing that was put on `Object.prototype` is an option of ours (CWE-1321). */
function withoutPrototype(options: JWTVerifyOptions): JWTVerifyOptions {
  return Object.assign(Object.create(null) as JWTVerifyOptions, options)
}

/** jose's claim errors hold the payload, so they are translated and never kept as a `cause`. */
function asTokenError(error: unknown): TokenError {
  if (error instanceof errors.JWSSignatureVerificationFailed) return new TokenRejectedError('ERR_TOKEN_SIGNATURE')
  // A second within which the claim rules and jose round differently: the next request will find the claim rules agreeing.
  if (error instanceof errors.JWTExpired) return new TokenRejectedError('ERR_TOKEN_EXPIRED')
  if (error instanceof errors.JWTClaimValidationFailed) return new TokenRejectedError('ERR_TOKEN_CLAIM')
  if (error instanceof errors.JOSEAlgNotAllowed) return new TokenRejectedError('ERR_TOKEN_ALGORITHM')
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) {
    return new TokenRejectedError('ERR_TOKEN_MALFORMED')
  }
  if (error instanceof errors.JWKSNoMatchingKey) return new TokenRejectedError('ERR_TOKEN_KEY')
  return new UndecidedError('ERR_TOKEN_UNDECIDED')
}
