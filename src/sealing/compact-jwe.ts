/** The JWE Compact Serialization (RFC 7516 §7.1) with AES-256-GCM, under a key that is created for one message. */

import type { KeyObject } from 'node:crypto'
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { decodeCanonical, decodeJsonObject } from '../token/compact-jws.ts'

type Header = Readonly<Record<string, unknown>>

/** The parts of a JWE that can be read without its key. None of them may be trusted before it is decrypted. */
export interface DecodedJwe {
  readonly header: Header
  readonly protectedHeader: string
  readonly encryptedKey: Buffer
  readonly iv: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

// RFC 3394 §2.2.3.1.
const WRAP_IV = Buffer.alloc(8, 0xa6)
const KEY_WRAP = 'id-aes256-wrap'
const CONTENT = 'aes-256-gcm'
const CEK_BYTES = 32
/** 96 bits, chosen at random (NIST SP 800-38D §8.2.2); the key is used once, so that no IV repeats under it. */
const IV_BYTES = 12
/** A shorter tag is easier to forge. */
const TAG_BYTES = 16
const WRAPPED_BYTES = CEK_BYTES + 8

// Keys are handed over as key objects: Node takes ten times as long to start a cipher with the bytes of a key.

/** Longest `protected` segment. {@link encrypt} makes about 600 characters with long names. */
const MAX_HEADER_CHARS = 4_096

/** Returns `undefined` if the header would be longer than {@link decode} accepts. */
export function encrypt(header: Header, plaintext: string, kek: KeyObject): string | undefined {
  const protectedHeader = Buffer.from(JSON.stringify(header)).toString('base64url')
  if (protectedHeader.length > MAX_HEADER_CHARS) return undefined
  const random = randomBytes(CEK_BYTES + IV_BYTES)
  const [cek, iv] = [random.subarray(0, CEK_BYTES), random.subarray(CEK_BYTES)]
  const wrapping = createCipheriv(KEY_WRAP, kek, WRAP_IV)
  const encryptedKey = concat(wrapping.update(cek), wrapping.final())
  const cipher = createCipheriv(CONTENT, createSecretKey(cek), iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(protectedHeader))
  const ciphertext = concat(cipher.update(plaintext, 'utf8'), cipher.final())
  const segments = [encryptedKey, iv, ciphertext, cipher.getAuthTag()].map((bytes) => bytes.toString('base64url'))
  return `${protectedHeader}.${segments.join('.')}`
}

/**
 * Returns `undefined` for anything but five canonical segments of the right lengths. Costs no cryptography. Never
 * throws.
 */
export function decode(text: string, maxChars: number): DecodedJwe | undefined {
  if (text.length > maxChars) return undefined
  const segments = text.split('.', 6)
  const [protectedHeader = ''] = segments
  if (segments.length !== 5 || protectedHeader.length > MAX_HEADER_CHARS) return undefined
  const [, encryptedKey, iv, ciphertext, tag] = segments.map(decodeCanonical)
  if (encryptedKey?.length !== WRAPPED_BYTES || iv?.length !== IV_BYTES || tag?.length !== TAG_BYTES) return undefined
  const header = decodeJsonObject(protectedHeader)
  if (header === undefined || ciphertext === undefined) return undefined
  return { header, protectedHeader, encryptedKey, iv, ciphertext, tag }
}

/** Returns the plaintext; `undefined` if the key is another one, or anything was changed. Never throws. */
export function decrypt({ protectedHeader, encryptedKey, iv, ciphertext, tag }: DecodedJwe, kek: KeyObject) {
  try {
    const unwrapping = createDecipheriv(KEY_WRAP, kek, WRAP_IV)
    const cek = concat(unwrapping.update(encryptedKey), unwrapping.final())
    const decipher = createDecipheriv(CONTENT, createSecretKey(cek), iv, { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(protectedHeader))
    decipher.setAuthTag(tag)
    return concat(decipher.update(ciphertext), decipher.final())
  } catch {
    return undefined
  }
}

/** With these algorithms `final` returns no bytes; it only checks. */
function concat(bytes: Buffer, last: Buffer): Buffer {
  return last.length === 0 ? bytes : Buffer.concat([bytes, last])
}

/** Length of the longest sealed text of a token of `tokenBytes`. */
export function maxSealedChars(tokenBytes: number): number {
  return MAX_HEADER_CHARS + Math.ceil((tokenBytes * 4) / 3) + 128
}
