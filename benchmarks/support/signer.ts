/** Signs the tokens that benchmarks verify. */

import type { KeyObject } from 'node:crypto'
import { constants, generateKeyPairSync, sign } from 'node:crypto'

export type SigningAlgorithm = 'ES256' | 'RS256' | 'PS256' | 'EdDSA'

export interface Signer {
  /** The published key. */
  readonly jwk: Readonly<Record<string, unknown>>
  readonly publicKey: KeyObject
  /** `header` is added to `alg`, `kid` and `typ`. */
  token(claims: object, header?: object): string
}

export function createSigner(alg: SigningAlgorithm = 'ES256', kid = `${alg}-1`): Signer {
  const { publicKey, privateKey } = generate(alg)
  const options = {
    key: privateKey,
    ...(alg === 'ES256' ? ({ dsaEncoding: 'ieee-p1363' } as const) : {}),
    ...(alg === 'PS256' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {}),
  }
  return {
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' },
    publicKey,
    token(claims, header = {}) {
      const input = `${segment({ alg, kid, typ: 'at+jwt', ...header })}.${segment(claims)}`
      return `${input}.${sign(alg === 'EdDSA' ? null : 'sha256', Buffer.from(input), options).toString('base64url')}`
    },
  }
}

function segment(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

function generate(alg: SigningAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (alg === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return alg === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('rsa', { modulusLength: 2048 })
}
