/** What the claims of a correctly signed token must say beyond what jose checks. */

import type { TokenRejectedCode } from '../token/errors.ts'
import { own } from '../token/own.ts'
import type { Issuer } from './issuer.ts'

type Claims = Readonly<Record<string, unknown>>
type Rule = (claims: Claims, issuer: Issuer) => TokenRejectedCode | undefined

/** Returns the code to reject with, or `undefined` when the claims are acceptable. */
export function checkClaims(claims: Claims, issuer: Issuer): TokenRejectedCode | undefined {
  for (const rule of [checkDates, checkIssuedAt, checkSubject, checkConfirmation]) {
    const code = rule(claims, issuer)
    if (code !== undefined) return code
  }
  return undefined
}

/** Later than the year 36000 in seconds: a time in milliseconds, or a token that was to live for ever. */
const LATEST_DATE = 2 ** 40

/** NumericDates (RFC 7519 §2) that are dates, in an order that makes sense. `1e999` is JSON, and parses to Infinity. */
const checkDates: Rule = (claims, issuer) => {
  const [issued, notBefore, expires] = ['iat', 'nbf', 'exp'].map((name) => own(claims, name))
  const dates = [issued, notBefore, expires].filter((date) => date !== undefined)
  if (!dates.every(isDate)) return 'ERR_TOKEN_CLAIM'
  const end = Number(expires) + issuer.clockToleranceSeconds
  return [issued, notBefore].some((start) => Number(start) > end) ? 'ERR_TOKEN_CLAIM' : undefined
}

function isDate(date: unknown): boolean {
  return typeof date === 'number' && date >= 0 && date < LATEST_DATE
}

const checkIssuedAt: Rule = (claims, issuer) => {
  const latest = Date.now() / 1000 + issuer.clockToleranceSeconds
  return Number(own(claims, 'iat') ?? 0) > latest ? 'ERR_TOKEN_NOT_YET_VALID' : undefined
}

const checkSubject: Rule = (claims) => {
  const subject = own(claims, 'sub')
  return subject === undefined || (typeof subject === 'string' && subject !== '') ? undefined : 'ERR_TOKEN_CLAIM'
}

/** A sender-constrained token presented as a plain bearer token is a stolen one, or a downgrade (RFC 9449 §7.2, RFC 8705 §3). */
const checkConfirmation: Rule = (claims) => (own(claims, 'cnf') === undefined ? undefined : 'ERR_TOKEN_BOUND')
