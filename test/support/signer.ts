/** Makes tokens byte by byte, also such as no library would sign. */

import type { KeyObject } from 'node:crypto'
import { constants, generateKeyPairSync, sign } from 'node:crypto'

export type SigningAlgorithm = 'ES256' | 'RS256' | 'PS256' | 'EdDSA'

/** A JSON object, its exact text, or its exact bytes. */
export type Part = Readonly<Record<string, unknown>> | string | Uint8Array

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
  const { publicKey, privateKey } = generate(alg)
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' }

  function signature(signingInput: string): string {
    return sign(alg === 'EdDSA' ? null : 'sha256', Buffer.from(signingInput), {
      key: privateKey,
      ...(alg === 'ES256' ? { dsaEncoding: 'ieee-p1363' } : {}),
      ...(alg === 'PS256' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {}),
    }).toString('base64url')
  }

  return {
    jwk,
    publicKey,
    privateKey,
    signature,
    token(claims, header = {}) {
      const whole = typeof header === 'string' || header instanceof Uint8Array
      const input = `${segment(whole ? header : { alg, kid, typ: 'at+jwt', ...header })}.${segment(claims)}`
      return `${input}.${signature(input)}`
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
export function segment(part: Part): string {
  const bytes = typeof part === 'string' || part instanceof Uint8Array ? part : JSON.stringify(part)
  return Buffer.from(bytes as string).toString('base64url')
}

function generate(alg: SigningAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (alg === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return alg === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('rsa', { modulusLength: 2048 })
}
