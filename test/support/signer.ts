/** Makes tokens byte by byte, also such as no library would sign. */

import type { KeyObject } from 'node:crypto'
import type { JwsPart, TestAlgorithm } from '../../src/testing/index.ts'
import { createSigningKey, segmentOf, signatureOf, signJws } from '../../src/testing/issuer/signing-key.ts'

export type SigningAlgorithm = TestAlgorithm

/** A JSON object, its exact text, or its exact bytes. */
export type Part = JwsPart

export interface Signer {
  /** The published key. */
  readonly jwk: Readonly<Record<string, unknown>>
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
  /** `header` is added to `alg`, `kid` and `typ`; a text or bytes stand for the whole header. */
  token(claims: Part, header?: Part): string
  /** The signature over `signingInput`, base64url. */
  signature(signingInput: string): string
}

export function createSigner(alg: SigningAlgorithm = 'ES256', kid = `${alg}-1`): Signer {
  const key = createSigningKey(alg, kid)
  return {
    jwk: key.jwk,
    publicKey: key.publicKey,
    privateKey: key.privateKey,
    signature: (signingInput) => signatureOf(key, signingInput),
    token(claims, header = {}) {
      const isWhole = typeof header === 'string' || header instanceof Uint8Array
      return signJws(key, isWhole ? header : { alg, kid, typ: 'at+jwt', ...header }, claims)
    },
  }
}

/** How long good tokens last, unless a test says otherwise: for longer than a test takes on a slow machine. */
export const LIFE_SECONDS = 1_800

/** What a good access token for `user-service` says. */
export function goodClaims(issuer: string, changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000)
  return { iss: issuer, sub: 'alice', aud: 'user-service', iat: now, exp: now + LIFE_SECONDS, ...changes }
}

/** A part as a segment of a compact JWS. Members that are `undefined` vanish. */
export const segment: (part: Part) => string = segmentOf
