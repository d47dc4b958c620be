/** A short name for a token that tells two tokens apart and gives nothing of them away. */

import { createHmac } from 'node:crypto'

/**
 * The first 64 bits of HMAC-SHA-256 over the JWS signing input, as 16 hexadecimal digits. Over the signing input rather
 * than the whole text, because an ECDSA signature has a second valid spelling. Services with the same key give one token
 * the same fingerprint.
 */
export function fingerprint(signingInput: string, key: string): string {
  return createHmac('sha256', key).update(signingInput).digest('hex').slice(0, 16)
}
