/** What the claims of a token must say. Needs no key, so it runs before the signature is checked. */

import { ownProperty } from '../base/own-property.ts'
import { MAX_ACTORS } from '../token/actors.ts'
import { quote } from '../token/refusal-detail.ts'
import type { Claims } from '../token/verified-credential.ts'
import type { ClaimPolicy } from './issuer.ts'
import type { Refusal } from './refusal.ts'
import { describeDuration } from './refusal.ts'
import { describeOtherKind } from './token-kind.ts'

type ClaimCheck = (claims: Claims, issuer: ClaimPolicy, now: number) => Refusal | undefined

/** When a token is good: in seconds since the epoch, clock tolerance included. */
export interface Validity {
  readonly from: number
  readonly until: number
}

/** Returns why the claims are refused, or `undefined` if they are acceptable `now`, in seconds since the epoch. */
export function checkClaims(claims: Claims, issuer: ClaimPolicy, now = Date.now() / 1000): Refusal | undefined {
  for (const rule of RULES) {
    const refusal = rule(claims, issuer, now)
    if (refusal !== undefined) return refusal
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

/** First, so that an ID token is called what it is, whatever else is wrong with it here. */
const checkKind: ClaimCheck = (claims) => {
  const found = describeOtherKind(claims)
  return found === undefined ? undefined : { code: 'ERR_TOKEN_TYPE', found }
}

/** The claims that later rules compute with must be present and have the right type: they rely on it. */
const checkTypes: ClaimCheck = (claims, policy) => {
  const absent = absentClaim(claims, policy)
  if (absent !== undefined) return { code: 'ERR_TOKEN_CLAIM', ...absent }
  // NumericDates (RFC 7519 §2) that are dates. `1e999` is JSON, and parses to Infinity.
  const date = DATES.find((name) => !isDate(ownProperty(claims, name)))
  if (date !== undefined) return { code: 'ERR_TOKEN_CLAIM', found: `${date} is not a date` }
  const name = NAMES.find((each) => !isName(ownProperty(claims, each)))
  return name === undefined ? undefined : { code: 'ERR_TOKEN_CLAIM', found: `${name} is not a text, or empty` }
}

const DATES = ['iat', 'nbf', 'exp']
const NAMES = ['sub', 'jti', 'sid']

function absentClaim(claims: Claims, policy: ClaimPolicy): Pick<Refusal, 'found' | 'option'> | undefined {
  const { requiredClaims, audience, maxTokenAgeSeconds, maxLifetimeSeconds } = policy
  const required = requiredClaims.find((name) => lacks(claims, name))
  if (required !== undefined) return { found: `${required} is absent`, option: 'requiredClaims has it' }
  if (audience !== null && lacks(claims, 'aud')) {
    return { found: 'aud is absent', option: `audience accepts ${quote(audience)}` }
  }
  if (maxTokenAgeSeconds !== undefined && lacks(claims, 'iat')) {
    return { found: 'iat is absent', option: 'maxTokenAgeSeconds needs it' }
  }
  const date = maxLifetimeSeconds === undefined ? undefined : ['iat', 'exp'].find((name) => lacks(claims, name))
  return date === undefined ? undefined : { found: `${date} is absent`, option: 'maxLifetimeSeconds needs it' }
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
  if (!values.every((value) => typeof value === 'string')) {
    return { code: 'ERR_TOKEN_AUDIENCE', found: 'aud is not a text, or a list of texts' }
  }
  // One of several audiences is enough (RFC 7519 §4.1.3); each is compared to the letter.
  if (audience === null || values.some((value) => audience.includes(value as string))) return undefined
  const option = `audience accepts ${quote(audience)}`
  if (values.length === 1) return { code: 'ERR_TOKEN_AUDIENCE', found: 'aud is another value', option }
  // Not in `found`: the token must not choose among many causes, since there is a bound for those that are logged.
  return {
    code: 'ERR_TOKEN_AUDIENCE',
    found: 'aud is a list of other values',
    option,
    note: `${values.length} of them`,
  }
}

const checkDates: ClaimCheck = (claims, { clockToleranceSeconds: tolerance, maxTokenAgeSeconds }, now) => {
  const [issued = 0, notBefore = 0, expires = Number.POSITIVE_INFINITY] = datesOf(claims)
  if (expires + tolerance <= now) {
    const note = `${describeDuration(now - expires)} ago`
    return { code: 'ERR_TOKEN_EXPIRED', found: 'exp has passed', option: `clockToleranceSeconds is ${tolerance}`, note }
  }
  if (Math.max(issued, notBefore) > now + tolerance) return tooEarly({ issued, notBefore, now, tolerance })
  // No issuer makes a token that ends before it begins, whatever the tolerance allows.
  if (Math.max(issued, notBefore) > expires + tolerance) {
    return { code: 'ERR_TOKEN_CLAIM', found: 'exp is before iat or nbf' }
  }
  if (maxTokenAgeSeconds === undefined || now - issued - tolerance <= maxTokenAgeSeconds) return undefined
  const note = `${describeDuration(now - issued)} ago`
  const option = `maxTokenAgeSeconds is ${maxTokenAgeSeconds}`
  return { code: 'ERR_TOKEN_TOO_OLD', found: 'iat is too early', option, note }
}

interface Early {
  readonly issued: number
  readonly notBefore: number
  readonly now: number
  readonly tolerance: number
}

/** A token from the future usually shows that a clock is wrong. */
function tooEarly({ issued, notBefore, now, tolerance }: Early): Refusal {
  const found = `${issued > notBefore ? 'iat' : 'nbf'} is in the future`
  const note = `by ${describeDuration(Math.max(issued, notBefore) - now)}; compare the clocks of issuer and service`
  return { code: 'ERR_TOKEN_NOT_YET_VALID', found, option: `clockToleranceSeconds is ${tolerance}`, note }
}

const checkLifetime: ClaimCheck = (claims, { maxLifetimeSeconds }) => {
  if (maxLifetimeSeconds === undefined) return undefined
  const [issued = 0, , expires = 0] = datesOf(claims)
  if (expires - issued <= maxLifetimeSeconds) return undefined
  const note = describeDuration(expires - issued)
  const option = `maxLifetimeSeconds is ${maxLifetimeSeconds}`
  return { code: 'ERR_TOKEN_LIFETIME', found: 'exp is too long after iat', option, note }
}

/**
 * A sender-constrained token presented as a plain bearer token is a stolen one, or a downgrade (RFC 9449 §7.2, RFC 8705
 * §3).
 */
const checkConfirmation: ClaimCheck = (claims) =>
  ownProperty(claims, 'cnf') === undefined
    ? undefined
    : { code: 'ERR_TOKEN_BOUND', found: 'cnf binds the token to a key (DPoP or mutual TLS)' }

/** `act` and `may_act` (RFC 8693 §4.1, §4.4): nested objects, {@link MAX_ACTORS} at most. */
const checkActors: ClaimCheck = (claims) =>
  isChain(ownProperty(claims, 'act')) && isChain(ownProperty(claims, 'may_act'))
    ? undefined
    : { code: 'ERR_TOKEN_CLAIM', found: `act or may_act is not a chain of at most ${MAX_ACTORS} objects` }

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
  return latest > Math.floor(now) + tolerance ? tooEarly({ issued, notBefore, now, tolerance }) : undefined
}

/** In the order in which they are asked; each by its name, for `walkRules`. */
export const CLAIM_RULES: Readonly<Record<string, ClaimCheck>> = {
  kind: checkKind,
  requiredClaims: checkTypes,
  audience: checkAudience,
  dates: checkDates,
  lifetime: checkLifetime,
  confirmation: checkConfirmation,
  actors: checkActors,
  fractions: checkFractions,
}

const RULES = Object.values(CLAIM_RULES)
