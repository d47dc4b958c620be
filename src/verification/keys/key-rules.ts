/** Which published keys may verify a signature. One bad key is dropped and named; it does not spoil the good ones. */

import { createPublicKey } from 'node:crypto'
import { isRocaModulus, isSmallOrder } from './weak-keys.ts'

/** Why a published key is not used. */
export type KeyDefect =
  | 'malformed'
  | 'symmetric'
  | 'private'
  | 'not_for_signatures'
  | 'weak'
  | 'too_large'
  | 'unsupported'
  | 'too_many'

export type Jwk = Readonly<Record<string, unknown>>

const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'priv']
const CURVE_BYTES: Readonly<Record<string, number>> = { 'P-256': 32, 'P-384': 48, 'P-521': 66 }
const CURVE_ALGORITHMS: Readonly<Record<string, string>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' }
const MIN_RSA_BITS = 2048
// Beyond this a single check takes so long that a flood of them is an attack.
const MAX_RSA_BITS = 8192
// FIPS 186-5 §5.1; a check takes as long as the exponent is.
const MIN_RSA_EXPONENT = 65_537n
const MAX_RSA_EXPONENT = 2n ** 256n
const MAX_KID_LENGTH = 256

/** Returns why `key` must not be used, or `undefined` if it may be. Never throws. */
export function defectOf(key: unknown): KeyDefect | undefined {
  if (typeof key !== 'object' || key === null || Array.isArray(key)) return 'malformed'
  const jwk = key as Jwk
  if (typeof jwk['kty'] !== 'string') return 'malformed'
  if (jwk['kty'] === 'oct' || Object.hasOwn(jwk, 'k')) return 'symmetric'
  if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name))) return 'private'
  return defectOfUse(jwk) ?? defectOfParameters(jwk) ?? defectOfImport(jwk)
}

function defectOfUse({ use, key_ops: operations, kid, alg }: Jwk): KeyDefect | undefined {
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH)) return 'malformed'
  if (alg !== undefined && typeof alg !== 'string') return 'malformed'
  if (use !== undefined && use !== 'sig') return 'not_for_signatures'
  if (operations === undefined) return undefined
  if (!Array.isArray(operations) || !operations.includes('verify')) return 'not_for_signatures'
  // RFC 7517 §4.3: none of them twice.
  return new Set(operations).size < operations.length ? 'malformed' : undefined
}

function defectOfParameters(jwk: Jwk): KeyDefect | undefined {
  switch (jwk['kty']) {
    case 'RSA':
      return defectOfRsa(jwk)
    case 'EC':
      return defectOfCurve(jwk)
    case 'OKP':
      return defectOfEdwards(jwk)
    default:
      return 'unsupported'
  }
}

function defectOfRsa({ n, e }: Jwk): KeyDefect | undefined {
  const modulus = toInteger(n)
  const exponent = toInteger(e)
  if (modulus === undefined || exponent === undefined) return 'malformed'
  const bits = modulus.toString(2).length
  if (bits > MAX_RSA_BITS || exponent > MAX_RSA_EXPONENT) return 'too_large'
  const weak = bits < MIN_RSA_BITS || modulus % 2n === 0n || exponent < MIN_RSA_EXPONENT || exponent % 2n === 0n
  return weak || isRocaModulus(modulus) ? 'weak' : undefined
}

function defectOfCurve({ crv, x, y, alg }: Jwk): KeyDefect | undefined {
  const bytes = typeof crv === 'string' ? CURVE_BYTES[crv] : undefined
  if (bytes === undefined) return 'unsupported'
  if (alg !== undefined && alg !== CURVE_ALGORITHMS[crv as string]) return 'malformed'
  return [x, y].every((coordinate) => toBytes(coordinate)?.length === bytes) ? undefined : 'malformed'
}

function defectOfEdwards({ crv, x, alg }: Jwk): KeyDefect | undefined {
  if (crv !== 'Ed25519') return 'unsupported'
  if (alg !== undefined && alg !== 'EdDSA' && alg !== 'Ed25519') return 'malformed'
  const point = toBytes(x)
  if (point?.length !== 32) return 'malformed'
  return isSmallOrder(point) ? 'weak' : undefined
}

/** OpenSSL has the last word: it refuses points that are not on their curve. */
function defectOfImport(jwk: Jwk): KeyDefect | undefined {
  try {
    createPublicKey({ key: { ...jwk }, format: 'jwk' })
    return undefined
  } catch {
    return 'malformed'
  }
}

/** Canonical base64url only: another spelling would be another thumbprint of the same key. */
function toBytes(text: unknown): Buffer | undefined {
  if (typeof text !== 'string' || !/^[\w-]+$/.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

function toInteger(text: unknown): bigint | undefined {
  const bytes = toBytes(text)
  // RFC 7518 §6.3.1.1: the minimum number of octets, so no leading zero.
  return bytes === undefined || bytes[0] === 0 ? undefined : BigInt(`0x${bytes.toString('hex')}`)
}
