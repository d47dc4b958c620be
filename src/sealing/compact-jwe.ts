/** The JWE Compact Serialization (RFC 7516 §7.1) with AES-256-GCM under a key that is made for one message. */

import type { KeyObject } from 'node:crypto'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { decodeJsonObject, isCanonical } from '../token/compact-jws.ts'

type Header = Readonly<Record<string, unknown>>

/** A JWE as far as it can be read without its key. Nothing of it may be believed before it was decrypted. */
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
/** 96 bits, chosen at random (NIST SP 800-38D §8.2.2); the key is used once, so that they cannot meet again. */
const IV_BYTES = 12
const TAG_BYTES = 16

/** Longest `protected` segment. That of {@link encrypt} is about 600 characters with long names. */
const MAX_HEADER_CHARS = 4_096
// 40 bytes of wrapped key, 12 of IV, 16 of tag: a shorter tag would be easier to forge.
const SHAPE = /^([\w-]+)\.([\w-]{54})\.([\w-]{16})\.([\w-]+)\.([\w-]{22})$/

/** Returns `undefined` where the header would be longer than anybody reads. */
export function encrypt(header: Header, plaintext: string, kek: KeyObject): string | undefined {
  const protectedHeader = Buffer.from(JSON.stringify(header)).toString('base64url')
  if (protectedHeader.length > MAX_HEADER_CHARS) return undefined
  const [cek, iv] = [randomBytes(CEK_BYTES), randomBytes(IV_BYTES)]
  const wrapping = createCipheriv(KEY_WRAP, kek, WRAP_IV)
  const encryptedKey = joined(wrapping.update(cek), wrapping.final())
  const cipher = createCipheriv(CONTENT, cek, iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(protectedHeader))
  const ciphertext = joined(cipher.update(plaintext, 'utf8'), cipher.final())
  const segments = [encryptedKey, iv, ciphertext, cipher.getAuthTag()].map((bytes) => bytes.toString('base64url'))
  return [protectedHeader, ...segments].join('.')
}

/** Returns `undefined` for anything but five canonical segments of the right lengths. Costs no cryptography. Never throws. */
export function decode(text: string, maxChars: number): DecodedJwe | undefined {
  if (text.length > maxChars) return undefined
  const segments = SHAPE.exec(text)?.slice(1)
  if (segments === undefined || !segments.every(isCanonical)) return undefined
  const [protectedHeader = '', ...others] = segments
  if (protectedHeader.length > MAX_HEADER_CHARS) return undefined
  const header = decodeJsonObject(protectedHeader)
  const [encryptedKey, iv, ciphertext, tag] = others.map((segment) => Buffer.from(segment, 'base64url'))
  if (header === undefined || !encryptedKey || !iv || !ciphertext || !tag) return undefined
  return { header, protectedHeader, encryptedKey, iv, ciphertext, tag }
}

/** Returns the bytes that were encrypted; `undefined` where the key is another one or anything was changed. Never throws. */
export function decrypt({ protectedHeader, encryptedKey, iv, ciphertext, tag }: DecodedJwe, kek: KeyObject) {
  try {
    const unwrapping = createDecipheriv(KEY_WRAP, kek, WRAP_IV)
    const cek = joined(unwrapping.update(encryptedKey), unwrapping.final())
    const decipher = createDecipheriv(CONTENT, cek, iv, { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(protectedHeader))
    decipher.setAuthTag(tag)
    return joined(decipher.update(ciphertext), decipher.final())
  } catch {
    return undefined
  }
}

/** Of these algorithms nothing is left over for the end, which checks what there is to be checked. */
function joined(bytes: Buffer, last: Buffer): Buffer {
  return last.length === 0 ? bytes : Buffer.concat([bytes, last])
}

/** The longest text that `tokenBytes` of token can become. */
export function maxSealedChars(tokenBytes: number): number {
  return MAX_HEADER_CHARS + Math.ceil((tokenBytes * 4) / 3) + 128
}
