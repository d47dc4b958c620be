/** What a token header must say before any key is looked up (RFC 8725 §3.1, §3.10, §3.11). */

import { ownProperty } from '../base/own-property.ts'
import { quote } from '../token/refusal-detail.ts'
import type { Issuer } from './issuer.ts'
import type { Refusal } from './refusal.ts'
import { describeAlgorithm, describeType } from './refusal.ts'

// Members that would let a token choose its own key, switch the encoding, or demand what we do not implement.
const REFUSED = ['jwk', 'jku', 'x5c', 'x5u', 'crit', 'b64', 'zip']
const MAX_KID_LENGTH = 256
// What `null` means: most issuers call an access token no more than a JWT. Other kinds (logout, DPoP, …) name
// themselves, here or in their claims.
const ACCESS_TOKEN_TYPES = [undefined, 'jwt', 'at+jwt']

type Header = Readonly<Record<string, unknown>>

/**
 * The last answer: most tokens of an issuer have the same header, which the decoder keeps as one frozen object.
 * Together with that of `candidates` it saves 2 µs, a twentieth of a verification among many (`npm run bench --
 * verify`).
 */
let latest: { readonly header: Header; readonly issuer: Issuer; readonly refusal: Refusal | undefined } | undefined

/** Returns why the header is refused, or `undefined` if it is acceptable. */
export function checkHeader(header: Header, issuer: Issuer): Refusal | undefined {
  if (latest?.header === header && latest.issuer === issuer) return latest.refusal
  const refusal = refusalOf(header, issuer)
  if (Object.isFrozen(header)) latest = { header, issuer, refusal }
  return refusal
}

function refusalOf(header: Header, issuer: Issuer): Refusal | undefined {
  for (const rule of RULES) {
    const refusal = rule(header, issuer)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

type HeaderCheck = (header: Header, issuer: Issuer) => Refusal | undefined

const checkAlgorithm: HeaderCheck = (header, { algorithms }) => {
  const alg = ownProperty(header, 'alg')
  if (typeof alg === 'string' && algorithms.includes(alg)) return undefined
  const option = `algorithms accepts ${quote(algorithms)}`
  return { code: 'ERR_TOKEN_ALGORITHM', found: `alg is ${describeAlgorithm(alg)}`, option }
}

const checkMembers: HeaderCheck = (header) => {
  const kid = ownProperty(header, 'kid')
  const refused = REFUSED.find((name) => Object.hasOwn(header, name))
  if (refused !== undefined) return { code: 'ERR_TOKEN_HEADER', found: `the header has "${refused}"` }
  if (isNested(header)) return { code: 'ERR_TOKEN_HEADER', found: 'the header says that a JWT is inside (cty)' }
  if (kid === undefined || (typeof kid === 'string' && kid.length <= MAX_KID_LENGTH)) return undefined
  return { code: 'ERR_TOKEN_HEADER', found: `kid is not a text of at most ${MAX_KID_LENGTH} characters` }
}

const checkType: HeaderCheck = (header, issuer) => {
  const typ = ownProperty(header, 'typ')
  const type = typeof typ === 'string' ? mediaType(typ) : undefined
  const accepted = issuer.typ?.some((each) => mediaType(each) === type) ?? ACCESS_TOKEN_TYPES.includes(type)
  if (accepted && (typ === undefined || typeof typ === 'string')) return undefined
  const option = `typ accepts ${issuer.typ === null ? '"at+jwt", "JWT" or none' : quote(issuer.typ)}`
  return { code: 'ERR_TOKEN_TYPE', found: `typ is ${describeType(typ)}`, option }
}

/** In the order in which they are asked; each by its name, for `walkRules`. */
export const HEADER_RULES: Readonly<Record<string, HeaderCheck>> = {
  algorithm: checkAlgorithm,
  header: checkMembers,
  type: checkType,
}

const RULES = Object.values(HEADER_RULES)

/** Says that the payload is another JWT (RFC 7519 §5.2), which an object of claims is not. */
function isNested(header: Header): boolean {
  const cty = ownProperty(header, 'cty')
  return typeof cty === 'string' && mediaType(cty) === 'jwt'
}

/** RFC 7515 §4.1.9: media types are case-insensitive, and `application/` may be left out. */
function mediaType(typ: string | undefined): string | undefined {
  return typ?.toLowerCase().replace(/^application\//, '')
}
