/** Computes the fingerprint of a token, and the pseudonym of a subject: short names that reveal nothing of either. */

import { createHmac } from 'node:crypto'

/**
 * Returns the first 64 bits of HMAC-SHA-256 over the JWS signing input, as 16 hexadecimal digits. The signature is left
 * out because an ECDSA signature has a second valid spelling. Services with the same key compute the same fingerprint.
 */
export function fingerprint(signingInput: string, key: string): string {
  return createHmac('sha256', key).update(signingInput).digest('hex').slice(0, 16)
}

/** Returns the first 128 bits of HMAC-SHA-256 over issuer and subject: two issuers may name two people alike. */
export function pseudonym(issuer: string, subject: string, key: string): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([issuer, subject]))
    .digest('hex')
    .slice(0, 32)
}
