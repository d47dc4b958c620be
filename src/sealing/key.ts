/** The keys that tokens are sealed with: one algorithm per key, made from a secret, a JWK, or a file with one. */

import type { KeyObject } from 'node:crypto'
import { createSecretKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isObject, ownProperty } from '../base/own-property.ts'
import type { EphemeralKey } from './key-agreement.ts'
import { createAgreement } from './key-agreement.ts'

/** The key that wraps the key of one message (RFC 7516 §2), and what a reader needs to derive the same one. */
interface MessageKek {
  readonly kek: KeyObject
  /** `epk` of the header (RFC 7518 §4.6.1.1); of public-key kinds only. */
  readonly epk: EphemeralKey | undefined
}

/** A key that was checked. Nothing of it can be printed: Node keeps it outside of JavaScript. */
export interface SealingKey {
  readonly kid: string
  /** The only `alg` of messages under this key; `enc` is `A256GCM` for all. */
  readonly alg: 'A256KW' | 'ECDH-ES+A256KW'
  /** For one message, never for two. */
  kekToSeal(): MessageKek
  /** Returns `undefined` if `epk` is no key of this kind, or only the public part of this key is known. */
  kekToOpen(epk: unknown): KeyObject | undefined
}

/** Why a key is refused. The texts are constant: they repeat no part of the key. */
class SealingKeyError extends Error {
  override readonly name = 'SealingKeyError'
}

const SECRET = 'expected 32 random bytes in base64url'
const JWK = 'expected a P-256 or X25519 key as a JWK, for ECDH-ES+A256KW'

/** Creates a key that producer and consumer share. Throws a {@link SealingKeyError}. */
export function createSecretSealingKey(kid: string, secret: string): SealingKey {
  const bytes = Buffer.from(secret, 'base64url')
  if (bytes.length !== 32 || bytes.toString('base64url') !== secret) throw new SealingKeyError(SECRET)
  if (isWeakSecret(bytes)) throw new SealingKeyError(`is easy to guess: ${SECRET}`)
  return secretSealingKey(kid, createSecretKey(bytes))
}

/** Of 32 random bytes about 30 are different, and never fewer than 16. */
const MIN_DIFFERENT = 16

/** Whether `bytes`, 32 of them, are text, a pattern, or too much alike: random ones are none of these. */
function isWeakSecret(bytes: Uint8Array): boolean {
  const isText = bytes.every((byte) => byte >= 0x20 && byte < 0x7f)
  const steps = new Set(bytes.subarray(1).map((byte, i) => byte - (bytes[i] ?? 0)))
  return isText || steps.size === 1 || new Set(bytes).size < MIN_DIFFERENT
}

/** Wraps a key of 32 random bytes that Node holds already. */
export function secretSealingKey(kid: string, kek: KeyObject): SealingKey {
  return {
    kid,
    alg: 'A256KW',
    kekToSeal: () => ({ kek, epk: undefined }),
    kekToOpen: (epk) => (epk === undefined ? kek : undefined),
  }
}

/**
 * Creates a key of one consumer: its public part seals, and only its private part opens. Throws a {@link
 * SealingKeyError}.
 */
export function createPublicSealingKey(kid: string, jwk: Readonly<Record<string, unknown>>): SealingKey {
  const allows = (name: string, expected: string): boolean =>
    [undefined, expected].includes(ownProperty(jwk, name) as string)
  if (!allows('kid', kid)) throw new SealingKeyError('has another kid')
  if (!allows('alg', 'ECDH-ES+A256KW') || !allows('use', 'enc')) throw new SealingKeyError(JWK)
  const agreement = createAgreement(jwk)
  if (agreement === undefined) throw new SealingKeyError(JWK)
  return { kid, alg: 'ECDH-ES+A256KW', kekToSeal: agreement.initiate, kekToOpen: agreement.respond }
}

/** The members that a configured key may have: exactly one of them. */
const KEY_FORMS = ['secret', 'secretFile', 'jwk', 'jwkFile'] as const

/** A key as it is configured; its types are checked already. */
export type KeyDescription = Readonly<Record<string, unknown>> & { readonly kid: string }

/** The member of a key that is wrong, and why. */
export interface KeyProblem {
  readonly member: string
  readonly problem: string
}

/** Largest file that is read; a key is a few hundred characters. */
const MAX_FILE_CHARS = 4_096

/** Returns the configured key, or why it is refused, which repeats no part of it. */
export function sealingKeyOf(described: KeyDescription): SealingKey | KeyProblem {
  const [form, second] = KEY_FORMS.filter((name) => ownProperty(described, name) !== undefined)
  if (form === undefined) return { member: 'secret', problem: `required: one of ${KEY_FORMS.join(', ')}` }
  if (second !== undefined) return { member: second, problem: `contradicts ${form}: give one of them` }
  try {
    return createKey(described.kid, form, ownProperty(described, form))
  } catch (error) {
    return { member: form, problem: error instanceof SealingKeyError ? error.message : 'is no key' }
  }
}

function createKey(kid: string, form: (typeof KEY_FORMS)[number], value: unknown): SealingKey {
  switch (form) {
    case 'secret':
      return createSecretSealingKey(kid, value as string)
    case 'secretFile':
      return createSecretSealingKey(kid, readKeyFile(value as string))
    case 'jwk':
      return createPublicSealingKey(kid, value as Readonly<Record<string, unknown>>)
    case 'jwkFile':
      return createPublicSealingKey(kid, readJwkFile(value as string))
  }
}

function readKeyFile(file: string): string {
  try {
    const text = readFileSync(file, 'utf8').trim()
    if (text.length <= MAX_FILE_CHARS) return text
  } catch {
    // The reason would repeat the path.
  }
  throw new SealingKeyError('the file cannot be read')
}

function readJwkFile(file: string): Readonly<Record<string, unknown>> {
  const text = readKeyFile(file)
  try {
    const jwk: unknown = JSON.parse(text)
    if (isObject(jwk)) return jwk
  } catch {
    // The reason would repeat what is in the file.
  }
  throw new SealingKeyError('the file holds no JWK')
}
