/** What a token header must say before any key is looked up (RFC 8725 §3.1, §3.10, §3.11). */

import { ownProperty } from '../base/own-property.ts'
import type { TokenRejectedCode } from '../token/errors.ts'
import type { Issuer } from './issuer.ts'

// Members that would let a token choose its own key, switch the encoding, or demand what we do not implement.
const REFUSED = ['jwk', 'jku', 'x5c', 'x5u', 'crit', 'b64', 'zip']
const MAX_KID_LENGTH = 256
// What "any access-token type" means: other JWT kinds of the same issuer (logout, DPoP, …) always name themselves.
const ACCESS_TOKEN_TYPES = [undefined, 'jwt', 'at+jwt']

type Header = Readonly<Record<string, unknown>>

/**
 * The last answer: most tokens of an issuer have the same header, which the decoder keeps as one frozen object.
 * Together with that of `candidates` it saves 2 µs, a twentieth of a verification among many (`npm run bench --
 * verify`).
 */
let latest:
  | { readonly header: Header; readonly issuer: Issuer; readonly code: TokenRejectedCode | undefined }
  | undefined

/** Returns the code to reject with, or `undefined` if the header is acceptable. */
export function checkHeader(header: Header, issuer: Issuer): TokenRejectedCode | undefined {
  if (latest?.header === header && latest.issuer === issuer) return latest.code
  const code = codeOf(header, issuer)
  if (Object.isFrozen(header)) latest = { header, issuer, code }
  return code
}

function codeOf(header: Header, issuer: Issuer): TokenRejectedCode | undefined {
  const [alg, typ, kid] = [ownProperty(header, 'alg'), ownProperty(header, 'typ'), ownProperty(header, 'kid')]
  if (typeof alg !== 'string' || !issuer.algorithms.includes(alg)) return 'ERR_TOKEN_ALGORITHM'
  if (REFUSED.some((name) => Object.hasOwn(header, name)) || isNested(header)) return 'ERR_TOKEN_HEADER'
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH)) return 'ERR_TOKEN_HEADER'
  if (typ !== undefined && typeof typ !== 'string') return 'ERR_TOKEN_TYPE'
  const type = mediaType(typ)
  const accepted = issuer.typ === null ? ACCESS_TOKEN_TYPES.includes(type) : type === mediaType(issuer.typ)
  return accepted ? undefined : 'ERR_TOKEN_TYPE'
}

/** Says that the payload is another JWT (RFC 7519 §5.2), which an object of claims is not. */
function isNested(header: Header): boolean {
  const cty = ownProperty(header, 'cty')
  return typeof cty === 'string' && mediaType(cty) === 'jwt'
}

/** RFC 7515 §4.1.9: media types are case-insensitive, and `application/` may be left out. */
function mediaType(typ: string | undefined): string | undefined {
  return typ?.toLowerCase().replace(/^application\//, '')
}
