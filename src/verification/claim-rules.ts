/** What the claims of a correctly signed token must say beyond what jose checks. */

import type { TokenRejectedCode } from '../token/errors.ts'
import { own } from '../token/own.ts'
import type { Issuer } from './issuer.ts'

const DATES = ['exp', 'nbf', 'iat'] as const

/** Returns the code to reject with, or `undefined` when the claims are acceptable. */
export function checkClaims(claims: Record<string, unknown>, issuer: Issuer): TokenRejectedCode | undefined {
  // `1e999` is valid JSON and parses to Infinity: a token that never expires (RFC 7519 §2, NumericDate).
  const dates = DATES.map((name) => own(claims, name)).filter((date) => date !== undefined)
  if (!dates.every(Number.isFinite)) return 'ERR_TOKEN_CLAIM'
  const subject = own(claims, 'sub')
  if (subject !== undefined && (typeof subject !== 'string' || subject === '')) return 'ERR_TOKEN_CLAIM'
  const issuedAt = own(claims, 'iat')
  const latest = Date.now() / 1000 + issuer.clockToleranceSeconds
  return typeof issuedAt === 'number' && issuedAt > latest ? 'ERR_TOKEN_NOT_YET_VALID' : undefined
}
