/** Keys of a test issuer, made when it starts, and the compact JWS that they sign (RFC 7515). */

import type { KeyObject } from 'node:crypto'
import { constants, generateKeyPairSync, sign } from 'node:crypto'

/** The algorithms that a test issuer signs with (RFC 7518 §3.1, RFC 8037 §3.1). */
export type TestAlgorithm = 'ES256' | 'RS256' | 'PS256' | 'EdDSA'

/** Header and claims: an object, its exact text, or its exact bytes. Members that are `undefined` are left out. */
export type JwsPart = Readonly<Record<string, unknown>> | string | Uint8Array

export interface SigningKey {
  readonly algorithm: TestAlgorithm
  readonly kid: string
  /** As published (RFC 7517 §4): without the private members. */
  readonly jwk: Readonly<Record<string, unknown>>
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

/** Takes about 0.1 ms for an elliptic curve, and about 0.1 s for RSA. */
export function createSigningKey(algorithm: TestAlgorithm, kid: string): SigningKey {
  const { publicKey, privateKey } = generate(algorithm)
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: algorithm, use: 'sig' }
  return { algorithm, kid, jwk, publicKey, privateKey }
}

function generate(algorithm: TestAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return algorithm === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('rsa', { modulusLength: 2_048 })
}

/** Signs `header` and `claims` exactly as they are. */
export function signJws(key: SigningKey, header: JwsPart, claims: JwsPart): string {
  const input = `${segmentOf(header)}.${segmentOf(claims)}`
  return `${input}.${signatureOf(key, input)}`
}

/** The signature over `signingInput`, base64url. */
export function signatureOf({ algorithm, privateKey }: SigningKey, signingInput: string): string {
  const hash = algorithm === 'EdDSA' ? null : 'sha256'
  return sign(hash, Buffer.from(signingInput), {
    key: privateKey,
    ...(algorithm === 'ES256' ? { dsaEncoding: 'ieee-p1363' } : {}),
    ...(algorithm === 'PS256' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {}),
  }).toString('base64url')
}

/** A part as a segment of a compact JWS. */
export function segmentOf(part: JwsPart): string {
  if (part instanceof Uint8Array) return Buffer.from(part).toString('base64url')
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
}
