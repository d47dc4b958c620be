/** What the claims of a correctly signed token must say beyond what jose checks. */

import type { TokenRejectedCode } from '../token/errors.ts'
import type { Issuer } from './issuer.ts'

const DATES = ['exp', 'nbf', 'iat'] as const

/** Returns the code to reject with, or `undefined` when the claims are acceptable. */
export function checkClaims(claims: Record<string, unknown>, issuer: Issuer): TokenRejectedCode | undefined {
  // `1e999` is valid JSON and parses to Infinity: a token that never expires (RFC 7519 §2, NumericDate).
  if (DATES.some((name) => claims[name] !== undefined && !Number.isFinite(claims[name]))) return 'ERR_TOKEN_CLAIM'
  if (claims['sub'] !== undefined && (typeof claims['sub'] !== 'string' || claims['sub'] === ''))
    return 'ERR_TOKEN_CLAIM'
  const { iat } = claims
  const now = Date.now() / 1000
  if (typeof iat === 'number' && iat > now + issuer.clockToleranceSeconds) return 'ERR_TOKEN_NOT_YET_VALID'
  return undefined
}
