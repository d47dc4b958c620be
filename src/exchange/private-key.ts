/** Reads the private key with which a client signs its assertions (RFC 7523 §2.2). */

import type { JsonWebKey, KeyObject, webcrypto } from 'node:crypto'
import { createPrivateKey } from 'node:crypto'

/** A key, and its `kid` if the key has one. */
export interface SigningKey {
  readonly key: webcrypto.CryptoKey
  readonly kid: string | undefined
}

type Algorithm = Parameters<KeyObject['toCryptoKey']>[0]

/**
 * Reads a JWK, or PEM in any of its usual forms (PKCS #8, PKCS #1, SEC 1). The key determines the algorithm; an RSA key
 * in a JWK may choose another one than RS256.
 *
 * @throws Error for everything else. It may hold a part of `text`: do not keep it.
 */
export function readSigningKey(text: string): SigningKey {
  if (!text.trimStart().startsWith('{')) return { key: signingKey(createPrivateKey(text)), kid: undefined }
  const jwk = JSON.parse(text) as JsonWebKey & { readonly alg?: unknown; readonly kid?: unknown }
  const [alg, kid] = [jwk.alg, jwk.kid].map((value) => (typeof value === 'string' ? value : undefined))
  return { key: signingKey(createPrivateKey({ key: jwk, format: 'jwk' }), alg), kid }
}

function signingKey(key: KeyObject, alg?: string): webcrypto.CryptoKey {
  return key.toCryptoKey(algorithmOf(key, alg), false, ['sign'])
}

const CURVES: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' }

function algorithmOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject, alg = ''): Algorithm {
  switch (type) {
    case 'ed25519':
      return { name: 'Ed25519' }
    case 'ec':
      return { name: 'ECDSA', namedCurve: CURVES[details?.namedCurve ?? ''] ?? '' }
    case 'rsa':
      return {
        name: alg.startsWith('PS') ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5',
        hash: `SHA-${/\d{3}$/.exec(alg)?.[0] ?? '256'}`,
      }
    default:
      throw new Error('not a key of a supported kind')
  }
}
