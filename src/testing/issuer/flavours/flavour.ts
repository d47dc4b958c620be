/** What the issuers that a test issuer can speak as have in common. */

import type { IssuerOptions } from '../../../config/issuers.ts'
import type { TestAlgorithm } from '../signing-key.ts'

/** What a token is about, whatever its form. Times are seconds since the epoch. */
export interface TokenFacts {
  readonly issuer: string
  readonly subject: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  /** The service; a token may have others in its `aud`. */
  readonly audience: string
  /** `undefined` if the token says no other `aud` than that of the flavour. */
  readonly otherAudience: string | readonly string[] | undefined
  readonly clientId: string
  readonly issuedAt: number
  readonly tokenId: string
  readonly sessionId: string | undefined
}

type Claims = Readonly<Record<string, unknown>>

/** The parts of the URLs of an issuer that follow its origin. */
export interface FlavourPaths {
  /** Of `iss`, with the slash at the end if `iss` has it. */
  readonly issuer: string
  readonly jwks: string
  readonly token: string
  readonly introspection: string
  readonly revocation: string
}

/** One issuer. What is asserted of each comes from docs/guides/issuers.md and the shapes of the verification tests. */
export interface Flavour {
  readonly algorithm: TestAlgorithm
  readonly audience: string
  readonly paths: FlavourPaths
  /** `typ` of its access tokens; `undefined` if they have none. */
  readonly typ: string | undefined
  /** The scopes of a token that names none. */
  readonly scopes: (audience: string) => readonly string[]
  /** Without `iss`, `iat` and `exp`, which all have. */
  readonly access: (facts: TokenFacts) => Claims
  /** An ID token. Without `iss`, `iat` and `exp`. */
  readonly id: (facts: TokenFacts) => Claims
  /** The claims of a token that is for `audience`, or for no service. Default: `aud`. */
  readonly forService?: (audience: string | undefined) => Claims
  /** The options for it, without `issuer`. */
  readonly configuration: (audience: string) => Omit<IssuerOptions, 'issuer'>
}
