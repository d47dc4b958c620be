/** One key of the ring: what it seals with, what it opens with, and exactly one algorithm. */

import type { KeyObject } from 'node:crypto'
import { createSecretKey } from 'node:crypto'
import { own } from '../token/own.ts'
import type { EphemeralKey } from './key-agreement.ts'
import { createAgreement } from './key-agreement.ts'
import { isWeakSecret } from './weak-secret.ts'

/** The key that wraps the key of one message (RFC 7516 §2), and what its reader needs to find the same one. */
export interface MessageKek {
  readonly kek: KeyObject
  /** `epk` of the header (RFC 7518 §4.6.1.1); of public-key kinds only. */
  readonly epk: EphemeralKey | undefined
}

/** A key that was found to be good. Nothing of it can be printed: Node keeps it outside of JavaScript. */
export interface SealingKey {
  readonly kid: string
  /** The one `alg` that messages under this key have; `enc` is `A256GCM` for all. */
  readonly alg: 'A256KW' | 'ECDH-ES+A256KW'
  /** For one message, never for two. */
  kekToSeal(): MessageKek
  /** `undefined` where `epk` is not a key of this kind, or where only the public part of the key is known. */
  kekToOpen(epk: unknown): KeyObject | undefined
}

/** Why a key is refused. Constant texts: neither the key nor a part of it is repeated. */
export class SealingKeyError extends Error {
  override readonly name = 'SealingKeyError'
}

const SECRET = 'expected 32 random bytes in base64url'
const JWK = 'expected a P-256 or X25519 key as a JWK, for ECDH-ES+A256KW'

/** A key that all members of the ring have. Throws a {@link SealingKeyError}. */
export function createSecretSealingKey(kid: string, secret: string): SealingKey {
  const bytes = Buffer.from(secret, 'base64url')
  if (bytes.length !== 32 || bytes.toString('base64url') !== secret) throw new SealingKeyError(SECRET)
  if (isWeakSecret(bytes)) throw new SealingKeyError(`is easy to guess: ${SECRET}`)
  return secretSealingKey(kid, createSecretKey(bytes))
}

/** A key of 32 random bytes, which Node has already. */
export function secretSealingKey(kid: string, kek: KeyObject): SealingKey {
  return {
    kid,
    alg: 'A256KW',
    kekToSeal: () => ({ kek, epk: undefined }),
    kekToOpen: (epk) => (epk === undefined ? kek : undefined),
  }
}

/** A key of one consumer: whoever has its public part can seal, only its private part opens. Throws a {@link SealingKeyError}. */
export function createPublicSealingKey(kid: string, jwk: Readonly<Record<string, unknown>>): SealingKey {
  const is = (name: string, expected: string): boolean => [undefined, expected].includes(own(jwk, name) as string)
  if (!is('kid', kid)) throw new SealingKeyError('has another kid')
  if (!is('alg', 'ECDH-ES+A256KW') || !is('use', 'enc')) throw new SealingKeyError(JWK)
  const agreement = createAgreement(jwk)
  if (agreement === undefined) throw new SealingKeyError(JWK)
  return { kid, alg: 'ECDH-ES+A256KW', kekToSeal: agreement.initiate, kekToOpen: agreement.respond }
}
