/** The form of a token as an issuer makes it: header and claims, without the signature. */

import type { TokenErrorCode } from '../../../src/index.ts'

export interface Shape {
  readonly name: string
  readonly header: Readonly<Record<string, unknown>>
  /** `iat` and `exp` are added unless they are given; `undefined` leaves a claim out. A text is the whole token. */
  readonly claims: Readonly<Record<string, unknown>> | string
  readonly verdict: 'verified' | TokenErrorCode
}

/** The tokens of one issuer, in the order of docs/guides/issuers.md. */
export interface IssuerShapes {
  /** The name of its blocks in docs/guides/issuers.md, without the ending. */
  readonly block: string
  /** The roles of the first access token, by the documented configuration. */
  readonly roles: readonly string[]
  readonly shapes: readonly Shape[]
}

export const NOW = Math.floor(Date.now() / 1000)
export const SUBJECT = '3fb3c5ba-8f4e-4b39-9d33-3e1d3c3e2a11'

/** What an ID token may say about the login, and an access token too. */
export const LOGIN = { auth_time: NOW - 60, acr: '1', amr: ['pwd'] }
export const NONCE = 'n-0S6_WzA2MjX9kpQ'
export const HASH = 'MTIzNDU2Nzg5MDEyMzQ1Ng'

/** An encrypted token (RFC 7516), as issuers use it for tokens that only they read. */
export const ENCRYPTED = 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA'
