/** What the claims of a token must say. Needs no key, so it runs before the signature is checked. */

import { ownProperty } from '../base/own-property.ts'
import { MAX_ACTORS } from '../token/actors.ts'
import type { TokenRejectedCode } from '../token/errors.ts'
import type { Claims } from '../token/verified-credential.ts'
import type { ClaimPolicy } from './issuer.ts'

type ClaimCheck = (claims: Claims, issuer: ClaimPolicy, now: number) => TokenRejectedCode | undefined

/** When a token is good: in seconds since the epoch, clock tolerance included. */
export interface Validity {
  readonly from: number
  readonly until: number
}

/** Returns the code to reject with, or `undefined` if the claims are acceptable `now`, in seconds since the epoch. */
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

/** How long claims that {@link checkClaims} accepted stay acceptable. */
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

/** The year 36812. A later date is a time in milliseconds, or a token that is meant to live for ever. */
const LATEST_DATE = 2 ** 40

/** The claims that later rules compute with must be present and have the right type: they rely on it. */
const checkTypes: ClaimCheck = (claims, { requiredClaims, audience, maxTokenAgeSeconds, maxLifetimeSeconds }) => {
  for (const name of requiredClaims) if (lacks(claims, name)) return 'ERR_TOKEN_CLAIM'
  if (audience !== null && lacks(claims, 'aud')) return 'ERR_TOKEN_CLAIM'
  if (maxTokenAgeSeconds !== undefined && lacks(claims, 'iat')) return 'ERR_TOKEN_CLAIM'
  if (maxLifetimeSeconds !== undefined && (lacks(claims, 'iat') || lacks(claims, 'exp'))) return 'ERR_TOKEN_CLAIM'
  // NumericDates (RFC 7519 §2) that are dates. `1e999` is JSON, and parses to Infinity.
  const areDates =
    isDate(ownProperty(claims, 'iat')) && isDate(ownProperty(claims, 'nbf')) && isDate(ownProperty(claims, 'exp'))
  const areNames =
    isName(ownProperty(claims, 'sub')) && isName(ownProperty(claims, 'jti')) && isName(ownProperty(claims, 'sid'))
  return areDates && areNames ? undefined : 'ERR_TOKEN_CLAIM'
}

function lacks(claims: Claims, name: string): boolean {
  return ownProperty(claims, name) === undefined
}

function isDate(date: unknown): boolean {
  return date === undefined || (typeof date === 'number' && date >= 0 && date < LATEST_DATE)
}

function isName(name: unknown): boolean {
  return name === undefined || (typeof name === 'string' && name !== '')
}

function datesOf(claims: Claims): readonly (number | undefined)[] {
  return [ownProperty(claims, 'iat'), ownProperty(claims, 'nbf'), ownProperty(claims, 'exp')] as (number | undefined)[]
}

const checkAudience: ClaimCheck = (claims, { audience }) => {
  const aud = ownProperty(claims, 'aud')
  if (typeof aud === 'string' && audience?.includes(aud)) return undefined
  const values: readonly unknown[] = Array.isArray(aud) ? aud : aud === undefined ? [] : [aud]
  if (!values.every((value) => typeof value === 'string')) return 'ERR_TOKEN_AUDIENCE'
  // One of several audiences is enough (RFC 7519 §4.1.3); each is compared to the letter.
  return audience === null || values.some((value) => audience.includes(value as string))
    ? undefined
    : 'ERR_TOKEN_AUDIENCE'
}

const checkDates: ClaimCheck = (claims, { clockToleranceSeconds: tolerance, maxTokenAgeSeconds }, now) => {
  const [issued = 0, notBefore = 0, expires = Number.POSITIVE_INFINITY] = datesOf(claims)
  if (expires + tolerance <= now) return 'ERR_TOKEN_EXPIRED'
  if (Math.max(issued, notBefore) > now + tolerance) return 'ERR_TOKEN_NOT_YET_VALID'
  // No issuer makes a token that ends before it begins, whatever the tolerance allows.
  if (Math.max(issued, notBefore) > expires + tolerance) return 'ERR_TOKEN_CLAIM'
  if (maxTokenAgeSeconds === undefined) return undefined
  return now - issued - tolerance > maxTokenAgeSeconds ? 'ERR_TOKEN_TOO_OLD' : undefined
}

const checkLifetime: ClaimCheck = (claims, { maxLifetimeSeconds }) => {
  if (maxLifetimeSeconds === undefined) return undefined
  const [issued = 0, , expires = 0] = datesOf(claims)
  return expires - issued > maxLifetimeSeconds ? 'ERR_TOKEN_LIFETIME' : undefined
}

/**
 * A sender-constrained token presented as a plain bearer token is a stolen one, or a downgrade (RFC 9449 §7.2, RFC 8705
 * §3).
 */
const checkConfirmation: ClaimCheck = (claims) =>
  ownProperty(claims, 'cnf') === undefined ? undefined : 'ERR_TOKEN_BOUND'

/** `act` and `may_act` (RFC 8693 §4.1, §4.4): nested objects, {@link MAX_ACTORS} at most. */
const checkActors: ClaimCheck = (claims) =>
  isChain(ownProperty(claims, 'act')) && isChain(ownProperty(claims, 'may_act')) ? undefined : 'ERR_TOKEN_CLAIM'

function isChain(first: unknown): boolean {
  let actor = first
  for (let length = 0; actor !== undefined; length += 1) {
    if (typeof actor !== 'object' || actor === null || Array.isArray(actor) || length === MAX_ACTORS) return false
    actor = ownProperty(actor as Claims, 'act')
  }
  return true
}

/** As libraries for JWT compare, in whole seconds: a fraction of `nbf`, and of `iat` if it has to be young, is one. */
const checkFractions: ClaimCheck = (claims, { clockToleranceSeconds: tolerance, maxTokenAgeSeconds }, now) => {
  const [issued = 0, notBefore = 0] = datesOf(claims)
  const latest = maxTokenAgeSeconds === undefined ? notBefore : Math.max(issued, notBefore)
  return latest > Math.floor(now) + tolerance ? 'ERR_TOKEN_NOT_YET_VALID' : undefined
}

const RULES: readonly ClaimCheck[] = [
  checkTypes,
  checkAudience,
  checkDates,
  checkLifetime,
  checkConfirmation,
  checkActors,
  checkFractions,
]
