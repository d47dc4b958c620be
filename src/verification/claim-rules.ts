/** What the claims of a token must say. Needs no key, so it runs before the signature is checked. */

import { MAX_ACTORS } from '../token/actors.ts'
import type { TokenRejectedCode } from '../token/errors.ts'
import { own } from '../token/own.ts'
import type { ClaimPolicy } from './issuer.ts'

type Claims = Readonly<Record<string, unknown>>
type Rule = (claims: Claims, issuer: ClaimPolicy, now: number) => TokenRejectedCode | undefined

/** When a token is good, in seconds since the epoch, clock tolerance included. */
export interface Validity {
  readonly from: number
  readonly until: number
}

/**
 * Returns the code to reject with, or `undefined` when the claims are acceptable `now`, in seconds since the epoch. jose checks some of this again
 * together with the signature; here a flood of useless tokens is refused for a hundredth of the price.
 */
export function checkClaims(
  claims: Claims,
  issuer: ClaimPolicy,
  now = Date.now() / 1000,
): TokenRejectedCode | undefined {
  for (const rule of RULES) {
    const code = rule(claims, issuer, now)
    if (code !== undefined) return code
  }
  return undefined
}

/** The time in which claims that {@link checkClaims} accepted stay acceptable. */
export function validityOf(claims: Claims, issuer: ClaimPolicy): Validity {
  const { clockToleranceSeconds: tolerance, maxTokenAgeSeconds = Number.POSITIVE_INFINITY } = issuer
  const [issued, notBefore, expires] = datesOf(claims)
  return {
    from: Math.max(issued ?? 0, notBefore ?? 0) - tolerance,
    until:
      Math.min(expires ?? Number.POSITIVE_INFINITY, (issued ?? Number.POSITIVE_INFINITY) + maxTokenAgeSeconds) +
      tolerance,
  }
}

/** Later than the year 36000 in seconds: a time in milliseconds, or a token that was to live for ever. */
const LATEST_DATE = 2 ** 40

/** What others compute with must be there and be what it is called: everything after this may rely on it. */
const checkTypes: Rule = (claims, { requiredClaims, audience, maxTokenAgeSeconds, maxLifetimeSeconds }) => {
  const lacks = (name: string): boolean => own(claims, name) === undefined
  if (requiredClaims.some(lacks) || (audience !== null && lacks('aud'))) return 'ERR_TOKEN_CLAIM'
  if (maxTokenAgeSeconds !== undefined && lacks('iat')) return 'ERR_TOKEN_CLAIM'
  if (maxLifetimeSeconds !== undefined && (lacks('iat') || lacks('exp'))) return 'ERR_TOKEN_CLAIM'
  // NumericDates (RFC 7519 §2) that are dates. `1e999` is JSON, and parses to Infinity.
  const areDates = isDate(own(claims, 'iat')) && isDate(own(claims, 'nbf')) && isDate(own(claims, 'exp'))
  const areNames = isName(own(claims, 'sub')) && isName(own(claims, 'jti')) && isName(own(claims, 'sid'))
  return areDates && areNames ? undefined : 'ERR_TOKEN_CLAIM'
}

function isDate(date: unknown): boolean {
  return date === undefined || (typeof date === 'number' && date >= 0 && date < LATEST_DATE)
}

function isName(name: unknown): boolean {
  return name === undefined || (typeof name === 'string' && name !== '')
}

function datesOf(claims: Claims): readonly (number | undefined)[] {
  return [own(claims, 'iat'), own(claims, 'nbf'), own(claims, 'exp')] as (number | undefined)[]
}

const checkAudience: Rule = (claims, { audience }) => {
  const aud = own(claims, 'aud')
  const values: readonly unknown[] = Array.isArray(aud) ? aud : aud === undefined ? [] : [aud]
  if (!values.every((value) => typeof value === 'string')) return 'ERR_TOKEN_AUDIENCE'
  // One of several audiences is enough (RFC 7519 §4.1.3); each is compared to the letter.
  return audience === null || values.some((value) => audience.includes(value as string))
    ? undefined
    : 'ERR_TOKEN_AUDIENCE'
}

const checkDates: Rule = (claims, { clockToleranceSeconds: tolerance, maxTokenAgeSeconds }, now) => {
  const [issued = 0, notBefore = 0, expires = Number.POSITIVE_INFINITY] = datesOf(claims)
  if (expires + tolerance <= now) return 'ERR_TOKEN_EXPIRED'
  if (Math.max(issued, notBefore) > now + tolerance) return 'ERR_TOKEN_NOT_YET_VALID'
  // A token that ends before it begins is nobody's idea of a token, whatever the tolerance allows.
  if (Math.max(issued, notBefore) > expires + tolerance) return 'ERR_TOKEN_CLAIM'
  if (maxTokenAgeSeconds === undefined) return undefined
  return now - issued - tolerance > maxTokenAgeSeconds ? 'ERR_TOKEN_TOO_OLD' : undefined
}

const checkLifetime: Rule = (claims, { maxLifetimeSeconds }) => {
  if (maxLifetimeSeconds === undefined) return undefined
  const [issued = 0, , expires = 0] = datesOf(claims)
  return expires - issued > maxLifetimeSeconds ? 'ERR_TOKEN_LIFETIME' : undefined
}

/** A sender-constrained token presented as a plain bearer token is a stolen one, or a downgrade (RFC 9449 §7.2, RFC 8705 §3). */
const checkConfirmation: Rule = (claims) => (own(claims, 'cnf') === undefined ? undefined : 'ERR_TOKEN_BOUND')

/** `act` and `may_act` (RFC 8693 §4.1, §4.4): objects, one inside the other, and not without end. */
const checkActors: Rule = (claims) =>
  ['act', 'may_act'].every((name) => isChain(own(claims, name))) ? undefined : 'ERR_TOKEN_CLAIM'

function isChain(first: unknown): boolean {
  let actor = first
  for (let length = 0; actor !== undefined; length += 1) {
    if (typeof actor !== 'object' || actor === null || Array.isArray(actor) || length === MAX_ACTORS) return false
    actor = own(actor as Claims, 'act')
  }
  return true
}

const RULES: readonly Rule[] = [checkTypes, checkAudience, checkDates, checkLifetime, checkConfirmation, checkActors]
