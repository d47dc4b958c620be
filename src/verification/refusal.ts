/** Why a rule refuses a token, in words that hold configured values and kinds, and no value of the token. */

import type { TokenRejectedCode } from '../token/errors.ts'
import { TokenRejectedError } from '../token/errors.ts'
import { withDetail } from '../token/refusal-detail.ts'

/** The outcome of a rule that refuses. */
export interface Refusal {
  readonly code: TokenRejectedCode
  /** What was found, such as `typ is "JWT"`. */
  readonly found: string
  /** The option of the issuer that decides, and what it says: `typ accepts "at+jwt"`. */
  readonly option?: string
  /** What differs from one token to the next, such as `12 s ago`. */
  readonly note?: string
}

/** An issuer as operators know it: its name, and the path of its options. */
export interface NamedIssuer {
  readonly issuer: string
  /** `issuers[0]`. */
  readonly path: string
}

/** The error of `refusal`; `issuer` is the accepted one that the token names, if there is one. */
export function errorOf(refusal: Refusal, issuer: NamedIssuer | undefined): TokenRejectedError {
  const { code, found, option, note } = refusal
  const expected = option === undefined || issuer === undefined ? option : `${issuer.path}.${option}`
  return withDetail(new TokenRejectedError(code), { found, expected, note, issuer: issuer?.issuer })
}

/** Media types of JWTs that may be repeated: those that IANA has registered, and words that issuers use. */
const TYPES = [
  ...['JWT', 'JOSE', 'JWS', 'JWE', 'Bearer', 'at+jwt', 'dpop+jwt', 'logout+jwt', 'secevent+jwt', 'id_token', 'ID'],
  ...['Refresh', 'token-introspection+jwt', 'oauth-authz-req+jwt', 'txntoken+jwt', 'oauth-id-jag+jwt'],
  ...['client-authentication+jwt', 'kb+jwt', 'dc+sd-jwt', 'vc+sd-jwt', 'entity-statement+jwt', 'statuslist+jwt'],
]

/** RFC 7518 §3.1, RFC 8037, RFC 8812 and RFC 9864, and what takes their place in an encrypted token. */
const ALGORITHMS = [
  ...['none', 'HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'ES256K', 'EdDSA', 'Ed25519', 'Ed448', 'dir', 'RSA-OAEP', 'RSA-OAEP-256', 'A256KW'],
]

/** What Keycloak, Cognito, Hydra and PingAM call their tokens in a claim. */
const KINDS = [
  ...['Bearer', 'DPoP', 'ID', 'Refresh', 'Offline', 'Logout', 'access', 'access_token', 'refresh_token', 'id_token'],
  'JWT',
]

/** What a claim says of the kind of token. */
export function describeKind(kind: unknown): string {
  return describe(kind, KINDS)
}

export function describeType(typ: unknown): string {
  return describe(typ, TYPES, /^application\//i)
}

export function describeAlgorithm(alg: unknown): string {
  return describe(alg, ALGORITHMS)
}

/** A word of `known` in quotes; of anything else only the kind. */
function describe(value: unknown, known: readonly string[], prefix?: RegExp): string {
  if (value === undefined) return 'absent'
  if (typeof value !== 'string') return 'not a text'
  const bare = (prefix === undefined ? value : value.replace(prefix, '')).toLowerCase()
  const word = known.find((each) => each.toLowerCase() === bare)
  return word === undefined ? 'another value' : `"${word}"`
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
] as const

/** Rounded down to one unit, so that it does not give the exact time away. */
export function describeDuration(seconds: number): string {
  const [unit, length] = UNITS.find(([, each]) => seconds >= 2 * each) ?? ['s', 1]
  return `${Math.floor(seconds / length)} ${unit}`
}
